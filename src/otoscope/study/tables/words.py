"""What a table says of itself, in sentences; numbers as text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from otoscope.core.plain import plain
from otoscope.study.tables.columns import Metric
from otoscope.study.tables.marks import ALIKE, Value
from otoscope.study.tables.pick import RANK, SCORE, Choice
from otoscope.study.tables.table import Table

ALIKE_SIGN = "≈"


def caption(table: Table) -> list[str]:
    """How the numbers came about, as sentences."""
    said = [
        f"{_count(table.rows, 'row')}, {table.failed} of them failed."
        if table.failed
        else f"{_count(table.rows, 'row')}."
    ]
    width = f"half the width of {100 * table.level:g} % intervals (clips drawn anew {table.draws} times)"
    said.append(f"Means over {_count(table.clips, 'clip')} ± {width}.")
    if table.choice is not None:
        said.append(_choice(table.choice, table.metrics))
    said.append("Within a panel the best of each metric is bold and the second best underlined.")
    if any(math.isfinite(value.p) for line in table.lines for value in line.values):
        said.append(
            f"{ALIKE_SIGN} cannot be told from the best (paired test on the same clips, corrected by Holm, p ≥ {ALIKE:g})."
        )
    if any(line.role == "oracle" for line in table.lines):
        said.append("Oracles know the truth: they show what could be had, and are not marked.")
    if any(value.n < line.clips for line in table.lines for value in line.values):
        said.append(
            "A number in brackets says on how many clips a mean rests, where a metric says nothing on the others."
        )
    return [*said, *table.notes]


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _choice(choice: Choice, metrics: Sequence[Metric]) -> str:
    half = "every second one in sorted order" if choice.seed is None else f"drawn with seed {choice.seed}"
    named = ", ".join(name.replace("_", " ") for name in choice.metrics)
    ways = {
        RANK: f"by their mean rank in {named}",
        SCORE: f"by the geometric mean of {named}, each stretched to [0, 1]",
    }
    others = f"{_count(choice.clips, 'other clip')} ({half})"
    if choice.same_clips:
        others = "the same clips, so that the numbers come out too good"
    return f"The {' and '.join(choice.columns)} of each line was chosen on {others}, {ways.get(choice.how, f'by {named}')}."


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


def page_contents(table: Table, listen: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What the view ``table`` shows, as plain data.

    Parameters
    ----------
    table : Table
    listen : mapping, optional
        The clips to hear, as `otoscope.study.tables.listen.write_listening` gives them.
    """
    contents = table.as_plain()
    for metric, places in zip(contents["metrics"], digits(table), strict=True):
        metric["digits"] = places
    contents["caption"] = caption(table)
    return contents if listen is None else {**contents, "listen": plain(listen)}
