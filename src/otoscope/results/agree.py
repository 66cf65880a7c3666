"""Whether metrics put the methods into the order in which truth puts them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from otoscope.results.columns import Metric
from otoscope.results.draw import Drawing

FEWEST, MOST = 4, 100


@dataclass(frozen=True)
class Agreement:
    """Rank correlation of a metric with a metric of truth, over the lines of a panel, or of one of its domains.

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
    domain : str
        To which domain's lines it is limited; empty where both metrics compare domains, and all lines were ranked.
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
    drawing: Drawing,
) -> list[Agreement]:
    """How each metric agrees with each metric of truth, in one panel.

    Parameters
    ----------
    panel : int
    metrics : sequence of Metric
        Those that have a direction are compared: over all lines where both compare domains, else within each domain.
    values : mapping of str to ndarray (line, clip)
        Of each metric, NaN where nothing can be said.
    entered : ndarray (line,), bool
        The lines that are ranked; oracles are not.
    domains : sequence of str
        Of each line.
    drawing : Drawing
    """
    told, of = [m for m in metrics if m.higher_is_better is not None], np.array(domains)
    out = []
    for truth in (m for m in told if m.truth):
        for metric in (m for m in told if not m.truth):
            first, second = values[metric.name], values[truth.name]
            sign = 1.0 if metric.higher_is_better == truth.higher_is_better else -1.0
            ranked = entered & np.isfinite(first).any(1) & np.isfinite(second).any(1)
            for domain in (None,) if metric.across and truth.across else sorted(set(domains)):
                lines = ranked if domain is None else ranked & (of == domain)
                if not FEWEST <= lines.sum() <= MOST:
                    continue
                found = drawing.order(sign * first[lines], second[lines])
                if np.isfinite(found.value):
                    numbers = float(found.value), float(found.low), float(found.high)
                    out.append(Agreement(panel, metric.name, truth.name, *numbers, int(lines.sum()), domain or ""))
    return out
