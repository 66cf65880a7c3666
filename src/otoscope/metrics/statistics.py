"""How sure a mean over clips is, and whether two methods differ. NaN means that a metric said nothing of a clip.

Clips are what is drawn again: rows of one clip stay together. Everything is seeded, so the same numbers give the same answer.
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
    """A number and the interval in which it lies.

    Parameters
    ----------
    value, low, high : ndarray
        NaN where too few clips say something: one for the value, two for the interval.
    n : ndarray
        How many clips said something.
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
        Mean of the first less the second, over the pairs.
    p : float
        Two-sided; NaN without pairs.
    n : int
        How many pairs there were.
    """

    difference: float
    p: float
    n: int


def bootstrap(
    values: np.ndarray, level: float = LEVEL, draws: int = DRAWS, seed: int = 0, way: str = "percentile"
) -> Interval:
    """Means over clips with bootstrap intervals.

    Parameters
    ----------
    values : ndarray (clip,) or (clip, column)
        NaN where nothing was said; the columns are drawn together, clip by clip.
    level : float in (0, 1)
    draws : int
    seed : int
    way : {"percentile", "bca"}
        ``bca`` corrects bias and skew.

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
        raise ParameterError(f"bootstrap intervals are {' or '.join(WAYS)}; got {way!r}")
    _check(level, draws)
    columns = table if table.ndim == 2 else table[:, None]
    n = (~np.isnan(columns)).sum(0)
    value = _means(np.ones((1, len(columns))), columns)[0]
    drawn = np.concatenate([_means(w, columns) for w in _weights(len(columns), draws, seed)])
    tails = np.array([(1 - level) / 2, (1 + level) / 2])
    low, high = np.full((2, columns.shape[1]), np.nan)
    whole = (n >= 2) & ~np.isnan(drawn).any(0) & (way == "percentile")
    if whole.any():
        low[whole], high[whole] = np.quantile(drawn[:, whole], tails, axis=0)
    for i in np.flatnonzero((n >= 2) & ~whole):
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


def _means(weights: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Weighted means over the clips that say something, ``(draw, column)``."""
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


def sign_flip(first: np.ndarray, second: np.ndarray, draws: int = 10_000, seed: int = 0) -> Paired:
    """Paired permutation test: how often a mean difference is as large when each clip's sign is drawn by chance.

    Parameters
    ----------
    first, second : ndarray (clip,)
        Of the same clips; pairs with NaN are left out.
    draws : int
        Up to 16 pairs, and where there are no more ways than draws, every way is tried instead.
    seed : int

    Returns
    -------
    Paired

    Notes
    -----
    Source: pitman1937significance; drawn signs count the observed ones once, so p is never 0.
    """
    gaps = _gaps(first, second)
    _check(LEVEL, draws)
    n = len(gaps)
    if not n:
        return Paired(math.nan, math.nan, 0)
    observed = float(gaps.mean())
    scale = float(np.abs(gaps).max())
    if scale == 0:
        return Paired(0.0, 1.0, n)
    exact = n <= EXACT and 2**n <= max(draws, 2)
    reached, count = 0, 0
    for signs in _all_signs(n) if exact else _some_signs(n, draws, seed):
        means = np.abs(signs @ (gaps / scale)) / n
        reached += int((means >= abs(observed) / scale * (1 - 1e-12) - 1e-15).sum())
        count += len(signs)
    p = reached / count if exact else (reached + 1) / (count + 1)
    return Paired(observed, min(p, 1.0), n)


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
    gaps = a - b
    return gaps[~np.isnan(gaps)]


def holm(p: np.ndarray) -> np.ndarray:
    """P-values corrected for how many there are, by Holm's step-down method.

    Parameters
    ----------
    p : ndarray
        Of any shape, in [0, 1]; NaN where there was no test: it does not count and stays.

    Returns
    -------
    ndarray
        At least what came, at most 1.

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


def compare(values: np.ndarray, column: int, draws: int = 10_000, seed: int = 0) -> list[Paired]:
    """Every method against one, by `sign_flip`, with p-values corrected by `holm`.

    Parameters
    ----------
    values : ndarray (clip, method)
    column : int
        The method that the others are compared with, mostly the best.
    draws : int
    seed : int

    Returns
    -------
    list of Paired
        One a method; that of the method itself has a difference of 0 and a ``p`` of NaN. A difference is the method's less
        that of the chosen one.
    """
    table = _table(values)
    if table.ndim != 2 or not 0 <= column < table.shape[1]:
        raise ShapeError(
            f"methods are columns of (clip, method), and the chosen one is one of them; got {table.shape}, {column}"
        )
    found = [sign_flip(table[:, i], table[:, column], draws, seed) for i in range(table.shape[1])]
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
) -> Interval:
    """Whether two metrics rank the methods alike: correlation of the methods' means, with an interval over clips.

    Parameters
    ----------
    first, second : ndarray (clip, method)
        Both metrics of the same clips and methods; turn the sign of one whose lower values are better.
    order : {"kendall", "spearman"}
    level : float in (0, 1)
    draws : int
    seed : int

    Returns
    -------
    Interval
        In [-1, 1]; NaN where all methods have one mean, or a method has none. Draws without an order are left out.

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
    weights = _weights(len(a), draws, seed)
    drawn = np.concatenate([ORDERS[order](_rounded(_means(w, a)), _rounded(_means(w, b))) for w in weights])
    drawn = drawn[~np.isnan(drawn)]
    low, high = np.full(2, np.nan)
    if len(a) >= 2 and len(drawn):
        low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    n = (~np.isnan(a) & ~np.isnan(b)).any(1).sum()
    return Interval(np.asarray(value), np.asarray(low), np.asarray(high), np.asarray(n))


def _rounded(means: np.ndarray) -> np.ndarray:
    """Means that differ by rounding alone are the same."""
    return means.round(12)
