"""Tables as Markdown, LaTeX and CSV."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Sequence

from otoscope.core.errors import ParameterError
from otoscope.results.columns import Metric
from otoscope.results.lines import Line
from otoscope.results.marks import BEST, SECOND, Value
from otoscope.results.pick import SCORE
from otoscope.results.sanity import NUMBERS, SAID, sanity_heads, sanity_rows, verdict
from otoscope.results.table import Table
from otoscope.results.words import (
    ALIKE_SIGN,
    caption,
    chance_levels,
    digits,
    digits_of,
    head,
    line_title,
    number,
    panel_title,
    width_of,
)

Cell = Callable[[Value, int], str]
COUNTS = ("clips", "failed", "s/clip")


def markdown(table: Table, pivot: bool = False) -> str:
    """The table as Markdown: a heading and a table for each panel, then how the numbers came about.

    Parameters
    ----------
    table : Table
    pivot : bool
        Masks as lines and methods as columns, with all metrics in each cell; for tables by method, domain and mask.
    """
    parts = [f"# {_md(table.title)}"]
    for panel in range(len(table.panels)):
        title = panel_title(table, panel)
        parts += [f"## {_md(title)}"] if title else []
        if pivot:
            for domain, heads, rows in _pivoted(table, panel, _md_value, _md):
                parts += [_md_named(domain), _md_table(heads, rows)]
        else:
            parts.append(_md_table(*_lines(table, panel, _md_value, _md, head)))
    if pivot:
        parts.append(f"Each cell: {' / '.join(_md(head(m)) for m in table.metrics)}.")
    parts += [_md_failures(table), _md_agreements(table), _md_chance(table), _md_sanity(table)]
    parts.append(_md(" ".join(caption(table))))
    return "\n\n".join(part for part in parts if part) + "\n"


def latex(table: Table, pivot: bool = False) -> str:
    """The table as LaTeX: one ``table`` for each panel, with the lines of booktabs.

    Parameters
    ----------
    table : Table
    pivot : bool
        As `markdown` takes it.
    """
    parts = ["% needs \\usepackage{booktabs}"]
    for panel in range(len(table.panels)):
        title = ". ".join(_tex(t) for t in (table.title, panel_title(table, panel)) if t)
        if pivot:
            for domain, heads, rows in _pivoted(table, panel, _tex_value, _tex):
                named = f"{title}, {domain}" if domain else title
                cells = " / ".join(_tex_head(m) for m in table.metrics)
                parts.append(_tex_table(f"{named}. Each cell: {cells}.", heads, rows, 1))
        else:
            heads, rows = _lines(table, panel, _tex_value, _tex, _tex_head)
            words = len(_words_of(table))
            said = " ".join([*caption(table), *_chance_said(table, panel)])
            parts.append(_tex_table(f"{title}. {_tex(said)}", heads, rows, words))
    if table.sanity:
        heads, rows = ([_tex(w) for w in sanity_heads()], [[_tex(w) for w in row] for row in _sanity(table)])
        parts.append(_tex_table(_tex(f"{table.title}. {SAID}"), heads, rows, 3))
    return "\n\n".join(parts) + "\n"


def comma_separated(table: Table) -> str:
    """The table as CSV in full precision: for each metric its mean, interval, clips, mark and p; empty where unknown."""
    words = _words_of(table)
    heads = [*table.panels[0], *words, "role", "title", "clips", "rows", "failed", "seconds", "score"]
    for metric in table.metrics:
        heads += [metric.name, *(f"{metric.name}_{what}" for what in ("low", "high", "n", "mark", "p", "chance"))]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(heads)
    for line in table.lines:
        named = {**line.name, **line.chosen}
        row: list[object] = [*table.panels[line.panel].values(), *(named[w] for w in words)]
        row += [
            line.role,
            line_title(table, line),
            line.clips,
            line.rows,
            line.failed,
            _full(line.seconds),
            _full(line.score),
        ]
        for v in line.values:
            row += [_full(v.mean), _full(v.low), _full(v.high), v.n, v.mark, _full(v.p), _full(v.chance)]
        writer.writerow(row)
    return text.getvalue()


def sanity_csv(table: Table) -> str:
    """The second table as CSV in full precision, with what it says in words; empty where the study asked nothing of it."""
    if not table.sanity:
        return ""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["classifier", "method", "domain", "clips", *NUMBERS, "unchanged", "says"])
    for row in table.sanity:
        numbers = [_full(row.get(name)) for name in NUMBERS]
        words = [row.get(name, "") for name in ("classifier", "method", "domain", "clips")]
        writer.writerow([*words, *numbers, "yes" if row.get("unchanged") else "no", verdict(row)])
    return text.getvalue()


def _full(value: float | None) -> str:
    return repr(float(value)) if value is not None and math.isfinite(value) else ""


# --- lines and pivots -----------------------------------------------------------------------------------------------


def _words_of(table: Table) -> list[str]:
    """The columns of words: those that make a line, then those that were chosen for it."""
    return [*table.by, *(table.lines[0].chosen if table.lines else ())]


def _lines(
    table: Table, panel: int, show: Cell, escape: Callable[[str], str], heading: Callable[[Metric], str]
) -> tuple[list[str], list[list[str]]]:
    """Heads and rows of one panel, one row a line."""
    words, places, scored = _words_of(table), digits(table), table.choice is not None and table.choice.how == SCORE
    counts = [*((SCORE,) if scored else ()), *COUNTS]
    heads = [*(escape(w) for w in words), *(heading(m) for m in table.metrics), *map(escape, counts)]
    rows = []
    for line in table.of_panel(panel):
        score = [escape(number(line.score, 3))] if scored else []
        seconds = escape(number(line.seconds, digits_of([line.seconds])))
        numbers = _row(table, line, places, show, escape)
        rows.append([*numbers, *score, str(line.clips), str(line.failed), seconds])
    return heads, rows


def _row(table: Table, line: Line, places: Sequence[int], show: Cell, escape: Callable[[str], str]) -> list[str]:
    """Words and values of a line; the study's title of its method stands for the method's name."""
    words, title = _words_of(table), line_title(table, line)
    named = {**line.name, **line.chosen}
    if title:
        named["name" if "name" in named else "method"] = title
    role = f" ({line.role})" if line.role and line.role not in title.lower() else ""
    texts = [escape(named[w] or "–") + (role if w == "method" else "") for w in words]
    values = [
        show(v, p) + (f" ({v.n})" if 0 < v.n < line.clips else "") for v, p in zip(line.values, places, strict=True)
    ]
    return [*texts, *values]


def check_pivot(table: Table) -> None:
    """A `ParameterError` unless its lines can be turned into masks by methods."""
    if sorted(table.by) not in (["domain", "mask", "method"], ["mask", "method"]):
        raise ParameterError(
            f"a pivot has masks as lines and methods as columns: make lines by method,domain,mask; got {','.join(table.by)}"
        )


def _pivoted(
    table: Table, panel: int, show: Cell, escape: Callable[[str], str]
) -> list[tuple[str, list[str], list[list[str]]]]:
    """For each domain its name, the heads, and a row for each mask."""
    check_pivot(table)
    lines = table.of_panel(panel)
    places = digits(table)
    out = []
    for domain in dict.fromkeys(
        line.name.get("domain", "") for line in sorted(lines, key=lambda x: x.name.get("domain", ""))
    ):
        here = {(x.name["mask"], x.name["method"]): x for x in lines if x.name.get("domain", "") == domain}
        methods, masks = (sorted({key[i] for key in here}) for i in (1, 0))
        rows = []
        for mask in masks:
            cells = [here.get((mask, method)) for method in methods]
            shown = [_packed(c, places, show) if c else "–" for c in cells]
            rows.append([escape(mask), *shown])
        titles = {line.name["method"]: line_title(table, line) or line.name["method"] for line in here.values()}
        out.append((escape(domain), [escape("mask"), *(escape(titles[m]) for m in methods)], rows))
    return out


def _packed(line: Line, places: Sequence[int], show: Cell) -> str:
    """All metrics of a line in one cell, without intervals."""
    bare = [Value(v.mean, math.nan, math.nan, v.n, v.mark) for v in line.values]
    return " / ".join(show(v, p) for v, p in zip(bare, places, strict=True)) + (
        f" ({line.failed} failed)" if line.failed else ""
    )


# --- Markdown -------------------------------------------------------------------------------------------------------


def _md(text: str) -> str:
    """Text that stays text in Markdown and in its line."""
    return re.sub(r"([\\`*\[\]<>|~]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))", r"\\\1", " ".join(str(text).split()))


def _md_named(domain: str) -> str:
    return f"### {domain}" if domain else ""


def _md_value(value: Value, places: int) -> str:
    shown = number(value.mean, places)
    shown = {BEST: f"**{shown}**", SECOND: f"<u>{shown}</u>"}.get(value.mark, shown)
    return " ".join(part for part in (shown, width_of(value, places), ALIKE_SIGN if value.alike else "") if part)


def _md_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _md_failures(table: Table) -> str:
    if not table.failures:
        return ""
    rows = [
        [_md(x) for x in (f.condition, f.classifier, f.method, f.domain, f.reason, str(f.rows), ", ".join(f.clips))]
        for f in table.failures
    ]
    heads = ["condition", "classifier", "method", "domain", "reason", "rows", "clips, such as"]
    return "## Failures\n\n" + _md_table(heads, rows)


def _md_agreements(table: Table) -> str:
    """For each metric, how far it puts the lines into the order of each metric of truth."""
    if not table.agreements:
        return ""
    named = {m.name: m for m in table.metrics}
    truths = list(dict.fromkeys(a.truth for a in table.agreements))
    found = {(a.panel, a.domain, a.metric, a.truth): a for a in table.agreements}
    rows = []
    for panel, domain, metric in dict.fromkeys((a.panel, a.domain, a.metric) for a in table.agreements):
        cells = [found.get((panel, domain, metric, truth)) for truth in truths]
        shown = ["–" if a is None else f"{number(a.tau, 2)} ({number(a.low, 2)} to {number(a.high, 2)})" for a in cells]
        rows.append([_md(panel_title(table, panel)), head(named[metric]), _md(domain) or "all", *shown])
    heads = ["", "metric", "domain", *(_md(head(named[t])) for t in truths)]
    said = (
        f"Kendall's rank correlation over lines, with {100 * table.level:g} % intervals; 1 is the same order of goodness. Over "
        "the lines of all domains where both metrics compare domains, else within each domain."
    )
    return "## Does it rank as truth does?\n\n" + said + "\n\n" + _md_table(heads, rows)


def _md_chance(table: Table) -> str:
    """What chance gets in each panel and domain."""
    found = chance_levels(table)
    known = [i for i in range(len(table.metrics)) if any(math.isfinite(levels[i]) for _, _, levels in found)]
    if not known:
        return ""
    heads = ["", "domain", *(_md(_plain_head(table.metrics[i])) for i in known)]
    rows = [
        [_md(panel_title(table, panel)), _md(domain), *(number(levels[i], 3) for i in known)]
        for panel, domain, levels in found
    ]
    said = "The means that an explanation which knows nothing gets on the same clips and cells."
    return "## What chance gets\n\n" + said + "\n\n" + _md_table(heads, rows)


def _plain_head(metric: Metric) -> str:
    return f"true {metric.short.removesuffix('−chance')}"


def _chance_said(table: Table, panel: int) -> list[str]:
    """What chance gets in one panel, as a sentence."""
    parts = []
    for _, domain, levels in (found for found in chance_levels(table) if found[0] == panel):
        known = [
            f"{_plain_head(m)} {number(c, 3)}" for m, c in zip(table.metrics, levels, strict=True) if math.isfinite(c)
        ]
        parts.append(f"in {domain} {', '.join(known)}")
    return [f"Chance gets {'; '.join(parts)}."] if parts else []


def _sanity(table: Table) -> list[list[str]]:
    """The second table as text."""
    return [[number(cell, 2) if isinstance(cell, float) else str(cell) for cell in row] for row in sanity_rows(table)]


def _md_sanity(table: Table) -> str:
    if not table.sanity:
        return ""
    rows = [[_md(word) for word in row] for row in _sanity(table)]
    return f"## Does it depend on the network?\n\n{SAID}\n\n" + _md_table(sanity_heads(), rows)


# --- LaTeX ----------------------------------------------------------------------------------------------------------

TEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "≈": r"$\approx$", "≥": r"$\ge$", "−": "$-$",
    "↑": r"$\uparrow$", "↓": r"$\downarrow$", "–": "--", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
}  # fmt: skip


def _tex(text: str) -> str:
    """Text that LaTeX sets as it is."""
    return "".join(TEX.get(c, c) for c in " ".join(str(text).split()))


def _tex_head(metric: Metric) -> str:
    return _tex(head(metric))


def _tex_value(value: Value, places: int) -> str:
    shown = _tex(number(value.mean, places))
    shown = {BEST: rf"\textbf{{{shown}}}", SECOND: rf"\underline{{{shown}}}"}.get(value.mark, shown)
    width = width_of(value, places).removeprefix("±")
    return shown + (rf" {{\scriptsize $\pm${width}}}" if width else "") + (r" $\approx$" if value.alike else "")


def _tex_table(text: str, heads: Sequence[str], rows: Sequence[Sequence[str]], words: int) -> str:
    columns = "l" * words + "r" * (len(heads) - words)
    body = "\n".join(" & ".join(row) + r" \\" for row in rows)
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering\small",
            rf"\caption{{{text}}}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            " & ".join(heads) + r" \\",
            r"\midrule",
            body,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
    )
