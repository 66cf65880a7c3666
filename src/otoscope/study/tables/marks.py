"""Means with intervals, the best and the second best, and whether the others can be told from the best."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from otoscope.metrics.statistics import bootstrap, compare

BEST, SECOND = "best", "second"
ALIKE = 0.05
FEWEST = 0.5
"""A line may be best in a metric that says something on at least this share of the clips that any line has."""
FLIPS = 2000
MOST_TESTED = 50
"""Of more lines in a panel (a grid of masks, say), none is tested: corrected for so many, little could be told."""


@dataclass(frozen=True)
class Value:
    """One number of a table.

    Parameters
    ----------
    mean, low, high : float
        Over clips, and its interval; NaN where nothing can be said.
    n : int
        On how many clips it rests.
    mark : {"best", "second", ""}
    p : float
        That a line as good as the best would be as far from it, corrected for all that are compared; NaN for the best, and
        where it was not tested.
    """

    mean: float
    low: float
    high: float
    n: int
    mark: str = ""
    p: float = float("nan")

    @property
    def half_width(self) -> float:
        """Half the width of the interval."""
        return (self.high - self.low) / 2

    @property
    def alike(self) -> bool:
        """Whether it cannot be told from the best."""
        return self.p >= ALIKE


def marked(
    values: np.ndarray, higher: bool | None, entered: np.ndarray, level: float = 0.95, draws: int = 1000
) -> list[Value]:
    """One metric of the lines of a panel: means, intervals, marks and tests.

    Parameters
    ----------
    values : ndarray (line, clip)
        NaN where nothing can be said.
    higher : bool or None
        Whether higher is better; None marks nothing.
    entered : ndarray (line,), bool
        Which lines may be best; the others (oracles) are neither marked nor tested.
    level : float in (0, 1)
        Of the intervals.
    draws : int
        How often clips are drawn anew.
    """
    found = bootstrap(values.T, level, draws)
    marks, p = [""] * len(values), np.full(len(values), np.nan)
    if higher is not None:
        marks = best_and_second(found.value, higher, entered & (found.n >= FEWEST * found.n.max(initial=0)))
        tested = np.flatnonzero(entered & (found.n > 0))
        if BEST in marks and 1 < len(tested) <= MOST_TESTED:
            place = int(np.flatnonzero(tested == marks.index(BEST))[0])
            p[tested] = [t.p for t in compare(values[tested].T, place, FLIPS)]
            p[[mark == BEST for mark in marks]] = np.nan
    numbers = zip(found.value, found.low, found.high, found.n, marks, p, strict=True)
    return [Value(float(v), float(a), float(b), int(n), mark, float(q)) for v, a, b, n, mark, q in numbers]


def means(values: np.ndarray) -> np.ndarray:
    """Means over clips, ``(line,)`` of ``(line, clip)``, of what is finite; NaN where nothing is."""
    known = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(known, values, 0.0).sum(1) / np.where(known.any(1), known.sum(1), np.nan))


def best_and_second(mean: np.ndarray, higher: bool, allowed: np.ndarray) -> list[str]:
    """A mark for each line, ``(line,)``.

    All that share the best mean are best, unless all lines share it. The next one is second, or several are if others are
    worse. Means that differ by rounding alone are the same.
    """
    goodness = np.where(allowed & np.isfinite(mean), mean if higher else -mean, np.nan)
    exact = [float(f"{g:.12g}") for g in goodness]
    places = sorted({g for g in exact if np.isfinite(g)}, reverse=True)
    words = {}
    if len(places) > 1 or np.isfinite(exact).sum() == 1:
        words[places[0]] = BEST
    if len(places) > 2 or (len(places) == 2 and exact.count(places[1]) == 1):
        words[places[1]] = SECOND
    return [words.get(g, "") for g in exact]
