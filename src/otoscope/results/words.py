"""What a table says of itself, in sentences; numbers as text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from otoscope.core.jsonable import to_jsonable
from otoscope.results.columns import Metric
from otoscope.results.lines import Line
from otoscope.results.marks import ALIKE, Value
from otoscope.results.pick import RANK, SCORE, Choice
from otoscope.results.sanity import SAID, UNCHANGED, sanity_heads, sanity_rows
from otoscope.results.table import Table

ALIKE_SIGN = "≈"


def caption(table: Table) -> list[str]:
    """How the numbers came about, as sentences."""
    said = [
        f"{_count(table.rows, 'row')}, {table.failed} of them failed."
        if table.failed
        else f"{_count(table.rows, 'row')}."
    ]
    if table.choice is not None:
        said += _choice(table, table.choice)
    for column, words in table.pooled.items():
        if len(words) > 1:
            together = ", ".join(title_of(table, column, word) for word in words)
            said.append(f"Taken together: {together}; a clip counts by its mean over them, where none of them failed.")
    said = [said[0], _means(table), *said[1:]]
    said.append("Within a panel the best of each metric is bold and the second best underlined.")
    if any(math.isfinite(value.p) for line in table.lines for value in line.values):
        said.append(
            f"{ALIKE_SIGN} cannot be told from the best (paired test on the same clips, corrected by Holm, p ≥ {ALIKE:g})."
        )
    bound = [head(m) for m in within_domains(table)]
    if bound:
        said.append(
            f"What hangs on a domain's grid ({', '.join(bound)}) is marked, tested and ranked within each domain alone, where it "
            "has more than one line."
        )
    if any(line.role == "oracle" for line in table.lines):
        said.append("Oracles know the truth: they show what could be had, and are not marked.")
    if any(value.n < line.clips for line in table.lines for value in line.values):
        said.append(
            "A number in brackets says on how many clips a mean rests, where a metric says nothing on the others."
        )
    return [*said, *table.notes]


def within_domains(table: Table) -> list[Metric]:
    """The metrics by which lines are compared within a domain only, where the table has lines of several."""
    several = len({line.domain for line in table.lines if line.domain}) > 1
    return [m for m in table.metrics if several and not m.across and m.higher_is_better is not None]


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _each(numbers: Sequence[int], total: int, word: str) -> str:
    """How many there are in each panel."""
    known = [n for n in numbers if n]
    if not known or (min(known) == max(known) == total):
        return _count(total, word)
    if min(known) == max(known):
        return f"{_count(known[0], word)} of each panel"
    return f"{min(known)} to {max(known)} {word}s of each panel"


def _means(table: Table) -> str:
    of = f" from {_count(table.sources, 'source')}" if table.sources else ""
    drawn = f"{'sources, with all their clips,' if table.sources else 'clips'} drawn anew {table.draws} times"
    clips = _each(table.panel_clips, table.clips, "clip")
    return f"Means over {clips}{of} ± half the width of {100 * table.level:g} % intervals ({drawn})."


def _choice(table: Table, choice: Choice) -> list[str]:
    """On what the masks were chosen; and the panels in which nothing could choose."""
    one = "source" if table.sources else "one"
    half = f"every second {one} in sorted order" if choice.seed is None else f"drawn with seed {choice.seed}"
    named = ", ".join(name.replace("_", " ") for name in choice.metrics)
    ways = {
        RANK: f"by their mean rank in {named}",
        SCORE: f"by the geometric mean of {named}, each stretched to [0, 1]",
    }
    total = len({name for clips in choice.clips for name in clips})
    others = f"{_each([len(clips) for clips in choice.clips], total, 'other clip')} ({half})"
    if choice.same_clips:
        others = "the same clips, so that the numbers come out too good"
    what = " and ".join(choice.columns)
    said = [f"The {what} of each line was chosen on {others}, {ways.get(choice.how, f'by {named}')}."]
    for panel, lost in enumerate(choice.blind):
        if lost:
            lines = len(table.of_panel(panel))
            of = f"{lost} of {lines} lines" if lost < lines else "any line"
            where = panel_title(table, panel) or "this table"
            said.append(f"In {where} no clip could choose the {what} of {of}: the first by name stands there.")
    return said


def chance_levels(table: Table) -> list[tuple[int, str, list[float]]]:
    """What chance gets: panel, domain, and the level of each metric, NaN where nobody knows; empty where nothing is known."""
    found: dict[tuple[int, str], list[float]] = {}
    for line in table.lines:
        levels = [value.chance for value in line.values]
        if any(math.isfinite(level) for level in levels):
            found.setdefault((line.panel, {**line.name, **line.chosen}.get("domain", "")), levels)
    return [(panel, domain, levels) for (panel, domain), levels in sorted(found.items(), key=lambda item: item[0])]


def head(metric: Metric) -> str:
    """The head of a metric's column: where it was measured, its short name, its unit, and which way is better."""
    where = ("true " if metric.truth else "") + ("heard " if metric.heard else "")
    unit = f" ({metric.unit})" if metric.unit else ""
    arrow = {True: " ↑", False: " ↓", None: ""}[metric.higher_is_better]
    return f"{where}{metric.short}{unit}{arrow}"


def digits_of(values: Sequence[float]) -> int:
    """Decimals with which a column shows three significant ones of its largest number."""
    largest = max((abs(v) for v in values if math.isfinite(v)), default=0.0)
    return 3 if largest == 0 else min(4, max(0, 2 - math.floor(math.log10(largest) + 1e-9)))


def number(value: float, digits: int) -> str:
    """A number with a true minus; a dash where nothing can be said."""
    if not math.isfinite(value):
        return "–"
    shown = f"{value:.{digits}f}"
    return shown.replace("-", "−") if float(shown) else shown.lstrip("-")


def digits(table: Table) -> list[int]:
    """Decimals of each metric's column."""
    return [digits_of([line.values[i].mean for line in table.lines]) for i in range(len(table.metrics))]


def width_of(value: Value, places: int) -> str:
    """Half the interval's width with a sign, or nothing where there is none."""
    return f"±{value.half_width:.{places}f}" if math.isfinite(value.half_width) else ""


def panel_title(table: Table, panel: int) -> str:
    """Condition and classifier of a panel, by their titles; empty where there is one panel without name."""
    titles = [title_of(table, column, word) for column, word in table.panels[panel].items()]
    return ", ".join(title for title in titles if title)


def title_of(table: Table, column: str, word: str) -> str:
    """The title that the study gives to a word of a column, or the word."""
    known = table.about.get(f"{column}s")
    found = known.get(word) if isinstance(known, dict) else None
    return str((found.get("title") if isinstance(found, dict) else found) or word)


def line_title(table: Table, line: Line) -> str:
    """The title that the study gives to a line's method, if it differs from its name; else nothing."""
    named = {**line.name, **line.chosen}
    known = table.about.get("methods")
    for entry in known if isinstance(known, list | tuple) else ():
        if isinstance(entry, dict) and entry.get("title") and entry["title"] != entry.get("name"):
            keys = ("name",) if named.get("name") else ("method", "domain")
            if all(named.get(key) and named[key] == entry.get(key) for key in keys):
                return str(entry["title"])
    return ""


def page_contents(table: Table, listen: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What the view ``table`` shows, as plain data.

    Parameters
    ----------
    table : Table
    listen : mapping, optional
        The clips to hear, as `otoscope.results.listen.write_listening` gives them.
    """
    contents = table.as_plain()
    for metric, places in zip(contents["metrics"], digits(table), strict=True):
        metric["digits"] = places
    bound = {m.name for m in within_domains(table)}
    for metric in contents["metrics"]:
        metric |= {"within": metric["name"] in bound}
    for line, written in zip(table.lines, contents["lines"], strict=True):
        written |= {"title": line_title(table, line), "domain": line.domain}
    contents["chance"] = to_jsonable(
        [{"panel": p, "domain": d, "levels": levels} for p, d, levels in chance_levels(table)]
    )
    contents["sanity"] = to_jsonable(
        {"heads": sanity_heads(), "rows": sanity_rows(table), "said": SAID, "flag": UNCHANGED}
    )
    contents["caption"] = caption(table)
    return contents if listen is None else {**contents, "listen": to_jsonable(listen)}
