"""Whether metrics put the methods into the order in which truth puts them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from otoscope.metrics.statistics import agreement
from otoscope.study.tables.columns import Metric

FEWEST, MOST = 4, 100


@dataclass(frozen=True)
class Agreement:
    """Rank correlation of a metric with a metric of truth, over the lines of a panel.

    Parameters
    ----------
    panel : int
    metric, truth : str
    tau : float in [-1, 1]
        Kendall's; 1 where both put the lines into the same order of goodness.
    low, high : float
        Its interval, with clips drawn anew.
    lines : int
        How many were ranked.
    """

    panel: int
    metric: str
    truth: str
    tau: float
    low: float
    high: float
    lines: int


def agreements(
    panel: int,
    metrics: Sequence[Metric],
    values: Mapping[str, np.ndarray],
    entered: np.ndarray,
    level: float,
    draws: int,
) -> list[Agreement]:
    """How each metric agrees with each metric of truth, in one panel.

    Parameters
    ----------
    panel : int
    metrics : sequence of Metric
        Those that have a direction are compared.
    values : mapping of str to ndarray (line, clip)
        Of each metric, NaN where nothing can be said.
    entered : ndarray (line,), bool
        The lines that are ranked; oracles are not.
    level : float in (0, 1)
    draws : int
    """
    told = [m for m in metrics if m.higher_is_better is not None]
    out = []
    for truth in (m for m in told if m.truth):
        for metric in (m for m in told if not m.truth):
            first, second = values[metric.name], values[truth.name]
            lines = entered & np.isfinite(first).any(1) & np.isfinite(second).any(1)
            if FEWEST <= lines.sum() <= MOST:
                sign = 1.0 if metric.higher_is_better == truth.higher_is_better else -1.0
                found = agreement(sign * first[lines].T, second[lines].T, "kendall", level, draws)
                if np.isfinite(found.value):
                    tau, low, high = float(found.value), float(found.low), float(found.high)
                    out.append(Agreement(panel, metric.name, truth.name, tau, low, high, int(lines.sum())))
    return out
