"""Similarity of sounds and of images."""

from __future__ import annotations

import math

import numpy as np

from otoscope.core.errors import NonFiniteError, ParameterError, ShapeError

WINDOW = 7
K1, K2 = 0.01, 0.03


def si_sdr_db(estimate: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Scale-invariant signal-to-distortion ratio: how much of the estimate is a scaled copy of the reference.

    Parameters
    ----------
    estimate, reference : ndarray (..., time)
        Of one length; the other axes may be broadcast.

    Returns
    -------
    ndarray (...), dB
        NaN where the reference is silent, minus infinity if the estimate contains nothing of it, plus infinity for a copy.

    Raises
    ------
    ShapeError
        If lengths differ, there are no samples, or the other axes cannot be broadcast.

    Notes
    -----
    Source: leroux2019sdr, eq. 3; means are not taken out.
    """
    estimate, reference = np.asarray(estimate, np.float64), np.asarray(reference, np.float64)
    try:
        np.broadcast_shapes(estimate.shape, reference.shape)
        fit = estimate.shape[-1:] == reference.shape[-1:] and estimate.shape[-1] > 0
    except (ValueError, IndexError):
        fit = False
    if not fit:
        raise ShapeError(
            f"SI-SDR compares sounds (..., time) of one length; got {estimate.shape} and {reference.shape}"
        )
    energy = (reference**2).sum(-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = (estimate * reference).sum(-1) / energy
        wanted = scale[..., None] * reference
        held, rest = (wanted**2).sum(-1), ((estimate - wanted) ** 2).sum(-1)
        ratio = np.where(held == 0, 0.0, held / rest)  # a silent estimate holds nothing
        return np.asarray(np.where(energy > 0, 10 * np.log10(ratio), np.nan))


def mutual_information(first: np.ndarray, second: np.ndarray, levels: int = 32) -> float:
    """Normalised mutual information of two images: how much one predicts the other.

    Parameters
    ----------
    first, second : ndarray
        Of one shape, finite; each is cut into ``levels`` equal steps of its own range.
    levels : int
        Number of steps, from 2 to 4096.

    Returns
    -------
    float in [0, 1]
        ``2 I(a; b) / (H(a) + H(b))``: 1 for images that determine each other (or are both constant), 0 for
        independent ones.

    Notes
    -----
    Source: palacio2018what, who compare reconstructions of images so.
    """
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if first.shape != second.shape or not first.size:
        raise ShapeError(f"mutual information needs images of equal shape; got {first.shape} and {second.shape}")
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise ParameterError("mutual information needs finite images; these contain NaN or infinity")
    if not (isinstance(levels, int) and 2 <= levels <= 4096):
        raise ParameterError(f"levels must be a whole number from 2 to 4096; got {levels!r}")
    a, b = _steps(first, levels), _steps(second, levels)
    joint = np.bincount(a * levels + b, minlength=levels * levels).reshape(levels, levels) / a.size
    own = _entropy(joint.sum(1)) + _entropy(joint.sum(0))
    return 1.0 if own == 0 else float(max(0.0, 2 * (own - _entropy(joint.ravel())) / own))


def _steps(picture: np.ndarray, levels: int) -> np.ndarray:
    flat = np.asarray(picture, np.float64).ravel()
    low, high = flat.min(), flat.max()
    if high <= low:
        return np.zeros(flat.size, np.int64)
    return np.minimum(((flat - low) / (high - low) * levels).astype(np.int64), levels - 1)


def _entropy(p: np.ndarray) -> float:
    p = p[p > 0]
    return float(-(p * np.log(p)).sum())


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
    mean_a, mean_b, mean_aa, mean_bb, mean_ab = (_window_means(x, window) for x in (a, b, a * a, b * b, a * b))
    unbiased = cells / (cells - 1) if cells > 1 else 0.0
    var_a, var_b = unbiased * (mean_aa - mean_a**2), unbiased * (mean_bb - mean_b**2)
    both = unbiased * (mean_ab - mean_a * mean_b)
    c1, c2 = K1**2, K2**2
    level = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    return float(np.mean(level * (2 * both + c2) / (var_a + var_b + c2)))


def _window_means(values: np.ndarray, window: int) -> np.ndarray:
    """Means of all windows that lie inside."""
    for axis in (0, 1):
        size = min(window, values.shape[axis])
        values = np.lib.stride_tricks.sliding_window_view(values, size, axis).mean(-1)
    return values
