"""Leaderboards as Markdown, LaTeX and CSV."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from otoscope.core.errors import ParameterError
from otoscope.report.leaderboard_captions import (
    AGREEMENT,
    ALIKE,
    CHANCE,
    CHANCE_LEAD,
    DASH,
    SANITY,
    SANITY_LEAD,
    SANITY_NUMBERS,
    agreement_said,
    caption,
    chance_said,
    digits,
    digits_of,
    head,
    number,
    plain_head,
    sanity_heads,
    sanity_rows,
    verdict,
    width_of,
)
from otoscope.report.text_tables import latex_table, markdown_table
from otoscope.results.compare import BEST, SECOND, Value
from otoscope.results.leaderboard import Leaderboard
from otoscope.results.lines import Line
from otoscope.results.metrics import Metric
from otoscope.results.select import SCORE

COUNTS = ("clips", "failed", "s/clip")
Grid = tuple[list[str], list[list[str]]]


@dataclass(frozen=True)
class _Form:
    """How one markup writes text, the head of a metric, and a value with so many decimals."""

    text: Callable[[object], str]
    head: Callable[[Metric], str]
    value: Callable[[Value, int], str]


def sections(board: Leaderboard, pivot: bool = False, lines: int | None = None) -> dict[str, list[str]]:
    """The blocks of a leaderboard in Markdown by section.

    Parameters
    ----------
    board : Leaderboard
        The leaderboard to show.
    pivot : bool
        Masks as lines and methods as columns, with all metrics in each cell; for lines by method, domain and mask.
    lines : int, optional
        Maximum number of lines of each panel; all by default.

    Returns
    -------
    dict of str to list of str
        Headings, paragraphs and tables of ``panels``, ``failures``, ``agreement``, ``chance``, ``sanity`` and ``caption``, in
        this order; a section without contents is empty.
    """
    panels = []
    for panel in range(len(board.panels)):
        title = board.panel_title(panel)
        panels += [f"## {_md(title)}"] if title else []
        if pivot:
            for domain, heads, rows in _pivoted(board, panel, MARKDOWN):
                panels += [f"### {_md(domain)}"] if domain else []
                panels.append(markdown_table(heads, rows[:lines]))
        else:
            heads, rows = _lines(board, panel, MARKDOWN)
            panels.append(markdown_table(heads, rows[:lines]))
    if pivot:
        panels.append(f"Each cell: {' / '.join(_md(head(m)) for m in board.metrics)}.")
    return {
        "panels": panels,
        "failures": _section("Failures", "", _failures(board)),
        "agreement": _section(AGREEMENT, agreement_said(board), _agreements(board)),
        "chance": _section(CHANCE, CHANCE_LEAD, _chance(board)),
        "sanity": _section(SANITY, SANITY_LEAD, (sanity_heads(), _sanity(board, _cell))),
        "caption": [_md(" ".join(caption(board)))],
    }


def markdown(board: Leaderboard, pivot: bool = False) -> str:
    """The leaderboard as Markdown: a heading and a table for each panel, then the other `sections`."""
    blocks = [block for section in sections(board, pivot).values() for block in section]
    return "\n\n".join([f"# {_md(board.title)}", *blocks]) + "\n"


def latex(board: Leaderboard, pivot: bool = False) -> str:
    """The leaderboard as LaTeX: one ``table`` per panel, with the rules of booktabs; ``pivot`` as in `sections`."""
    parts = ["% needs \\usepackage{booktabs}"]
    for panel in range(len(board.panels)):
        title = ". ".join(_tex(t) for t in (board.title, board.panel_title(panel)) if t)
        if pivot:
            cells = " / ".join(LATEX.head(m) for m in board.metrics)
            for domain, heads, rows in _pivoted(board, panel, LATEX):
                named = f"{title}, {_tex(domain)}" if domain else title
                parts.append(latex_table(f"{named}. Each cell: {cells}.", heads, rows, 1))
        else:
            heads, rows = _lines(board, panel, LATEX)
            said = " ".join([*caption(board), *chance_said(board, panel)])
            parts.append(latex_table(f"{title}. {_tex(said)}", heads, rows, len(board.line_columns)))
    if board.sanity:
        heads = [_tex(word) for word in sanity_heads()]
        parts.append(latex_table(_tex(f"{board.title}. {SANITY_LEAD}"), heads, _sanity(board, _tex), 3))
    return "\n\n".join(parts) + "\n"


def comma_separated(board: Leaderboard) -> str:
    """The leaderboard as CSV in full precision: each metric's mean, interval, clips, mark and p; empty if unknown."""
    columns = board.line_columns
    heads = [*board.panels[0], *columns, "role", "title", "clips", "rows", "failed", "seconds", "score"]
    for metric in board.metrics:
        heads += [metric.name, *(f"{metric.name}_{what}" for what in ("low", "high", "n", "mark", "p", "chance"))]
    rows = []
    for line in board.lines:
        row: list[object] = [*board.panels[line.panel].values(), *(line.labels[column] for column in columns)]
        row += [line.role, board.line_title(line), line.clips, line.rows, line.failed]
        row += [_full(line.seconds), _full(line.score)]
        for v in line.values:
            row += [_full(v.mean), _full(v.low), _full(v.high), v.n, v.mark, _full(v.p), _full(v.chance)]
        rows.append(row)
    return _csv([heads, *rows])


def sanity_csv(board: Leaderboard) -> str:
    """The table of sanity checks as CSV in full precision, with verdicts; empty if the study made none."""
    rows: list[list[object]] = [["classifier", "method", "domain", "clips", *SANITY_NUMBERS, "unchanged", "says"]]
    for row in board.sanity:
        texts = [row.get(name, "") for name in ("classifier", "method", "domain", "clips")]
        numbers = [_full(row.get(name)) for name in SANITY_NUMBERS]
        rows.append([*texts, *numbers, "yes" if row.get("unchanged") else "no", verdict(row)])
    return _csv(rows) if board.sanity else ""


def check_pivot(board: Leaderboard) -> None:
    """Raise a `ParameterError` unless the lines are by method, mask and possibly domain."""
    if sorted(board.by) not in (["domain", "mask", "method"], ["mask", "method"]):
        raise ParameterError(
            f"a pivot has masks as lines and methods as columns: make lines by method,domain,mask; got {','.join(board.by)}"
        )


def _csv(rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _full(value: float | None) -> str:
    return repr(float(value)) if value is not None and math.isfinite(value) else ""


# --- lines and pivots -----------------------------------------------------------------------------------------------


def _lines(board: Leaderboard, panel: int, form: _Form) -> Grid:
    """Heads and rows of one panel, one row per line."""
    scored = board.choice is not None and board.choice.how == SCORE
    counts = [*((SCORE,) if scored else ()), *COUNTS]
    heads = [*map(form.text, board.line_columns), *map(form.head, board.metrics), *map(form.text, counts)]
    rows, places = [], digits(board)
    for line in board.of_panel(panel):
        shown = [
            form.value(v, p) + (f" ({v.n})" if 0 < v.n < line.clips else "")
            for v, p in zip(line.values, places, strict=True)
        ]
        score = [form.text(number(line.score, 3))] if scored else []
        seconds = form.text(number(line.seconds, digits_of([line.seconds])))
        rows.append([*_names(board, line, form), *shown, *score, str(line.clips), str(line.failed), seconds])
    return heads, rows


def _names(board: Leaderboard, line: Line, form: _Form) -> list[str]:
    """The texts of a line; the study's title of its method replaces the method's name."""
    title, named = board.line_title(line), line.labels
    if title:
        named["name" if "name" in named else "method"] = title
    role = f" ({line.role})" if line.role and line.role not in title.lower() else ""
    return [form.text(named[c] or DASH) + (role if c == "method" else "") for c in board.line_columns]


def _pivoted(board: Leaderboard, panel: int, form: _Form) -> list[tuple[str, list[str], list[list[str]]]]:
    """For each domain its name, the heads, and a row per mask."""
    check_pivot(board)
    lines, places = board.of_panel(panel), digits(board)
    out = []
    for domain in sorted({line.name.get("domain", "") for line in lines}):
        here = {(x.name["mask"], x.name["method"]): x for x in lines if x.name.get("domain", "") == domain}
        methods, masks = (sorted({key[i] for key in here}) for i in (1, 0))
        titles = {line.name["method"]: board.line_title(line) or line.name["method"] for line in here.values()}
        cells = {key: _packed(line, places, form) for key, line in here.items()}
        rows = [[form.text(mask), *(cells.get((mask, method), DASH) for method in methods)] for mask in masks]
        out.append((domain, [form.text("mask"), *(form.text(titles[m]) for m in methods)], rows))
    return out


def _packed(line: Line, places: Sequence[int], form: _Form) -> str:
    """All metrics of a line in one cell, without intervals."""
    bare = [Value(v.mean, math.nan, math.nan, v.n, v.mark) for v in line.values]
    failed = f" ({line.failed} failed)" if line.failed else ""
    return " / ".join(form.value(v, p) for v, p in zip(bare, places, strict=True)) + failed


def _sanity(board: Leaderboard, text: Callable[[object], str]) -> list[list[str]]:
    return [[text(number(cell, 2) if isinstance(cell, float) else cell) for cell in row] for row in sanity_rows(board)]


# --- Markdown -------------------------------------------------------------------------------------------------------


def _cell(text: object) -> str:
    """Text for a cell of `markdown_table`, which escapes bars itself."""
    return re.sub(r"([\\`*\[\]<>~]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))", r"\\\1", " ".join(str(text).split()))


def _md(text: str) -> str:
    """Text without markup in Markdown, on one line."""
    return _cell(text).replace("|", "\\|")


def _md_value(value: Value, places: int) -> str:
    shown = number(value.mean, places)
    shown = {BEST: f"**{shown}**", SECOND: f"<u>{shown}</u>"}.get(value.mark, shown)
    return " ".join(part for part in (shown, width_of(value, places), ALIKE if value.alike else "") if part)


MARKDOWN = _Form(_cell, head, _md_value)


def _section(title: str, said: str, grid: Grid) -> list[str]:
    """Heading, lead and table; nothing without rows."""
    heads, rows = grid
    return [block for block in (f"## {title}", said, markdown_table(heads, rows)) if block] if rows else []


def _failures(board: Leaderboard) -> Grid:
    heads = ["condition", "classifier", "method", "domain", "reason", "rows"]
    rows = [[*(_cell(getattr(f, name)) for name in heads), _cell(", ".join(f.clips))] for f in board.failures]
    return [*heads, "clips (examples)"], rows


def _agreements(board: Leaderboard) -> Grid:
    """Rank correlation of each metric with each ground-truth metric."""
    named = {m.name: m for m in board.metrics}
    truths = list(dict.fromkeys(a.truth for a in board.agreements))
    found = {(a.panel, a.domain, a.metric, a.truth): a for a in board.agreements}
    rows = []
    for panel, domain, metric in dict.fromkeys((a.panel, a.domain, a.metric) for a in board.agreements):
        cells = [found.get((panel, domain, metric, truth)) for truth in truths]
        shown = [
            DASH if a is None else f"{number(a.tau, 2)} ({number(a.low, 2)} to {number(a.high, 2)})" for a in cells
        ]
        rows.append([_cell(board.panel_title(panel)), head(named[metric]), _cell(domain) or "all", *shown])
    return ["", "metric", "domain", *(_cell(head(named[t])) for t in truths)], rows


def _chance(board: Leaderboard) -> Grid:
    """Chance levels of each panel and domain."""
    found = board.chance_levels()
    known = [i for i in range(len(board.metrics)) if any(math.isfinite(levels[i]) for _, _, levels in found)]
    rows = [
        [_cell(board.panel_title(panel)), _cell(domain), *(number(levels[i], 3) for i in known)]
        for panel, domain, levels in found
    ]
    return ["", "domain", *(_cell(plain_head(board.metrics[i])) for i in known)], rows


# --- LaTeX ----------------------------------------------------------------------------------------------------------

TEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "≈": r"$\approx$", "≥": r"$\ge$", "−": "$-$",
    "↑": r"$\uparrow$", "↓": r"$\downarrow$", "–": "--", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
}  # fmt: skip


def _tex(text: object) -> str:
    """Text without markup in LaTeX, on one line."""
    return "".join(TEX.get(c, c) for c in " ".join(str(text).split()))


def _tex_value(value: Value, places: int) -> str:
    shown = _tex(number(value.mean, places))
    shown = {BEST: rf"\textbf{{{shown}}}", SECOND: rf"\underline{{{shown}}}"}.get(value.mark, shown)
    width = width_of(value, places).removeprefix("±")
    return shown + (rf" {{\scriptsize $\pm${width}}}" if width else "") + (r" $\approx$" if value.alike else "")


LATEX = _Form(_tex, lambda metric: _tex(head(metric)), _tex_value)
