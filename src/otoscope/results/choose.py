"""Which mask speaks for a method: chosen on one half of the clips, so that the other half can say how good it is."""

from __future__ import annotations

import numpy as np

LEAST = 1e-9


def mean_rank(means: np.ndarray, higher: np.ndarray) -> np.ndarray:
    """Mean place of each row among all rows, over the metrics; 1 is the best in every metric.

    Parameters
    ----------
    means : ndarray (row, metric)
        NaN is the last place.
    higher : ndarray (metric,), bool
        Whether higher is better.

    Returns
    -------
    ndarray (row,)
        At least 1; ties share their mean place.
    """
    signed = np.where(higher, -1.0, 1.0) * means
    signed = np.where(np.isnan(signed), np.inf, signed)
    below = (signed[None, :, :] < signed[:, None, :]).sum(1)
    same = (signed[None, :, :] == signed[:, None, :]).sum(1)
    return np.asarray((below + (same + 1) / 2).mean(1))


def geometric_score(means: np.ndarray, higher: np.ndarray, among: np.ndarray | None = None) -> np.ndarray:
    """audiointerp's score: each metric stretched to [0, 1], turned so that 1 is best, and the geometric mean of all.

    Parameters
    ----------
    means : ndarray (row, metric)
    higher : ndarray (metric,), bool
        Whether higher is better.
    among : ndarray (row, metric), optional
        Whose least and most are 0 and 1; by default ``means`` itself. What lies outside is cut off.

    Returns
    -------
    ndarray (row,) in [0, 1]
        NaN where a metric is. A metric that is worst, so 0, counts as 1e-9: one such metric all but ends a row's chances.

    Notes
    -----
    Source: audiointerp. A metric that is the same everywhere says nothing and is left out.
    """
    among = means if among is None else among
    low, high = np.nanmin(among, 0), np.nanmax(among, 0)
    told = high > low
    if not told.any():
        return np.where(np.isnan(means).any(1), np.nan, 1.0)
    scaled = np.clip((means[:, told] - low[told]) / (high[told] - low[told]), 0.0, 1.0)
    scaled = np.where(higher[told], scaled, 1.0 - scaled)
    return np.asarray(np.exp(np.log(np.maximum(scaled, LEAST)).mean(1)))


def best_of_each(goodness: np.ndarray, line: np.ndarray) -> np.ndarray:
    """The row with the highest goodness of every line, ``(line,)`` int; the first of several, NaN last.

    Parameters
    ----------
    goodness : ndarray (row,)
    line : ndarray (row,), int
        Which line each row belongs to: 0 to n - 1, none empty.
    """
    known = np.where(np.isnan(goodness), -np.inf, goodness)
    order = np.lexsort((np.arange(len(line)), -known, line))
    first = np.ones(len(line), bool)
    first[1:] = line[order][1:] != line[order][:-1]
    return np.asarray(order[first])
