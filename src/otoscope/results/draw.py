"""Means over clips drawn anew, tests and rank correlations, where clips of one source are drawn together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from otoscope.metrics.ranks import kendall
from otoscope.metrics.statistics import Interval, agreement, bootstrap, holm, sign_flip

FLIPS = 2000


@dataclass(frozen=True, eq=False)
class Drawing:
    """How clips are drawn anew.

    Parameters
    ----------
    level : float in (0, 1)
        Of the intervals.
    draws : int
    source : ndarray (clip,), int, optional
        Clips with one number are drawn together; by default each clip is drawn alone.
    """

    level: float = 0.95
    draws: int = 1000
    source: np.ndarray | None = None

    def together(self) -> np.ndarray | None:
        """Which clips each source has, ``(clip, source)`` of 0 and 1; None where each clip is its own."""
        if self.source is None:
            return None
        found, place = np.unique(self.source, return_inverse=True)
        return None if len(found) == len(place) else np.eye(len(found))[place]

    def intervals(self, values: np.ndarray) -> Interval:
        """Means and intervals of ``(line, clip)``; there is none where fewer than two sources say something."""
        member = self.together()
        if member is None:
            return bootstrap(values.T, self.level, self.draws)
        known, drawn = np.isfinite(values), self._drawn(values, member)
        count = known.sum(1)
        with np.errstate(invalid="ignore"):
            mean = np.where(known, values, 0.0).sum(1) / np.where(count > 0, count, np.nan)
        low, high = np.full((2, len(values)), np.nan)
        for i in np.flatnonzero((known @ member > 0).sum(1) >= 2):
            low[i], high[i] = self._ends(drawn[:, i])
        return Interval(mean, low, high, count)

    def p_values(self, values: np.ndarray, best: int) -> np.ndarray:
        """Whether each line ``(line, clip)`` can be told from one of them, corrected by Holm; NaN for that one."""
        member = self.together()
        gaps = values - values[best]
        if member is not None:
            known = np.isfinite(gaps)
            gaps = np.where(known @ member > 0, np.where(known, gaps, 0.0) @ member, np.nan)
        nothing = np.zeros(gaps.shape[1])
        p = [np.nan if i == best else sign_flip(row, nothing, FLIPS).p for i, row in enumerate(gaps)]
        return holm(np.array(p))

    def order(self, first: np.ndarray, second: np.ndarray) -> Interval:
        """Kendall's rank correlation of the lines' means by two metrics, each ``(line, clip)``."""
        member = self.together()
        found = agreement(first.T, second.T, "kendall", self.level, self.draws if member is None else 1)
        if member is None:
            return found
        drawn = kendall(*(self._drawn(v, member).round(12) for v in (first, second)))
        drawn, low, high = drawn[np.isfinite(drawn)], np.full((), np.nan), np.full((), np.nan)
        if len(drawn) and member.shape[1] >= 2:
            low, high = self._ends(drawn)
        return Interval(found.value, low, high, found.n)

    def _drawn(self, values: np.ndarray, member: np.ndarray) -> np.ndarray:
        """Means over clips whose sources were drawn, ``(draw, line)``."""
        known, sources = np.isfinite(values), member.shape[1]
        weights = np.random.default_rng(0).multinomial(sources, np.full(sources, 1 / sources), self.draws) @ member.T
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray((weights @ np.where(known, values, 0.0).T) / (weights @ known.T.astype(float)))

    def _ends(self, drawn: np.ndarray) -> np.ndarray:
        return np.asarray(np.nanquantile(drawn, [(1 - self.level) / 2, (1 + self.level) / 2]))
