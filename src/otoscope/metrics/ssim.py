"""Structural similarity of two attributions."""

from __future__ import annotations

import math

import numpy as np

from otoscope.core.errors import NonFiniteError, ShapeError

WINDOW = 7
K1, K2 = 0.01, 0.03


def ssim(first: np.ndarray, second: np.ndarray, window: int = WINDOW) -> float:
    """Mean structural similarity of level, contrast and pattern in small windows.

    Parameters
    ----------
    first, second : ndarray (freq, frame)
        Each is scaled to a largest absolute value of 1 and then put into [0, 1], 0 at the middle: else the product of two
        opposite signs, of level and of pattern, would count as similar.
    window : int
        Side of the square windows in cells; less along an axis that is shorter.

    Returns
    -------
    float in [-1, 1]
        1 for equal patterns; NaN where one of them is 0 throughout.

    Raises
    ------
    ShapeError, NonFiniteError

    Notes
    -----
    Source: wang2004ssim, with even windows that lie wholly inside, and unbiased variances.
    """
    a, b = (np.asarray(x, np.float64) for x in (first, second))
    if a.shape != b.shape or a.ndim != 2 or not a.size:
        raise ShapeError(f"SSIM compares two attributions (freq, frame) of one shape; got {a.shape} and {b.shape}")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise NonFiniteError("an attribution that is compared holds NaN or infinity")
    if not (a.any() and b.any()):
        return math.nan
    a, b = (0.5 + x / (2 * np.abs(x).max()) for x in (a, b))
    cells = math.prod(min(window, n) for n in a.shape)
    mean_a, mean_b = _means(a, window), _means(b, window)
    unbiased = cells / (cells - 1) if cells > 1 else 0.0
    var_a = unbiased * (_means(a * a, window) - mean_a**2)
    var_b = unbiased * (_means(b * b, window) - mean_b**2)
    both = unbiased * (_means(a * b, window) - mean_a * mean_b)
    c1, c2 = K1**2, K2**2
    level = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    return float(np.mean(level * (2 * both + c2) / (var_a + var_b + c2)))


def _means(values: np.ndarray, window: int) -> np.ndarray:
    """Means of all windows that lie inside."""
    for axis in (0, 1):
        size = min(window, values.shape[axis])
        values = np.lib.stride_tricks.sliding_window_view(values, size, axis).mean(-1)
    return values
