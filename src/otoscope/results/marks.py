"""Means with intervals, the best and the second best, and whether the others can be told from the best."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from otoscope.results.draw import Drawing

BEST, SECOND = "best", "second"
ALIKE = 0.05
FEWEST = 0.5
"""A line may be best in a metric that says something on at least this share of the clips that any line has."""
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
    chance : float
        What chance gets, over the clips of the line's panel and domain; NaN where nobody knows.
    """

    mean: float
    low: float
    high: float
    n: int
    mark: str = ""
    p: float = float("nan")
    chance: float = float("nan")

    @property
    def half_width(self) -> float:
        """Half the width of the interval."""
        return (self.high - self.low) / 2

    @property
    def alike(self) -> bool:
        """Whether it cannot be told from the best."""
        return self.p >= ALIKE


def marked(
    values: np.ndarray,
    higher: bool | None,
    entered: np.ndarray,
    drawing: Drawing | None = None,
    within: np.ndarray | None = None,
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
    drawing : Drawing, optional
        How clips are drawn anew.
    within : ndarray (line,), optional
        Only lines with one word are compared, those of one domain, say; who is alone among others is not marked.
    """
    drawing = drawing or Drawing()
    found = drawing.intervals(values)
    marks, p = np.full(len(values), "", object), np.full(len(values), np.nan)
    words = np.zeros(len(values)) if within is None else np.asarray(within)
    for word in np.unique(words) if higher is not None else ():
        mine = np.flatnonzero(words == word)
        if len(mine) < len(words) and entered[mine].sum() < 2:
            continue
        allowed = entered[mine] & (found.n[mine] >= FEWEST * found.n[mine].max(initial=0))
        marks[mine] = best_and_second(found.value[mine], bool(higher), allowed)
        tested = mine[entered[mine] & (found.n[mine] > 0)]
        best = np.flatnonzero(marks[tested] == BEST)
        if len(best) and 1 < len(tested) <= MOST_TESTED:
            p[tested] = drawing.p_values(values[tested], int(best[0]))
            p[tested[best]] = np.nan
    numbers = zip(found.value, found.low, found.high, found.n, marks, p, strict=True)
    return [Value(float(v), float(a), float(b), int(n), str(mark), float(q)) for v, a, b, n, mark, q in numbers]


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
