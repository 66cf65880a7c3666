"""Ranks, and the correlations that are made of them. Everything works on the last axis or axes that are named."""

from __future__ import annotations

import math

import numpy as np

from otoscope.core.errors import NonFiniteError, ShapeError


def midranks(values: np.ndarray) -> np.ndarray:
    """Ranks ``(n,)`` from 1 of values ``(n,)``; equal values share the mean of theirs."""
    _, place, counts = np.unique(np.asarray(values, np.float64), return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return ((2 * last - counts + 1) / 2)[place.ravel()]


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Pearson's correlation of all cells of two attributions.

    Parameters
    ----------
    first, second : ndarray
        Of one shape.

    Returns
    -------
    float in [-1, 1]
        NaN where one of them is even, or has fewer than two cells.
    """
    a, b = _pair(first, second)
    if a.size < 2 or a.min() == a.max() or b.min() == b.max():
        return math.nan
    a, b = (_centred(x) for x in (a, b))
    return float(np.clip((a * b).sum(), -1.0, 1.0))


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's rank correlation of all cells of two attributions, as `correlation`; equal values share their rank."""
    a, b = _pair(first, second)
    return correlation(midranks(a), midranks(b))


def kendall(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Kendall's tau-b along the last axis: agreement of two orders, with ties.

    Parameters
    ----------
    first, second : ndarray (..., n)
        Of one shape.

    Returns
    -------
    ndarray (...) in [-1, 1]
        NaN where one of them is even or holds NaN.

    Notes
    -----
    Source: kendall1945treatment.
    """
    return _cosine(_signs(first), _signs(second), (-2, -1))


def spearman(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Spearman's rank correlation along the last axis.

    Parameters
    ----------
    first, second : ndarray (..., n)
        Of one shape, short: all pairs are compared.

    Returns
    -------
    ndarray (...) in [-1, 1]
        NaN where one of them is even or holds NaN.
    """
    return _cosine(_signs(first).sum(-1), _signs(second).sum(-1), -1)  # of midranks, centred and doubled


def _signs(values: np.ndarray) -> np.ndarray:
    """Signs of the differences of all pairs along the last axis, ``(..., n, n)``."""
    x = np.asarray(values, float)
    return np.asarray(np.sign(x[..., :, None] - x[..., None, :]))


def _cosine(a: np.ndarray, b: np.ndarray, axes: int | tuple[int, int]) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((a * b).sum(axes) / np.sqrt((a * a).sum(axes) * (b * b).sum(axes)))


def _pair(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if a.shape != b.shape:
        raise ShapeError(f"only attributions of one shape can be compared; got {a.shape} and {b.shape}")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise NonFiniteError("an attribution that is compared holds NaN or infinity")
    return a.ravel(), b.ravel()


def _centred(values: np.ndarray) -> np.ndarray:
    """Without mean, of norm 1; scaled first, so that tiny and huge values stay apart from 0 and infinity."""
    values = values / max(abs(values.min()), abs(values.max()))
    values = values - values.mean()
    norm = float(np.sqrt((values * values).sum()))
    return values / norm if norm > 0 else values
