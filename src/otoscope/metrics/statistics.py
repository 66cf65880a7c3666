"""Confidence intervals over clips. NaN means that a metric is undefined on a clip.

Clips are the unit of resampling; with ``clusters``, all clips of one cluster (of one source, say) are resampled
together. Everything is seeded, so equal input gives equal output.
"""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from otoscope.core.errors import NonFiniteError, ParameterError, ShapeError
from otoscope.metrics.ranks import kendall, spearman

LEVEL = 0.95
DRAWS = 2000
WAYS = ("percentile", "bca")
CHUNK = 1 << 22
ORDERS = {"kendall": kendall, "spearman": spearman}


class Interval(NamedTuple):
    """A number and its confidence interval.

    Parameters
    ----------
    value, low, high : ndarray
        NaN with too few finite values: the value needs one, the interval two.
    n : ndarray
        Number of clips with a finite value.
    """

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    n: np.ndarray


def bootstrap(
    values: np.ndarray,
    level: float = LEVEL,
    draws: int = DRAWS,
    seed: int = 0,
    way: str = "percentile",
    clusters: np.ndarray | None = None,
) -> Interval:
    """Means over clips with bootstrap intervals.

    Parameters
    ----------
    values : ndarray (clip,) or (clip, column)
        NaN if undefined; all columns share the resampled clips.
    level : float in (0, 1)
        Confidence level.
    draws : int
        Number of resamples, at least 1.
    seed : int
        Seed of the resampling.
    way : {"percentile", "bca"}
        ``bca`` corrects bias and skew; it does not support clusters.
    clusters : ndarray (clip,), optional
        Label of each clip's cluster; by default each clip is its own. The interval then needs two clusters.

    Returns
    -------
    Interval
        Arrays ``()`` or ``(column,)``.

    Raises
    ------
    ShapeError, ParameterError, NonFiniteError
        For values with infinities, or settings out of range.

    Notes
    -----
    Source: efron1987better.

    Examples
    --------
    >>> found = bootstrap(np.array([0.0, 0.5, 1.0]))
    >>> float(found.value), int(found.n)
    (0.5, 3)
    """
    table = as_table(values)
    if way not in WAYS:
        raise ParameterError(f"way must be {' or '.join(WAYS)}; got {way!r}")
    check_settings(level, draws)
    columns = table if table.ndim == 2 else table[:, None]
    member = membership(clusters, len(columns))
    if member is not None and way == "bca":
        raise ParameterError("bca intervals do not support clusters; use way='percentile'")
    known = ~np.isnan(columns)
    n = known.sum(0)
    enough = (n if member is None else (member.T @ known > 0).sum(0)) >= 2
    value = _means(np.ones((1, len(columns))), columns)[0]
    if member is not None:
        with np.errstate(invalid="ignore"):
            value = np.where(known, columns, 0.0).sum(0) / n  # to the bit what tables with sources have shown
    drawn = np.concatenate([_means(w, columns) for w in _resampled(len(columns), draws, seed, member)])
    tails = np.array([(1 - level) / 2, (1 + level) / 2])
    low, high = np.full((2, columns.shape[1]), np.nan)
    whole = enough & ~np.isnan(drawn).any(0) & (way == "percentile")
    if whole.any():
        low[whole], high[whole] = np.quantile(drawn[:, whole], tails, axis=0)
    for i in np.flatnonzero(enough & ~whole):
        some = drawn[~np.isnan(drawn[:, i]), i]
        at = tails if way == "percentile" else _corrected(columns[:, i], value[i], some, tails)
        low[i], high[i] = np.quantile(some, at)
    return Interval(*(x if table.ndim == 2 else x[0] for x in (value, low, high, n)))


def as_table(values: np.ndarray) -> np.ndarray:
    """Values over clips as float64 ``(clip,)`` or ``(clip, column)``, checked."""
    table = np.asarray(values, np.float64)
    if table.ndim not in (1, 2):
        raise ShapeError(f"values over clips are (clip,) or (clip, column); got shape {table.shape}")
    if np.isinf(table).any():
        raise NonFiniteError(
            f"{int(np.isinf(table).sum())} values over clips are infinite, so they have no mean; use NaN"
        )
    return table


def check_settings(level: float, draws: int) -> None:
    """Raise an error unless both are in range."""
    if not (isinstance(level, int | float) and 0 < level < 1):
        raise ParameterError(f"the level of an interval must lie between 0 and 1; got {level!r}")
    if isinstance(draws, bool) or not isinstance(draws, int | np.integer) or draws < 1:
        raise ParameterError(f"draws must be a whole number of at least 1; got {draws!r}")


@lru_cache(maxsize=1)
def _weights(clips: int, draws: int, seed: int) -> list[np.ndarray]:
    """How often each clip is drawn, ``(draw, clip)``, in blocks that fit into memory."""
    rng, step = np.random.default_rng(seed), max(1, CHUNK // max(1, clips))
    if not clips:
        return [np.zeros((draws, 0))]
    even = np.full(clips, 1 / clips)
    return [
        rng.multinomial(clips, even, min(step, draws - start)).astype(np.float64) for start in range(0, draws, step)
    ]


def membership(clusters: np.ndarray | None, clips: int) -> np.ndarray | None:
    """Membership ``(clip, cluster)`` of 0 and 1; None if each clip is its own cluster."""
    if clusters is None:
        return None
    names, place = np.unique(clusters, return_inverse=True)
    if place.shape != (clips,):
        raise ShapeError(f"clusters must have one label per clip, ({clips},); got shape {np.shape(clusters)}")
    return None if len(names) == clips else np.eye(len(names))[place]


def _resampled(clips: int, draws: int, seed: int, member: np.ndarray | None) -> list[np.ndarray]:
    """As `_weights`, with the clips of a cluster drawn together."""
    if member is None:
        return _weights(clips, draws, seed)
    return [weights @ member.T for weights in _weights(member.shape[1], draws, seed)]


def _means(weights: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Weighted means over the clips with finite values, ``(draw, column)``."""
    known = ~np.isnan(columns)
    count = weights.sum(1, keepdims=True) if known.all() else weights @ known.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (weights @ np.where(known, columns, 0.0)) / count


def _corrected(values: np.ndarray, value: float, drawn: np.ndarray, tails: np.ndarray) -> np.ndarray:
    """Quantiles that correct for bias and acceleration."""
    normal = NormalDist()
    noise = 1e-12 * float(np.abs(drawn).max())  # means of the same clips in another order
    below = float(np.mean(drawn < value - noise) + np.mean(np.abs(drawn - value) <= noise) / 2)
    if not 0 < below < 1:
        return tails
    known = values[~np.isnan(values)]
    left = (known.sum() - known) / (len(known) - 1)  # means without one clip each
    gap = left.mean() - left
    size = float((gap**2).sum())
    slope = float((gap**3).sum()) / (6 * size**1.5) if size > 0 else 0.0
    bias = normal.inv_cdf(below)
    out = []
    for tail in tails:
        z = bias + normal.inv_cdf(float(tail))
        out.append(normal.cdf(bias + z / (1 - slope * z)))
    return np.clip(np.array(out), 0.0, 1.0)


def wilson_interval(right: int, n: int, z: float = 1.959964) -> tuple[float, float]:
    """Wilson's interval of a share: within [0, 1], and accurate for few clips.

    Parameters
    ----------
    right, n : int
        Number of successes, and of trials.
    z : float
        Quantile of the normal distribution; the default is the 95 % interval.

    Returns
    -------
    (float, float)
        Both ends; (0, 1) without trials.

    Notes
    -----
    Source: wilson1927probable.

    Examples
    --------
    >>> [round(end, 2) for end in wilson_interval(9, 10)]
    [0.6, 0.98]
    """
    if n == 0:
        return 0.0, 1.0
    p, zz = right / n, z * z
    centre = (p + zz / (2 * n)) / (1 + zz / n)
    half = z / (1 + zz / n) * math.sqrt(p * (1 - p) / n + zz / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def agreement(
    first: np.ndarray,
    second: np.ndarray,
    order: str = "kendall",
    level: float = LEVEL,
    draws: int = DRAWS,
    seed: int = 0,
    clusters: np.ndarray | None = None,
) -> Interval:
    """Whether two metrics rank the methods alike: correlation of the methods' means, with an interval over clips.

    Parameters
    ----------
    first, second : ndarray (clip, method)
        Both metrics of the same clips and methods; negate one whose lower values are better.
    order : {"kendall", "spearman"}
        The correlation.
    level, draws, seed, clusters
        As `bootstrap` takes them.

    Returns
    -------
    Interval
        In [-1, 1]; NaN if all methods have one mean, or a method has none. Resamples without an order are left out.

    Notes
    -----
    Source: kendall1945treatment, efron1987better.

    Examples
    --------
    >>> first = np.array([[0.1, 0.5, 0.9], [0.2, 0.4, 0.8]])
    >>> float(agreement(first, 2 * first).value)
    1.0
    """
    a, b = as_table(first), as_table(second)
    if a.ndim != 2 or a.shape != b.shape:
        raise ShapeError(f"agreement compares two tables (clip, method) of one shape; got {a.shape} and {b.shape}")
    if order not in ORDERS:
        raise ParameterError(f"methods are ranked by {' or '.join(ORDERS)}; got {order!r}")
    check_settings(level, draws)
    ones = np.ones((1, len(a)))
    value = ORDERS[order](_rounded(_means(ones, a)), _rounded(_means(ones, b)))[0]
    member = membership(clusters, len(a))
    weights = _resampled(len(a), draws, seed, member)
    drawn = np.concatenate([ORDERS[order](_rounded(_means(w, a)), _rounded(_means(w, b))) for w in weights])
    drawn = drawn[~np.isnan(drawn)]
    low, high = np.full(2, np.nan)
    if (len(a) if member is None else member.shape[1]) >= 2 and len(drawn):
        low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    n = (~np.isnan(a) & ~np.isnan(b)).any(1).sum()
    return Interval(np.asarray(value), np.asarray(low), np.asarray(high), np.asarray(n))


def _rounded(means: np.ndarray) -> np.ndarray:
    """Means that differ by rounding alone are the same."""
    return means.round(12)
