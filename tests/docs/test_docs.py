"""The documentation does what it says: snippets run, commands parse, links and citations lead somewhere, tables are new.

Every ```python block of a page runs, from top to bottom, in a folder with ``bark.wav`` and ``rain.wav``, unless the line
above it is ``<!-- not run: why -->``; then it is only compiled.
"""

from __future__ import annotations

import importlib.util
import re
import shlex
import sys
import warnings
from pathlib import Path

import click
import pytest

import worlds
from otoscope.classifiers.files import ENDINGS
from otoscope.cli.main import COMMANDS, cli
from otoscope.core import registry
from otoscope.masks import parse_mask
from otoscope.studies import load_like_to_hear
from otoscope.training.task import load_recipe

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
WRITTEN = sorted(
    str(p.relative_to(ROOT))
    for p in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *DOCS.rglob("*.md"))
)


def _load(path: Path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


make_pages = _load(DOCS / "make_pages.py")
GENERATED = {f"docs/{path}": text for path, text in make_pages.generated_pages().items()}
PAGES = [*WRITTEN, *GENERATED]


def text_of(page: str) -> str:
    return GENERATED[page] if page in GENERATED else (ROOT / page).read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[tuple[str, bool]]:
    """Code of each fenced block of a language, and whether it is to run."""
    pattern = rf"(^<!-- not run: .+? -->\n)?^```{language}\n(.*?)^```$"
    return [(code, not mark) for mark, code in re.findall(pattern, text, re.MULTILINE | re.DOTALL)]


def without_code(text: str) -> str:
    """The text without code, in which links are no links."""
    return re.sub(r"`[^`\n]+`", "", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL))


# Python


@pytest.fixture(scope="session")
def sounds(tmp_path_factory):
    """Two sounds of a quarter of a second."""
    from otoscope.audio import write_wav
    from otoscope.datasets.scenes import render

    folder = tmp_path_factory.mktemp("sounds")
    for name, kind in (("bark.wav", "dog_bark"), ("rain.wav", "rain")):
        stem = render(kind, duration=0.25, sample_rate=32000, seed=3)
        write_wav(folder / name, [stem.samples[None]], 32000)
    return folder


@pytest.fixture
def scratch(sounds, tmp_path, monkeypatch):
    """A folder with the sounds, as the working directory; what a page registers is forgotten afterwards."""
    for sound in sounds.iterdir():
        (tmp_path / sound.name).symlink_to(sound)
    monkeypatch.chdir(tmp_path)
    registry.discover()
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    return tmp_path


def run_page(page: str) -> None:
    """Run the Python blocks of a page in one namespace; lines in errors are those of the page."""
    text, namespace = text_of(page), {"__name__": "page"}
    at = 0
    for code, runs in blocks(text, "python"):
        at = text.index(code, at)
        padded = "\n" * text.count("\n", 0, at) + code
        compiled = compile(padded, page, "exec")
        if runs:
            exec(compiled, namespace)


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(text_of(p), "python")])
def test_python_blocks_run(page, scratch, capsys):
    run_page(page)


# Commands


def commands(text: str) -> list[str]:
    """Every ``otoscope ...`` line of the shell blocks, with continued lines joined."""
    lines = [line for code, _ in blocks(text, "bash") for line in code.replace("\\\n", " ").splitlines()]
    return [line for line in lines if line.startswith("otoscope")]


SHOWN = [(page, line) for page in PAGES for line in commands(text_of(page))]


@pytest.mark.parametrize(("page", "line"), SHOWN, ids=[f"{p}: {c}" for p, c in SHOWN])
def test_commands_parse(page, line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for file, text in (("labels.json", '["a", "b"]'), ("labels.txt", "a\nb\n")):
        Path(file).write_text(text)
    name, *arguments = shlex.split(line, comments=True)[1:]
    group = click.Context(cli, info_name="otoscope", **cli.context_settings)
    command = cli.get_command(group, name)
    assert command is not None, f"{page} shows an unknown command: {name}"
    given = command.make_context(name, arguments, parent=group).params
    for method in given.get("methods") or ():
        registry.parse("method", method)
    if given.get("domain"):
        registry.parse("domain", given["domain"])
    if given.get("mask"):
        parse_mask(given["mask"])
    model = given.get("model")
    known = [*registry.names("classifier"), *registry.names("architecture")]
    of_their_own = model is None or "/" in model or ":" in model or model == "yes-no" or Path(model).suffix in ENDINGS
    assert of_their_own or model.split(",")[0] in known
    if name in ("train", "like-to-hear"):
        more = [o for o in given["overrides"] if "=" not in o]
        files = [given["recipe"], *more]
        read = load_recipe if name == "train" else load_like_to_hear
        assert {Path(f).suffix for f in files} == {""}  # all of the package, by name
        read(files, [o for o in given["overrides"] if o not in more])


def test_commands_are_shown():
    assert {shlex.split(line)[1] for _, line in SHOWN} >= set(COMMANDS) - {"demo"}


@pytest.mark.parametrize("page", PAGES)
def test_commands_in_running_text_exist(page):
    for shown in re.findall(r"`otoscope ([a-z][^`]*)`", text_of(page)):
        name, *rest = shown.split()
        command = cli.get_command(click.Context(cli, **cli.context_settings), name)
        assert command is not None, f"{page}: otoscope {shown}"
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in rest if word.startswith("--")} <= known, f"{page}: otoscope {shown}"


@pytest.mark.parametrize("page", PAGES)
def test_make_targets_exist(page):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    shown = re.findall(r"^make ([\w-]+)$|`make ([\w-]+)`", text_of(page), re.MULTILINE)
    for target in filter(None, sum(shown, ())):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{page}: make {target}"


# Links and citations (anchors and links between pages of docs/: mkdocs, below)


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(text_of(page))):
        if not target.startswith(("https://", "#")):
            assert (ROOT / target.split("#")[0]).is_file(), f"{page} links to {target}"


@pytest.mark.parametrize("page", PAGES)
def test_no_path_of_this_machine(page):
    assert not re.search(r"/work/|/home/\w|/root/|/tmp/", text_of(page)), page


def cited() -> dict[str, set[str]]:
    """Key -> where it is cited: registry, docstrings, pages."""
    found = make_pages.keys_in_docstrings(ROOT / "src")
    for kind in ("method", "domain", "mask", "metric", "classifier", "dataset"):
        for entry in make_pages.own(kind):
            for key in make_pages.keys_of(entry.source):
                found.setdefault(key, set()).add(f"{kind} {entry.name}")
    for page in WRITTEN:
        if page.startswith("docs/"):
            for key in make_pages.CITATION.findall(re.sub(r"`.*?`", "", text_of(page))):
                found.setdefault(key, set()).add(page)
    return found


def test_every_key_is_in_the_bibliography():
    missing = {key: sorted(where) for key, where in cited().items() if key not in make_pages.references()}
    assert not missing


def test_every_reference_is_cited():
    assert set(make_pages.references()) <= set(cited())


def test_unknown_key_is_an_error():
    with pytest.raises(KeyError, match="nobody2020nothing"):
        make_pages.cite("[@nobody2020nothing]", "index.md")


def test_citations_are_written_out():
    assert make_pages.cite("[@fong2017interpretable]", "methods/x.md") == (
        "[Fong and Vedaldi 2017](../references.md#fong2017interpretable)"
    )
    full = make_pages.references()["fong2017interpretable"].full
    assert full.startswith("Ruth C. Fong, Andrea Vedaldi. *Interpretable Explanations")
    assert "pp. 3429–3437, 2017. [arXiv:1704.03296]" in full


# Made from the registry


def test_readme_table_is_new():
    text = text_of("README.md")
    assert make_pages.readme_with_table(text) == text, "run: python docs/make_pages.py --readme"


def test_old_readme_table_is_found():
    text = text_of("README.md").replace("| `rise` |", "| `rice` |")
    assert make_pages.readme_with_table(text) != text


def test_every_method_has_a_page_with_its_facts_and_settings():
    for entry in registry.entries("method"):
        page = GENERATED[f"docs/methods/{entry.name}.md"]
        assert entry.facts["cost"] in page
        for parameter in entry.parameters:
            assert f"| `{parameter.name}` | {parameter.type.__name__} |" in page
        assert all(make_pages.references()[key].full in page for key in make_pages.keys_of(entry.source))
        assert "``" not in re.sub(r"^```\w*$", "", page, flags=re.MULTILINE)


@pytest.mark.parametrize("name", sorted(make_pages.TABLES))
def test_tables_are_whole(name):
    lines = [line for line in make_pages.TABLES[name]().splitlines() if line.startswith("|")]
    columns = {len(re.findall(r"(?<!\\)\|", line)) for line in lines}
    assert len(columns) <= 1, f"rows of different length: {columns}"


def test_every_marker_is_filled():
    for page in WRITTEN:
        if page.startswith("docs/") and page != "docs/methods_intro.md":
            filled = make_pages.fill(text_of(page), page.removeprefix("docs/"))
            assert not re.search(r"^<!-- (table|help|image)|\[@", filled, re.MULTILINE), page


# Numbers and settings that pages repeat


def _repeated():
    from otoscope.audio import LISTENING_OVERLAP_S, LISTENING_WINDOW_S, check
    from otoscope.domains import stft
    from otoscope.explanation import verdict
    from otoscope.explanation.windows import LONG_S
    from otoscope.report.pages import explanation_contents

    return [
        ("trust.md", f"below {verdict.KEPT_SHARE:g} times that of the original"),
        ("trust.md", f"at least {verdict.REMOVED_SHARE:g} times that of the original"),
        ("trust.md", f"by more than {verdict.DISAGREEMENT:g} for"),
        ("trust.md", f"mean is above {verdict.LARGE_MASK:g} "),
        ("trust.md", f"a probability below {verdict.UNSURE:g} "),
        ("audio.md", f"A sound over {LONG_S:g} s is heard in windows of {LISTENING_WINDOW_S:g} s"),
        ("audio.md", f"overlap by {LISTENING_OVERLAP_S:g} s"),
        ("audio.md", f"up to {explanation_contents.EMBED_S:g} s"),
        ("audio.md", f"from {check.LOWEST_RATE} Hz to {check.HIGHEST_RATE // 10**6} MHz"),
        ("audio.md", f"more than {check.MOST_CHANNELS} channels"),
        ("domains.md", f"windows of about {1000 * stft.WINDOW_S:g} ms"),
    ]


@pytest.mark.parametrize(("page", "words"), _repeated())
def test_numbers_are_those_of_the_code(page, words):
    assert words in " ".join(text_of(f"docs/{page}").split())


def test_every_setting_of_a_recipe_is_explained():
    """The table is made from the code; what could be missing is a meaning."""
    tables = (make_pages.recipe_table(), make_pages.autoencoder_recipe_table(), make_pages.like_to_hear_table())
    rows = [line.split(" | ") for text in tables for line in text.splitlines()[2:]]
    assert [row for row in rows if len(row) != 3 or not re.search(r"\w", row[2])] == []
    assert {f"| `{key}`" for key in ("optimiser.lr", "data.test", "seed", "trainer", "loss.stft", "tune.to")} <= {
        row[0] for row in rows
    }


def test_json_keys_are_those_of_the_code(scratch):
    import otoscope
    from otoscope.explanation.many import result_row

    model = worlds.band_energy()
    explanation = otoscope.explain("bark.wav", model, method="gradient", domain="time")
    row = result_row("bark.wav", explanation, {})
    section = text_of("docs/command-line.md").split("With `--json`")[1].split("##")[0]
    shown = {
        key for line in re.findall(r"^\| (`.*?`) \| ", section, re.MULTILINE) for key in re.findall(r"`(\w+)`", line)
    }
    assert shown == set(row)


def test_keys_of_the_report_are_those_of_the_page():
    from importlib.resources import files

    templates = files("otoscope.report") / "templates"
    page = "".join((templates / f"{name}.html.jinja").read_text(encoding="utf-8") for name in ("player", "explanation"))
    shown = text_of("docs/report.md").split("## Keys")[1].split("##")[0]
    names = {"&larr;": "←", "&rarr;": "→", "Shift": "Shift"}
    for key in set(re.findall(r"<kbd>(.+?)</kbd>", page)):
        assert re.search(rf"(?<!\w){re.escape(names.get(key, key))}(?!\w)", shown), key


# The site


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The built site."""
    out = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.setenv("NO_MKDOCS_2_WARNING", "1")
        warnings.simplefilter("ignore")  # of third parties; what is wrong with the pages is logged, and strict
        from mkdocs.commands.build import build
        from mkdocs.config import load_config

        build(load_config(str(ROOT / "mkdocs.yml"), strict=True, site_dir=str(out)))
    return out


def test_site_builds_strictly(site):
    for name in registry.names("method"):
        assert (site / "methods" / f"{name}.html").is_file()
    assert not list(site.rglob("*.py"))


def test_site_asks_for_nothing_from_outside(site):
    loads = re.compile(
        r"<(?:script|img|iframe|audio|video|source|embed)\b[^>]*\bsrc=[\"']?(?:https?:)?//[^\s\"'>]+"
        r"|<link\b(?=[^>]*rel=[\"']?(?:stylesheet|preload|preconnect|icon|manifest|dns-prefetch))[^>]*href=[\"']?(?:https?:)?//"
        r"|url\([\"']?(?:https?:)?//|@import\s",
        re.IGNORECASE,
    )
    for file in [*site.rglob("*.html"), *site.rglob("*.css")]:
        found = loads.search(file.read_text(encoding="utf-8"))
        assert found is None, f"{file.name} loads {found.group()}"
