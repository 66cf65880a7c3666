"""Comparison of lines: means with intervals, the best and the second best, tests against the best, agreement of metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from otoscope.metrics.paired import compare
from otoscope.metrics.statistics import Interval, agreement, bootstrap
from otoscope.results.metrics import Metric

BEST, SECOND = "best", "second"
ALPHA = 0.05
MIN_SHARE = 0.5
"""A line may be best only if the metric is finite on at least this share of the clips of the line with the most."""
MAX_TESTED = 50
"""Panels with more lines (a grid of masks, for example) are not tested: the correction would leave little power."""
FLIPS = 2000
MIN_RANKED, MAX_RANKED = 4, 100


@dataclass(frozen=True, eq=False)
class ClusterBootstrap:
    """Intervals and tests over clips, of which those with one ``source`` (clip,) are resampled together."""

    level: float = 0.95
    draws: int = 1000
    source: np.ndarray | None = None

    def intervals(self, values: np.ndarray) -> Interval:
        """Means and intervals of ``(line, clip)``; NaN limits with fewer than two sources."""
        return bootstrap(values.T, self.level, self.draws, clusters=self.source)

    def p_values(self, values: np.ndarray, best: int) -> np.ndarray:
        """P-value of the difference of each line ``(line, clip)`` from one of them, Holm-corrected; NaN for that one."""
        return np.array([test.p for test in compare(values.T, best, FLIPS, clusters=self.source)])

    def agreement(self, first: np.ndarray, second: np.ndarray) -> Interval:
        """Kendall's rank correlation of the lines' means by two metrics, each ``(line, clip)``."""
        return agreement(first.T, second.T, "kendall", self.level, self.draws, clusters=self.source)


@dataclass(frozen=True)
class Value:
    """One number of a leaderboard.

    Parameters
    ----------
    mean, low, high : float
        Mean over clips and its interval; NaN if undefined.
    n : int
        Number of clips with a finite value.
    mark : {"best", "second", ""}
        Rank among the lines; empty for all others.
    p : float
        Corrected p-value of the difference from the best; NaN for the best and for untested lines.
    chance : float
        Chance level over the clips of the line's panel and domain; NaN if unknown.
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
        """Whether it does not differ significantly from the best."""
        return self.p >= ALPHA


def significance(
    values: np.ndarray,
    higher: bool | None,
    entered: np.ndarray,
    bootstrap: ClusterBootstrap | None = None,
    within: np.ndarray | None = None,
) -> list[Value]:
    """One metric of the lines of a panel, ``values`` (line, clip): means, intervals, marks and tests.

    Without a direction (``higher`` is None) nothing is marked. Lines that are not ``entered`` (oracles) are neither marked nor
    tested. ``within`` (line,) compares lines only with lines of the same label, for example a domain; a single line is not marked.
    """
    bootstrap = bootstrap or ClusterBootstrap()
    found = bootstrap.intervals(values)
    marks, p = np.full(len(values), "", object), np.full(len(values), np.nan)
    labels = np.zeros(len(values)) if within is None else np.asarray(within)
    for label in np.unique(labels) if higher is not None else ():
        mine = np.flatnonzero(labels == label)
        if len(mine) < len(labels) and entered[mine].sum() < 2:
            continue
        allowed = entered[mine] & (found.n[mine] >= MIN_SHARE * found.n[mine].max(initial=0))
        marks[mine] = best_and_second(found.value[mine], bool(higher), allowed)
        tested = mine[entered[mine] & (found.n[mine] > 0)]
        best = np.flatnonzero(marks[tested] == BEST)
        if len(best) and 1 < len(tested) <= MAX_TESTED:
            p[tested] = bootstrap.p_values(values[tested], int(best[0]))
            p[tested[best]] = np.nan
    numbers = zip(found.value, found.low, found.high, found.n, marks, p, strict=True)
    return [Value(float(v), float(a), float(b), int(n), str(mark), float(q)) for v, a, b, n, mark, q in numbers]


def best_and_second(mean: np.ndarray, higher: bool, allowed: np.ndarray) -> list[str]:
    """A mark for each line, ``(line,)``.

    All lines with the best mean are best, unless all lines share it. The next is second; several are if others are worse.
    Means that differ by rounding only are equal.
    """
    goodness = np.where(allowed & np.isfinite(mean), mean if higher else -mean, np.nan)
    exact = [float(f"{g:.12g}") for g in goodness]
    places = sorted({g for g in exact if np.isfinite(g)}, reverse=True)
    marks = {}
    if len(places) > 1 or np.isfinite(exact).sum() == 1:
        marks[places[0]] = BEST
    if len(places) > 2 or (len(places) == 2 and exact.count(places[1]) == 1):
        marks[places[1]] = SECOND
    return [marks.get(g, "") for g in exact]


@dataclass(frozen=True)
class Agreement:
    """Rank correlation of a metric with a ground-truth metric, over the lines of a panel or of one of its domains.

    Parameters
    ----------
    panel : int
        Index of the panel.
    metric, truth : str
        Names of the compared metrics.
    tau : float in [-1, 1]
        Kendall's tau-b; 1 if both rank the lines alike from best to worst.
    low, high : float
        Its bootstrap interval over clips.
    lines : int
        Number of ranked lines.
    domain : str
        The domain of the ranked lines; empty if lines of all domains are ranked because both metrics compare domains.
    """

    panel: int
    metric: str
    truth: str
    tau: float
    low: float
    high: float
    lines: int
    domain: str = ""


def agreements(
    panel: int,
    metrics: Sequence[Metric],
    values: Mapping[str, np.ndarray],
    entered: np.ndarray,
    domains: Sequence[str],
    bootstrap: ClusterBootstrap,
) -> list[Agreement]:
    """Agreement of each metric with each ground-truth metric in one panel, from the ``values`` (line, clip) of each.

    Metrics with a direction are compared: over all ``entered`` lines (no oracles) if both compare domains, else in each domain.
    """
    directed, of = [m for m in metrics if m.higher_is_better is not None], np.array(domains)
    out = []
    for truth in (m for m in directed if m.truth):
        for metric in (m for m in directed if not m.truth):
            first, second = values[metric.name], values[truth.name]
            sign = 1.0 if metric.higher_is_better == truth.higher_is_better else -1.0
            ranked = entered & np.isfinite(first).any(1) & np.isfinite(second).any(1)
            for domain in (None,) if metric.across and truth.across else sorted(set(domains)):
                lines = ranked if domain is None else ranked & (of == domain)
                if not MIN_RANKED <= lines.sum() <= MAX_RANKED:
                    continue
                found = bootstrap.agreement(sign * first[lines], second[lines])
                if np.isfinite(found.value):
                    numbers = float(found.value), float(found.low), float(found.high)
                    out.append(Agreement(panel, metric.name, truth.name, *numbers, int(lines.sum()), domain or ""))
    return out
