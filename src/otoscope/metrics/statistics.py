"""Intervals of means over clips, and tests whether methods differ. NaN means that a metric is undefined on a clip.

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
from otoscope.core.runtime import require
from otoscope.metrics.ranks import kendall, spearman

LEVEL = 0.95
DRAWS = 2000
EXACT = 16  # up to so many pairs, all signs are tried
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


class Paired(NamedTuple):
    """A paired test.

    Parameters
    ----------
    difference : float
        Mean of the first minus the second over the pairs.
    p : float
        Two-sided p-value; NaN without pairs.
    n : int
        Number of pairs.
    """

    difference: float
    p: float
    n: int


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
    """
    table = _table(values)
    if way not in WAYS:
        raise ParameterError(f"way must be {' or '.join(WAYS)}; got {way!r}")
    _check(level, draws)
    columns = table if table.ndim == 2 else table[:, None]
    member = _members(clusters, len(columns))
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


def _table(values: np.ndarray) -> np.ndarray:
    table = np.asarray(values, np.float64)
    if table.ndim not in (1, 2):
        raise ShapeError(f"values over clips are (clip,) or (clip, column); got shape {table.shape}")
    if np.isinf(table).any():
        raise NonFiniteError(
            f"{int(np.isinf(table).sum())} values over clips are infinite, so they have no mean; use NaN"
        )
    return table


def _check(level: float, draws: int) -> None:
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


def _members(clusters: np.ndarray | None, clips: int) -> np.ndarray | None:
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


def sign_flip(
    first: np.ndarray, second: np.ndarray, draws: int = 10_000, seed: int = 0, clusters: np.ndarray | None = None
) -> Paired:
    """Paired permutation test: how often random signs of the differences give a mean difference as large.

    Parameters
    ----------
    first, second : ndarray (clip,)
        Of the same clips; pairs with NaN are left out.
    draws : int
        Number of random sign patterns. Up to 16 pairs with at most ``draws`` patterns are tested exactly.
    seed : int
        Seed of the signs.
    clusters : ndarray (clip,), optional
        Label of each clip's cluster: the clips of one cluster share their sign.

    Returns
    -------
    Paired

    Notes
    -----
    Source: pitman1937significance; drawn signs count the observed ones once, so p is never 0.
    """
    each = _gaps(first, second)
    _check(LEVEL, draws)
    known = ~np.isnan(each)
    if not known.any():
        return Paired(math.nan, math.nan, 0)
    gaps, member = each[known], _members(clusters, len(each))
    pairs, difference = len(gaps), float(gaps.mean())
    if member is not None:
        gaps = gaps @ member[known][:, member[known].any(0)]
    n, observed = len(gaps), float(gaps.mean())
    scale = float(np.abs(gaps).max())
    if scale == 0:
        return Paired(0.0, 1.0, pairs)
    exact = n <= EXACT and 2**n <= max(draws, 2)
    reached, count = 0, 0
    for signs in _all_signs(n) if exact else _some_signs(n, draws, seed):
        means = np.abs(signs @ (gaps / scale)) / n
        reached += int((means >= abs(observed) / scale * (1 - 1e-12) - 1e-15).sum())
        count += len(signs)
    p = reached / count if exact else (reached + 1) / (count + 1)
    return Paired(difference, min(p, 1.0), pairs)


def _all_signs(n: int) -> list[np.ndarray]:
    return [1.0 - 2.0 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)]


@lru_cache(maxsize=1)
def _some_signs(n: int, draws: int, seed: int) -> list[np.ndarray]:
    rng, step = np.random.default_rng(seed), max(1, CHUNK // n)
    return [rng.choice((-1.0, 1.0), (min(step, draws - start), n)) for start in range(0, draws, step)]


def wilcoxon(first: np.ndarray, second: np.ndarray) -> Paired:
    """Wilcoxon's signed-rank test of paired values, two-sided.

    Parameters
    ----------
    first, second : ndarray (clip,)
        Of the same clips; pairs with NaN are left out. Pairs without difference are ranked too, as the lowest, but
        their ranks count for neither sign.

    Returns
    -------
    Paired
        ``p`` is 1 where no pair differs.

    Raises
    ------
    MissingExtraError
        Without SciPy.

    Notes
    -----
    Source: wilcoxon1945individual, with the treatment of zeros of pratt1959remarks, by SciPy.
    """
    gaps = _gaps(first, second)
    gaps = gaps[~np.isnan(gaps)]
    if not len(gaps):
        return Paired(math.nan, math.nan, 0)
    if not gaps.any():
        return Paired(0.0, 1.0, len(gaps))
    stats = require("scipy.stats", "components", "the signed-rank test", "scipy")
    return Paired(float(gaps.mean()), float(stats.wilcoxon(gaps, zero_method="pratt").pvalue), len(gaps))


def _gaps(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    a, b = _table(first), _table(second)
    if a.ndim != 1 or a.shape != b.shape:
        raise ShapeError(f"a paired test compares values (clip,) of the same clips; got shapes {a.shape} and {b.shape}")
    return np.asarray(a - b)


def holm(p: np.ndarray) -> np.ndarray:
    """P-values corrected for multiple tests by Holm's step-down method.

    Parameters
    ----------
    p : ndarray
        Of any shape, in [0, 1]; NaN (no test) does not count and stays NaN.

    Returns
    -------
    ndarray
        At least the given p-values, at most 1.

    Notes
    -----
    Source: holm1979simple.
    """
    given = np.asarray(p, np.float64)
    if ((given < 0) | (given > 1)).any():
        raise ParameterError("p-values must lie in [0, 1]")
    out = given.ravel().copy()
    known = np.flatnonzero(~np.isnan(out))
    order = known[np.argsort(out[known], kind="stable")]
    steps = out[order] * (len(order) - np.arange(len(order)))
    out[order] = np.minimum(np.maximum.accumulate(steps), 1.0) if len(order) else steps
    return out.reshape(given.shape)


def compare(
    values: np.ndarray, column: int, draws: int = 10_000, seed: int = 0, clusters: np.ndarray | None = None
) -> list[Paired]:
    """Every method against one, by `sign_flip`, with p-values corrected by `holm`.

    Parameters
    ----------
    values : ndarray (clip, method)
        One metric of every clip and method; NaN if undefined.
    column : int
        The method that the others are compared with, usually the best.
    draws, seed, clusters
        As `sign_flip` takes them.

    Returns
    -------
    list of Paired
        One per method: its mean minus that of the chosen method, which itself has a difference of 0 and a ``p`` of NaN.
    """
    table = _table(values)
    if table.ndim != 2 or not 0 <= column < table.shape[1]:
        raise ShapeError(
            f"methods are columns of (clip, method), and the chosen one is one of them; got {table.shape}, {column}"
        )
    found = [sign_flip(table[:, i], table[:, column], draws, seed, clusters) for i in range(table.shape[1])]
    found[column] = found[column]._replace(p=math.nan)
    corrected = holm(np.array([t.p for t in found]))
    return [t._replace(p=float(p)) for t, p in zip(found, corrected, strict=True)]


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
    """
    a, b = _table(first), _table(second)
    if a.ndim != 2 or a.shape != b.shape:
        raise ShapeError(f"agreement compares two tables (clip, method) of one shape; got {a.shape} and {b.shape}")
    if order not in ORDERS:
        raise ParameterError(f"methods are ranked by {' or '.join(ORDERS)}; got {order!r}")
    _check(level, draws)
    ones = np.ones((1, len(a)))
    value = ORDERS[order](_rounded(_means(ones, a)), _rounded(_means(ones, b)))[0]
    member = _members(clusters, len(a))
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
