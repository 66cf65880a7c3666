"""Generate pages and tables of the documentation from the registry, the recipes and `references.bib`.

`mkdocs build` calls this through `hooks.py`. Nothing that it generates is committed, except for the table in the README:

    python docs/make_pages.py --readme    writes the table of methods into README.md
    python docs/make_pages.py --check     checks whether it is up to date (exit code 1 if not)
"""

from __future__ import annotations

import inspect
import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from otoscope.core import registry
from otoscope.report.text_tables import markdown_table

DOCS = Path(__file__).resolve().parent
README = DOCS.parent / "README.md"
SOURCE = DOCS.parent / "src" / "otoscope"
BEGIN, END = "<!-- methods:begin -->", "<!-- methods:end -->"
KEY = r"[a-z]+(?:19|20)\d\d[a-z0-9]+"
CITATION = re.compile(r"\[@([a-z0-9]+)\]")
MARKER = re.compile(r"^<!-- (table|help|image): ?(.*?) -->$", re.MULTILINE)


# References


@dataclass(frozen=True)
class Reference:
    """One entry of the bibliography."""

    kind: str
    key: str
    fields: dict[str, str]

    @property
    def short(self) -> str:
        """Names and year, for running text."""
        names = [name.split(",")[0].strip() for name in self.fields["author"].split(" and ")]
        who = names[0] if len(names) == 1 else " and ".join(names) if len(names) == 2 else f"{names[0]} et al."
        return f"{who} {self.fields['year']}"

    @property
    def link(self) -> str:
        """Where to read it."""
        if "doi" in self.fields:
            return f"[doi:{self.fields['doi']}](https://doi.org/{self.fields['doi']})"
        if "eprint" in self.fields:
            return f"[arXiv:{self.fields['eprint']}](https://arxiv.org/abs/{self.fields['eprint']})"
        return f"<{self.fields['url']}>"

    @property
    def full(self) -> str:
        """The whole citation in Markdown."""
        authors = [" ".join(reversed(name.split(", "))) for name in self.fields["author"].split(" and ")]
        where = next((self.fields[k] for k in ("journal", "booktitle", "howpublished") if k in self.fields), "Preprint")
        where += f" {self.fields['volume']}" if "volume" in self.fields else ""
        pages = self.fields.get("pages", "").replace("--", "–")
        where += f", {'pp. ' if '–' in pages else ''}{pages}" if pages else ""
        note = f" {self.fields['note']}." if "note" in self.fields else ""
        return f"{', '.join(authors)}. *{self.fields['title']}*. {where}, {self.fields['year']}. {self.link}.{note}"


@lru_cache(maxsize=1)
def references() -> dict[str, Reference]:
    """The bibliography by key; unreadable entries and duplicate keys are errors."""
    text = (DOCS / "references.bib").read_text(encoding="utf-8")
    found: dict[str, Reference] = {}
    for kind, key, body in re.findall(r"^@(\w+)\{(\w+),\n(.*?)^\}", text, re.MULTILINE | re.DOTALL):
        fields = dict(re.findall(r"^  (\w+) = \{(.*)\},$", body, re.MULTILINE))
        if len(fields) != len(body.strip().splitlines()) or not {"author", "title", "year"} <= set(fields):
            raise ValueError(f"references.bib: entry {key} lacks a field, or has one that cannot be parsed")
        if key in found:
            raise ValueError(f"references.bib: duplicate key {key}")
        found[key] = Reference(kind, key, fields)
    if len(found) != len(re.findall(r"^@", text, re.MULTILINE)):
        raise ValueError("references.bib: an entry cannot be parsed")
    return found


def reference(key: str) -> Reference:
    """One entry of the bibliography."""
    if key not in references():
        raise KeyError(f"{key} is cited, but missing from docs/references.bib")
    return references()[key]


def keys_of(source: str) -> list[str]:
    """The keys in a `source=` of the registry."""
    return [key for key in re.split(r"[,;\s]+", source) if key]


def keys_in_docstrings(folder: Path) -> dict[str, set[str]]:
    """Keys after "Source:" in the Python files under a folder, with the files that cite them."""
    found: dict[str, set[str]] = {}
    for file in sorted(folder.rglob("*.py")):
        for cited in re.findall(r"^\s*Source: (.*?)(?:\n\s*\n|\"\"\")", file.read_text(encoding="utf-8"), re.M | re.S):
            first = re.match(r"\w+", cited)
            keys = {*re.findall(KEY, cited), *([first.group()] if first else [])}
            for key in keys:
                found.setdefault(key, set()).add(str(file))
    return found


def cite(text: str, page: str) -> str:
    """Replace `[@key]` by a link to the list of references; an unknown key is an error."""
    up = "../" * page.count("/")
    return CITATION.sub(lambda m: f"[{reference(m[1]).short}]({up}references.md#{m[1]})", text)


def references_page() -> str:
    """The page of references."""
    entries = sorted(references().values(), key=lambda r: (r.short.lower(), r.key))
    lines = [f"{r.full}\n{{ #{r.key} }}\n" for r in entries]
    head = "# References\n\nGenerated from `docs/references.bib`. Docstrings and the registry cite these by key.\n"
    return head + "\n" + "\n".join(lines)


# Docstrings


@dataclass
class Docstring:
    """A parsed numpydoc docstring."""

    summary: str
    extended: str = ""
    sections: dict[str, str] = field(default_factory=dict)

    @property
    def parameters(self) -> dict[str, str]:
        """The description of each parameter; descriptions shared by several parameters are omitted."""
        out: dict[str, str] = {}
        names: list[str] = []
        for line in self.sections.get("Parameters", "").splitlines():
            if line and not line[0].isspace():
                names = [n.strip() for n in line.split(" : ")[0].split(",")]
            elif len(names) == 1:
                out[names[0]] = f"{out.get(names[0], '')} {line.strip()}".strip()
        return out


def parse_docstring(target: Any) -> Docstring:
    """The docstring of a function or class."""
    text = inspect.cleandoc(target.__doc__ or "")
    parts = re.split(r"^([A-Z][A-Za-z ]+)\n-{3,}\n", text, flags=re.MULTILINE)
    summary, _, extended = parts[0].strip().partition("\n\n")
    pairs = zip(parts[1::2], (p.strip("\n") for p in parts[2::2]), strict=True)
    return Docstring(" ".join(summary.split()), extended.strip(), dict(pairs))


def prose(text: str) -> str:
    """Docstring text as Markdown: code in single backticks, citation keys as citations."""
    text = re.sub(r"``(.+?)``", r"`\1`", " ".join(text.split()))
    return re.sub(rf"(?<![\w@#/`])({KEY})\b", lambda m: f"[@{m[1]}]" if m[1] in references() else m[1], text)


# Tables


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    return markdown_table(head, list(rows))


def own(kind: str) -> list[registry.Entry]:
    """Entries of Otoscope and of the packages in ``$OTOSCOPE_DOCS`` (separated by commas); methods sorted by name."""
    packages = {"otoscope", *os.environ.get("OTOSCOPE_DOCS", "").split(",")}
    out = []
    for entry in registry.entries(kind):
        target = entry.target.func if isinstance(entry.target, partial) else entry.target
        if target.__module__.split(".")[0] in packages:
            out.append(entry)
    return sorted(out, key=lambda e: e.name) if kind == "method" else out


def word(value: Any) -> str:
    """A property as text."""
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value) if value != "" else "nothing"


def default_of(parameter: registry.Parameter) -> str:
    """A default as it is written on the command line."""
    if parameter.default is None or parameter.default == "":
        return "none"
    return f"`{word(parameter.default) if parameter.type is bool else parameter.default}`"


def range_of(parameter: registry.Parameter) -> str:
    """The range or the choices of a setting."""
    if parameter.choices:
        return ", ".join(f"`{c}`" for c in parameter.choices)
    if parameter.type is bool:
        return "`yes` or `no`"
    if parameter.low is None and parameter.high is None:
        return "any"
    low = "" if parameter.low is None else f"{parameter.low:,.12g}"
    high = "" if parameter.high is None else f"{parameter.high:,.12g}"
    return f"{low} to {high}" if low and high else f"at least {low}" if low else f"at most {high}"


def settings_of(entry: registry.Entry) -> str:
    """Settings with their defaults, in one cell."""
    return ", ".join(f"`{p.name}={p.default}`" for p in entry.parameters) or "none"


def parameter_table(entry: registry.Entry, doc: Docstring) -> str:
    """Name, type, default, range and meaning of every setting."""
    rows = []
    for p in entry.parameters:
        more = doc.parameters.get(p.name, "")
        said = p.help[:1].upper() + p.help[1:] + "."
        meaning = prose(more if more.startswith(said) else f"{said} {more}")
        rows.append((f"`{p.name}`", p.type.__name__, default_of(p), range_of(p), meaning))
    return table(("Setting", "Type", "Default", "Range", "Meaning"), rows)


def method_rows(link: bool) -> list[tuple[str, ...]]:
    """One row per method, for the README and the index."""
    return [
        (
            f"[`{e.name}`](methods/{e.name}.md)" if link else f"`{e.name}`",
            e.summary.rstrip("."),
            e.family,
            word(e.facts["signed"]),
            word(e.facts.needs_text),
            e.facts["cost"],
        )
        for e in own("method")
    ]


METHOD_HEAD = ("Method", "Description", "Family", "Signed", "Needs", "Model passes")


def domain_table() -> str:
    """All domains."""
    return table(
        ("Domain", "Cells", "Axes", "Input of the classifier", "Settings"),
        [(f"`{e.name}`", e.summary, e.facts["axes"], e.facts["feeds"], settings_of(e)) for e in own("domain")],
    )


def domain_settings() -> str:
    """Every setting of every domain."""
    rows = [
        (f"`{e.name}`", f"`{p.name}`", p.type.__name__, default_of(p), range_of(p), p.help)
        for e in own("domain")
        for p in e.parameters
    ]
    return table(("Domain", "Setting", "Type", "Default", "Range", "Meaning"), rows)


def mask_table() -> str:
    """All masks."""
    rows = []
    for e in own("mask"):
        spec = ":".join([e.name, *(str(p.default) for p in e.parameters)])
        settings = "; ".join(f"`{p.name}`: {p.help}, {range_of(p)}" for p in e.parameters) or "none"
        rows.append((f"`{spec}`", e.summary, "0 or 1" if e.facts["binary"] else "0 to 1", settings))
    return table(("Mask", "What is kept", "Values", "Value after the colon"), rows)


def metrics_of(*of: str) -> list[registry.Entry]:
    """Metrics computed from any of these: scores, mask, curve, truth or sanity."""
    return [e for e in own("metric") if e.facts["of"] in of]


def span_of(entry: registry.Entry) -> str:
    """A metric's range with its unit."""
    low, high = entry.facts["low"], entry.facts["high"]
    unit = f" {entry.facts['unit']}" if entry.facts["unit"] else ""
    if low is None:
        return "any" if high is None else f"at most {high:g}{unit}"
    return f"at least {low:g}{unit}" if high is None else f"{low:g} to {high:g}{unit}"


def metric_table(*of: str) -> str:
    """Metrics computed from the same input, with their chance level if known."""
    rows = []
    found = metrics_of(*of)
    chance = any("chance" in e.facts for e in found)
    for e in found:
        better = "higher" if e.facts["higher_is_better"] else "lower"
        cells = [f"`{e.name}`", e.facts["short"], e.facts["means"], span_of(e), better, citations(e.source)]
        rows.append([*cells, e.facts.get("chance", "")] if chance else cells)
    head = ["Metric", "Short", "Meaning", "Range", "Better", "Source"]
    return table([*head, "Chance"] if chance else head, rows)


def metric_settings() -> str:
    """Settings of metrics."""
    rows = [
        (f"`{e.name}`", f"`{p.name}`", p.type.__name__, default_of(p), range_of(p), p.help)
        for e in own("metric")
        for p in e.parameters
    ]
    return table(("Metric", "Setting", "Type", "Default", "Range", "Meaning"), rows)


def metric_notes(*of: str) -> str:
    """Descriptions of metrics, from their docstrings."""
    parts = []
    for e in metrics_of(*of):
        doc = parse_docstring(e.target)
        returns = "\n".join(doc.sections.get("Returns", "").splitlines()[1:])
        said = [doc.summary, doc.extended, returns, doc.sections.get("Notes", "")]
        body = " ".join(prose(s) for s in said if s.strip())
        title = e.name.replace("_", " ")
        parts.append(f"### {title[:1].upper()}{title[1:]} ({e.facts['short']})\n\n{body}\n")
    return "\n".join(parts)


def model_table() -> str:
    """All named classifiers."""
    rows = [
        (
            f"`{e.name}`",
            e.summary,
            f"{e.facts['sample_rate']} Hz",
            str(e.facts["classes"]),
            "sigmoid" if e.facts["multilabel"] else "softmax",
            word(e.facts["download"]),
            e.facts["licence"],
        )
        for e in own("classifier")
    ]
    return table(("Model", "Description", "Sample rate", "Classes", "Output", "Download", "Licence"), rows)


def architecture_table() -> str:
    """All architectures, with their settings."""
    rows = [(f"`{e.name}`", prose(e.summary), settings_of(e), citations(e.source)) for e in own("architecture")]
    return table(("Architecture", "Description", "Settings", "Source"), rows)


def dataset_table() -> str:
    """All data sets, and the variants of which the numbers of classes and clips are known."""
    rows = []
    for e in own("dataset"):
        rate = f"{e.facts['sample_rate'] / 1000:g} kHz" if e.facts["sample_rate"] else "any"
        same = (rate, e.facts["folds"], e.facts["licence"], citations(e.source) if e.source else "")
        sizes = [(e.name, prose(e.summary), e.facts["classes"], e.facts["clips"])]
        sizes += [(f"{e.name},{k.lower()}", "", *size) for k, size in (e.facts.get("wholes") or {}).items()]
        rows += [(f"`{name}`", what, str(n or "any"), str(m or "any"), *same) for name, what, n, m in sizes]
    return table(("Data set", "Description", "Classes", "Clips", "Rate", "Folds", "Licence", "Source"), rows)


def dataset_settings() -> str:
    """Every setting of every data set."""
    rows = [
        (f"`{e.name}`", f"`{p.name}`", p.type.__name__, default_of(p), range_of(p), p.help)
        for e in own("dataset")
        for p in e.parameters
    ]
    return table(("Data set", "Setting", "Type", "Default", "Range", "Meaning"), rows)


def citations(source: str) -> str:
    """Citation keys as citations."""
    return " ".join(f"[@{key}]" for key in keys_of(source))


def recipe_table() -> str:
    """Every setting of a recipe that trains a classifier."""
    from otoscope.training import Recipe

    return settings_table(Recipe)


def autoencoder_recipe_table() -> str:
    """Settings of a recipe that trains an autoencoder, except for those that all recipes share."""
    from otoscope.training import AutoencoderRecipe
    from otoscope.training.settings import RunSettings

    return settings_table(AutoencoderRecipe, RunSettings)


def like_to_hear_table() -> str:
    """Settings of a like-to-hear study, except for those that all recipes share."""
    from otoscope.studies.like_to_hear.settings import ClassifierEntry, LikeToHearRecipe, StartEntry
    from otoscope.training.settings import RunSettings

    more = [(ClassifierEntry, "classifiers.NAME."), (StartEntry, "tune.starts.NAME.")]
    return settings_table(LikeToHearRecipe, RunSettings, more)


def study_table() -> str:
    """Settings of a study."""
    from otoscope.studies import recipe as grid

    more = [
        (grid.GridClassifier, "classifiers.NAME."), (grid.GridMethod, "methods.NAME."), (grid.GridCondition, "conditions.NAME."),
    ]  # fmt: skip
    return settings_table(grid.StudyRecipe, None, more)


def settings_table(cls: Any, without: Any = None, more: Sequence[tuple[Any, str]] = ()) -> str:
    """Key, default and meaning of every setting, from the fields of a recipe, except for those of another class."""
    from typing import Literal, get_args, get_origin

    from otoscope.recipes.schema import Settings

    known = set(without.model_fields) if without else set()
    rows: list[tuple[str, str, str]] = []

    def add(cls: Any, prefix: str) -> None:
        for name, one in cls.model_fields.items():
            if not prefix and (name in known or name == "folder"):
                continue
            default = one.get_default(call_default_factory=True)
            if isinstance(default, Settings):
                add(type(default), f"{name}.")
                continue
            if isinstance(default, dict):
                default = {
                    key: v.model_dump(exclude_defaults=True) if isinstance(v, Settings) else v
                    for key, v in default.items()
                }
            shown = list(default) if isinstance(default, tuple | dict) else default
            shown = "" if shown in ("", {}, []) else f"`{str(shown).lower() if isinstance(shown, bool) else shown}`"
            kind = get_args(one.annotation)[0] if get_origin(one.annotation) is tuple else one.annotation
            choices = [f"`{c}`" for c in get_args(kind) if c] if get_origin(kind) is Literal else []
            said = f"One of {', '.join(choices)}. " if choices else ""
            rows.append((f"`{prefix}{name}`", shown, said + prose(one.description or "")))

    for group, prefix in [(cls, ""), *more]:
        add(group, prefix)
    return table(("Setting", "Default", "Meaning"), rows)


TABLES: dict[str, Callable[[], str]] = {
    "architectures": architecture_table,
    "classifiers": model_table,
    "datasets": dataset_table,
    "dataset-settings": dataset_settings,
    "recipe": recipe_table,
    "autoencoder recipe": autoencoder_recipe_table,
    "like-to-hear recipe": like_to_hear_table,
    "study recipe": study_table,
    "domains": domain_table,
    "domain-settings": domain_settings,
    "masks": mask_table,
    "methods": lambda: table(METHOD_HEAD, method_rows(link=True)),
    "metrics": partial(metric_table, "scores", "mask"),
    "curve metrics": partial(metric_table, "curve"),
    "truth metrics": partial(metric_table, "truth"),
    "sanity metrics": partial(metric_table, "sanity"),
    "metric-settings": metric_settings,
    "metric-notes": partial(metric_notes, "scores", "mask", "curve", "truth", "sanity"),
}


# Pages of methods


def example_spec(entry: registry.Entry) -> str:
    """The method with one setting changed, as on the command line."""
    for p in entry.parameters:
        if p.type is int and p.default is not None:
            return f"{entry.name},{p.name}={min(2 * p.default, int(p.high or 2 * p.default))}"
    return entry.name


def method_page(entry: registry.Entry) -> str:
    """The page of one method."""
    doc, facts = parse_docstring(entry.target), entry.facts
    gives, *more = doc.sections.get("Returns", "Tensor (batch, freq, frame)").splitlines()
    gives = gives.replace("Result", "Values (batch, freq, frame)") + "".join(f". {line.strip()}" for line in more)
    below = "mean softer than the original" if facts.get("gives") == "sound" else "are evidence against the target"
    signed = f"yes: values below 0 {below}" if facts["signed"] else "no: values are at least 0"
    complete = "yes: the values sum to a difference of scores" if facts["complete"] else "no"
    repeats = "yes" if facts["deterministic"] else "no: it draws random numbers; the same seed gives the same values"
    rows = [
        ("Family", entry.family),
        ("Needs", word(facts.needs_text)),
        ("Signed", signed),
        ("Complete", complete),
        ("Deterministic", repeats),
        ("Domains", ", ".join(f"`{d}`" for d in registry.fitting_domains(entry.name))),
        ("Model passes", facts["cost"]),
        ("Returns", prose(gives)),
    ]
    spec = example_spec(entry)
    parts = [
        f"# `{entry.name}`\n",
        prose(doc.summary) + "\n",
        prose(doc.extended) + "\n" if doc.extended else "",
        table(("Property", ""), rows) + "\n",
        "## Settings\n",
        parameter_table(entry, doc) + "\n" if entry.parameters else "This method has no settings.\n",
        "## Use\n",
        *use_of(entry, spec),
        "## Errors\n\n" + prose(doc.sections["Raises"]) + "\n" if "Raises" in doc.sections else "",
        "## Source\n",
        prose(doc.sections.get("Notes", "")) + "\n",
        *(f"- {reference(key).full}\n" for key in keys_of(entry.source)),
    ]
    return "\n".join(p for p in parts if p)


def use_of(entry: registry.Entry, spec: str) -> list[str]:
    """Examples of a method; methods that need attention are shown on a transformer, those that need prototypes on APNet."""
    needed = {
        "attention": ("passt", "passt,dim=48,depth=2,heads=3"),
        "a set of prototypes": ("apnet", "apnet,channels=4,prototypes=4"),
    }
    found = next((needed[need] for need in entry.facts["needs"] if need in needed), None)
    option = f" --model runs/{found[0]}/model" if found else ""
    python = ["import otoscope\n"]
    if found:
        python.append(f'model = otoscope.load_classifier("{found[1]}", weights="random", labels=["dog", "rain"])')
    asked = '"bark.wav", model, ' if found else '"bark.wav", '
    python.append(f'explanation = otoscope.explain({asked}method="{spec}")\nprint(explanation)')
    return [
        f"```bash\notoscope explain bark.wav{option} --method {spec}\n```\n",
        "```python\n" + "\n".join(python) + "\n```\n",
    ]


def methods_index() -> str:
    """The page that compares the methods."""
    rows = [(row[0].replace("methods/", ""), *row[1:]) for row in method_rows(link=True)]
    intro = (DOCS / "methods_intro.md").read_text(encoding="utf-8")
    return intro.replace("<!-- rows -->", table(METHOD_HEAD, rows))


def model_cards() -> dict[str, str]:
    """Model cards of the built-in classifiers and autoencoders."""
    rooms = {"": "classifiers", "autoencoder-": "autoencoders"}
    return {
        f"{prefix}{card.parent.name}.md": card.read_text(encoding="utf-8")
        for prefix, room in rooms.items()
        for card in sorted((SOURCE / room / "assets").glob("*/README.md"))
    }


def generated_pages() -> dict[str, str]:
    """Path in the documentation -> Markdown, of every generated page."""
    pages = {f"methods/{e.name}.md": method_page(e) for e in own("method")}
    return {
        "methods/index.md": methods_index(),
        **pages,
        **model_cards(),
        "references.md": references_page(),
    }


# Markers in written pages


def command_help(name: str) -> str:
    """What `otoscope NAME --help` prints."""
    import click

    from otoscope.cli.main import cli

    width = {"terminal_width": 88, "max_content_width": 88}
    group = click.Context(cli, info_name="otoscope", **{**cli.context_settings, **width})
    command = cli if name == "otoscope" else cli.get_command(group, name)
    if command is None:
        raise ValueError(f"unknown command: {name}")
    context = group if command is cli else click.Context(command, info_name=name, parent=group, **width)
    return f"```text\n{command.get_help(context)}\n```"


def image(spec: str) -> str:
    """`PATH | words`: an image, or nothing if the file does not exist."""
    path, _, words = (part.strip() for part in spec.partition("|"))
    return f"![{words}]({path})" if (DOCS / path).is_file() else ""


def fill(text: str, page: str) -> str:
    """Replace markers by tables, help texts and images, and citations by links."""
    makers = {"table": lambda n: TABLES[n](), "help": command_help, "image": image}
    return cite(MARKER.sub(lambda m: makers[m[1]](m[2].strip()), text), page)


# The README


def readme_with_table(text: str) -> str:
    """The README with an updated table of methods."""
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise ValueError(f"README.md must contain {BEGIN} and {END} once each")
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{table(METHOD_HEAD, method_rows(link=False))}\n{END}{rest.split(END)[1]}"


def main(arguments: Sequence[str]) -> int:
    """`--readme` writes the table, `--check` compares it with the registry."""
    if list(arguments) not in (["--readme"], ["--check"]):
        print("usage: python docs/make_pages.py --readme | --check", file=sys.stderr)
        return 2
    old = README.read_text(encoding="utf-8")
    new = readme_with_table(old)
    if arguments[0] == "--readme" and new != old:
        README.write_text(new, encoding="utf-8")
        print("README.md: updated the table of methods")
    elif new != old:
        print("README.md: the table of methods is out of date; run python docs/make_pages.py --readme", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
