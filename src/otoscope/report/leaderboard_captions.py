"""Captions of leaderboards: how the numbers were computed, heads of columns, verdicts of sanity checks, numbers as text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from otoscope.core import registry
from otoscope.report.formatting import fixed
from otoscope.results.compare import ALPHA, Value
from otoscope.results.leaderboard import Leaderboard
from otoscope.results.metrics import Metric
from otoscope.results.select import RANK, SCORE, Choice

ALIKE, DASH = "≈", "–"
ARROWS = {True: " ↑", False: " ↓", None: ""}
AGREEMENT = "Rank correlation with the ground truth"
CHANCE = "Chance levels"
CHANCE_LEAD = "Expected means of an uninformative explanation on the same clips and cells."
SANITY = "Sanity checks"
SANITY_LEAD = (
    "Rank correlation of explanations before and after the network's parameters are randomised (should be near 0), and their "
    "sensitivity to the seed, to weak noise and to a shift in time."
)
SANITY_NUMBERS = {
    "randomisation_similarity": ("randomised", "randomisation_similarity"),
    "seed_agreement": ("seed agreement", "seed_agreement"),
    "seed_spread": ("seed spread", "seed_spread"),
    "noise_sensitivity": ("noise", "sensitivity_mean"),
    "shift_sensitivity": ("shift", "sensitivity_mean"),
}
"""Columns of ``sanity.json``: their heads, and the registered metric that gives the better direction."""
UNCHANGED = "unchanged by randomisation: independent of what the network learnt"
CHANGED = "depends on the network"


def caption(board: Leaderboard) -> list[str]:
    """How the numbers were computed, as sentences."""
    failed = f", {board.failed} of them failed" if board.failed else ""
    said = [f"{_count(board.rows, 'row')}{failed}.", _means(board)]
    if board.choice is not None:
        said += _choice(board, board.choice)
    for column, texts in board.pooled.items():
        if len(texts) > 1:
            together = ", ".join(board.title_of(column, text) for text in texts)
            said.append(f"Pooled: {together}; each clip counts by its mean, and only if none of its rows failed.")
    said.append("In each panel, the best value of each metric is bold and the second best is underlined.")
    values = [(value, line) for line in board.lines for value in line.values]
    if any(math.isfinite(value.p) for value, _ in values):
        said.append(
            f"{ALIKE} marks values that do not differ significantly from the best (paired test, Holm-corrected p ≥ {ALPHA:g})."
        )
    bound = [head(m) for m in board.within_domains()]
    if bound:
        said.append(
            f"Metrics that depend on the domain's grid ({', '.join(bound)}) are marked, tested and ranked within each domain that "
            "has more than one line."
        )
    if any(line.role == "oracle" for line in board.lines):
        said.append("Oracles know the ground truth; they give an upper bound and are not marked.")
    if any(value.n < line.clips for value, line in values):
        said.append("A number in parentheses is the number of clips on which the metric is defined, if not on all.")
    return [*said, *board.notes]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _each(numbers: Sequence[int], total: int, noun: str) -> str:
    """The number in each panel, as text."""
    known = [n for n in numbers if n]
    if not known or (min(known) == max(known) == total):
        return _count(total, noun)
    if min(known) == max(known):
        return f"{_count(known[0], noun)} of each panel"
    return f"{min(known)} to {max(known)} {noun}s of each panel"


def _means(board: Leaderboard) -> str:
    of = f" from {_count(board.sources, 'source')}" if board.sources else ""
    clips = _each(board.panel_clips, board.clips, "clip")
    drawn = f"bootstrap over {'sources' if board.sources else 'clips'}, {_count(board.draws, 'draw')}"
    return f"Means over {clips}{of} ± half the width of {100 * board.level:g} % intervals ({drawn})."


def _choice(board: Leaderboard, choice: Choice) -> list[str]:
    """How the masks were chosen, and the panels in which no clip could decide."""
    one = "source" if board.sources else "one"
    half = f"every second {one} in sorted order" if choice.seed is None else f"drawn at random with seed {choice.seed}"
    named = ", ".join(name.replace("_", " ") for name in choice.metrics)
    rules = {
        RANK: f"by mean rank over {named}",
        SCORE: f"by the geometric mean of {named}, each scaled to [0, 1]",
    }
    total = len({name for clips in choice.clips for name in clips})
    others = f"{_each([len(clips) for clips in choice.clips], total, 'other clip')} ({half})"
    if choice.same_clips:
        others = "the same clips, so the numbers are too optimistic"
    what = " and ".join(choice.columns)
    said = [f"The {what} of each line was chosen on {others}, {rules.get(choice.how, f'by {named}')}."]
    for panel, lost in enumerate(choice.blind):
        if lost:
            lines = len(board.of_panel(panel))
            of = f"{lost} of {lines} lines" if lost < lines else "any line"
            where = board.panel_title(panel) or "this table"
            said.append(f"In {where}, no clip could decide the {what} of {of}; the first by name is shown.")
    return said


def chance_said(board: Leaderboard, panel: int) -> list[str]:
    """Chance levels of one panel, as a sentence."""
    parts = []
    for _, domain, levels in (found for found in board.chance_levels() if found[0] == panel):
        known = [
            f"{plain_head(m)} {number(c, 3)}" for m, c in zip(board.metrics, levels, strict=True) if math.isfinite(c)
        ]
        parts.append(f"in {domain} {', '.join(known)}")
    return [f"Chance level {'; '.join(parts)}."] if parts else []


def agreement_said(board: Leaderboard) -> str:
    """The lead of the table of rank correlations."""
    return (
        f"Kendall's rank correlation over lines, with {100 * board.level:g} % intervals; 1 means the same ranking. Lines of "
        "all domains are ranked together if both metrics compare domains, otherwise within each domain."
    )


# --- heads and numbers ----------------------------------------------------------------------------------------------


def head(metric: Metric) -> str:
    """Head of a metric's column: where it is measured, short name, unit, and better direction."""
    where = ("true " if metric.truth else "") + ("heard " if metric.heard else "")
    unit = f" ({metric.unit})" if metric.unit else ""
    return f"{where}{metric.short}{unit}{ARROWS[metric.higher_is_better]}"


def plain_head(metric: Metric) -> str:
    """Head of the chance level of a ground-truth metric."""
    return f"true {metric.short.removesuffix('−chance')}"


def digits_of(values: Sequence[float]) -> int:
    """Decimals that give the largest of some numbers three significant digits."""
    largest = max((abs(v) for v in values if math.isfinite(v)), default=0.0)
    return 3 if largest == 0 else min(4, max(0, 2 - math.floor(math.log10(largest) + 1e-9)))


def digits(board: Leaderboard) -> list[int]:
    """Decimals of each metric's column."""
    return [digits_of([line.values[i].mean for line in board.lines]) for i in range(len(board.metrics))]


def number(value: float, places: int) -> str:
    """A number with a true minus sign; a dash if it is not finite."""
    return fixed(value, places) if math.isfinite(value) else DASH


def width_of(value: Value, places: int) -> str:
    """Half the interval's width with a sign; empty without an interval."""
    return f"±{value.half_width:.{places}f}" if math.isfinite(value.half_width) else ""


# --- sanity checks --------------------------------------------------------------------------------------------------


def sanity_heads() -> list[str]:
    """Heads of the table of sanity checks."""
    better = {entry.name: entry.facts.get("higher_is_better") for entry in registry.entries("metric")}
    shown = [f"{short}{ARROWS[better.get(name)]}" for short, name in SANITY_NUMBERS.values()]
    return ["classifier", "method", "domain", "clips", *shown, "verdict"]


def sanity_rows(board: Leaderboard) -> list[list[Any]]:
    """One row per classifier, method and domain: texts, numbers (NaN if unknown), and the verdict."""
    titles = {(entry.get("method"), entry.get("domain")): str(entry["title"]) for entry in board.titled_methods()}
    out = []
    for row in board.sanity:
        texts = [str(row.get(name) or "") for name in ("classifier", "method", "domain")]
        texts[1] = titles.get((row.get("method"), row.get("domain")), texts[1])
        numbers = [_number(row.get(name)) for name in SANITY_NUMBERS]
        out.append([*texts, row.get("clips") or 0, *numbers, verdict(row)])
    return out


def verdict(row: Mapping[str, Any]) -> str:
    """The result of a row of sanity checks, in words."""
    if row.get("error"):
        return f"failed: {row['error']}"
    if not math.isfinite(_number(row.get("randomisation_similarity"))):
        return "not tested"
    return UNCHANGED if row.get("unchanged") else CHANGED


def _number(value: Any) -> float:
    known = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if known else math.nan
