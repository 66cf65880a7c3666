"""Paired tests of whether methods differ on the same clips. NaN means that a metric is undefined on a clip."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from otoscope.core.errors import ParameterError, ShapeError
from otoscope.core.runtime import require
from otoscope.metrics.statistics import CHUNK, LEVEL, as_table, check_settings, membership

EXACT = 16  # up to this many pairs, all signs are tried


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


def sign_flip(
    first: np.ndarray, second: np.ndarray, draws: int = 10_000, seed: int = 0, clusters: np.ndarray | None = None
) -> Paired:
    """Paired permutation test: how often random signs of the differences give a mean difference as large.

    Parameters
    ----------
    first, second : ndarray (clip,)
        Of the same clips; pairs with NaN are left out.
    draws : int
        Number of random sign patterns. Up to 16 pairs, all patterns are tried instead.
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

    Examples
    --------
    >>> sign_flip(np.array([1.0, 2.0, 3.0]), np.array([0.0, 1.0, 2.0]))
    Paired(difference=1.0, p=0.25, n=3)
    """
    each = _gaps(first, second)
    check_settings(LEVEL, draws)
    known = ~np.isnan(each)
    if not known.any():
        return Paired(math.nan, math.nan, 0)
    gaps, member = each[known], membership(clusters, len(each))
    pairs, difference = len(gaps), float(gaps.mean())
    if member is not None:
        gaps = gaps @ member[known][:, member[known].any(0)]
    n, observed = len(gaps), float(gaps.mean())
    scale = float(np.abs(gaps).max())
    if scale == 0:
        return Paired(0.0, 1.0, pairs)
    exact = n <= EXACT
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

    Examples
    --------
    >>> wilcoxon(np.array([1.0, 2.0, 3.0]), np.array([0.0, 1.0, 1.0])).p
    0.25
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
    a, b = as_table(first), as_table(second)
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

    Examples
    --------
    >>> holm(np.array([0.01, 0.04, 0.5]))
    array([0.03, 0.08, 0.5 ])
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

    Examples
    --------
    >>> found = compare(np.array([[0.1, 0.5], [0.2, 0.7]]), column=1)
    >>> round(found[0].difference, 2), found[0].p
    (-0.45, 0.5)
    """
    table = as_table(values)
    if table.ndim != 2 or not 0 <= column < table.shape[1]:
        raise ShapeError(
            f"methods are columns of (clip, method), and the chosen one is one of them; got {table.shape}, {column}"
        )
    found = [sign_flip(table[:, i], table[:, column], draws, seed, clusters) for i in range(table.shape[1])]
    found[column] = found[column]._replace(p=math.nan)
    corrected = holm(np.array([t.p for t in found]))
    return [t._replace(p=float(p)) for t, p in zip(found, corrected, strict=True)]
