"""Mask functions: signed values ``(freq, frame)`` -> values in [0, 1]. Pure NumPy, no epsilon where none is needed.

Edge cases: if all values are equal, `minmax` keeps nothing and `sigmoid` gives
one half. The functions of the positive part keep nothing where nothing is positive. Top-k keeps an exact number of cells;
of equal ones the lower in frequency first, then the earlier in time.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

import numpy as np

from otoscope.core.errors import UnsupportedError
from otoscope.core.registry import Help, Range, register

SOURCE = "audiointerp"
_mask = partial(register, "mask", source=SOURCE)
Keep = Annotated[float, Range(0.0, 1.0), Help("share of the cells that is kept")]


@_mask("minmax", family="signed", binary=False, monotone=True)
def minmax(values: np.ndarray) -> np.ndarray:
    """The attribution, moved and scaled to [0, 1]."""
    low, high = float(values.min()), float(values.max())
    return (values - low) / (high - low) if high > low else np.zeros_like(values)


def sigmoid_raw(values: np.ndarray) -> np.ndarray:
    """The logistic function of the attribution itself, as published: near one half where attributions are small numbers."""
    return 1.0 / (1.0 + np.exp(-np.clip(values, -60, 60)))


def positive_sigmoid_raw(values: np.ndarray) -> np.ndarray:
    """The logistic function of the positive part itself, as published, from 0.5 up."""
    return sigmoid_raw(np.maximum(values, 0))


@_mask("sigmoid", family="signed", binary=False, monotone=True, raw=sigmoid_raw)
def sigmoid(values: np.ndarray) -> np.ndarray:
    """The logistic function of the attribution over its standard deviation; audiointerp takes the attribution itself."""
    spread = float(values.std()) if values.max() > values.min() else 0.0  # equal values can differ from their mean
    return 1.0 / (1.0 + np.exp(-np.clip(values / spread, -60, 60))) if spread > 0 else np.full_like(values, 0.5)


@_mask("binary", family="signed", binary=True, monotone=True)
def binary(values: np.ndarray) -> np.ndarray:
    """Every cell that speaks for the target (value above zero)."""
    return (values > 0).astype(values.dtype)


def topk_quantile(values: np.ndarray, keep: float) -> np.ndarray:
    """Cells at or above the quantile, as published: ties may keep more than the share, up to everything."""
    return (values >= np.quantile(values, 1 - keep)).astype(values.dtype)


def positive_topk_quantile(values: np.ndarray, keep: float) -> np.ndarray:
    """The same of the positive part: where fewer cells are positive than are kept, the quantile is 0 and all are kept."""
    return topk_quantile(np.maximum(values, 0), keep)


@_mask("topk", family="signed", binary=True, monotone=True, quantile=topk_quantile)
def topk(values: np.ndarray, keep: Keep = 0.3) -> np.ndarray:
    """The given share of cells with the highest values, whatever their sign.

    Parameters
    ----------
    keep : float in [0, 1]
        Share of the cells that is kept.
    """
    n = round(keep * values.size)
    flat = np.zeros(values.size, values.dtype)
    flat[np.argsort(-values.ravel(), kind="stable")[:n]] = 1
    return flat.reshape(values.shape)


@_mask("positive", family="positive", binary=False, monotone=True)
def positive(values: np.ndarray) -> np.ndarray:
    """The positive part over its largest value."""
    high = float(values.max()) if values.size else 0.0
    return np.maximum(values, 0) / high if high > 0 else np.zeros_like(values)


@_mask("positive:sigmoid", family="positive", binary=False, monotone=True, raw=positive_sigmoid_raw)
def positive_sigmoid(values: np.ndarray) -> np.ndarray:
    """The logistic function of the positive part over its root mean square, from 0.5 up; audiointerp takes the part itself."""
    part = np.maximum(values, 0)
    size = float(np.sqrt(np.mean(part**2))) if part.size else 0.0
    return 1.0 / (1.0 + np.exp(-np.clip(part / size, 0, 60))) if size > 0 else np.full_like(values, 0.5)


@_mask("positive:threshold", family="positive", binary=True, monotone=True)
def positive_threshold(values: np.ndarray, threshold: Annotated[float, Range(0.0, 1.0)] = 0.5) -> np.ndarray:
    """Cells of at least the given share of the largest positive value.

    Parameters
    ----------
    threshold : float in [0, 1]
        Share of the largest value from which a cell is kept.
    """
    return ((positive(values) >= threshold) & (values > 0)).astype(values.dtype)


@_mask("positive:topk", family="positive", binary=True, monotone=True, quantile=positive_topk_quantile)
def positive_topk(values: np.ndarray, keep: Keep = 0.3) -> np.ndarray:
    """The given share of cells with the highest values, of these only the positive ones.

    Parameters
    ----------
    keep : float in [0, 1]
        Share of the cells that is kept.
    """
    return topk(values, keep) * (values > 0)


@_mask("energy", family="positive", binary=True, monotone=True)
def energy(values: np.ndarray, share: Annotated[float, Range(0.0, 1.0)] = 0.8) -> np.ndarray:
    """The smallest set of cells that holds the given share of the positive attribution.

    Parameters
    ----------
    share : float in [0, 1]
        Share of the positive attribution that the kept cells hold.
    """
    part = np.maximum(values, 0).ravel().astype(np.float64)
    order = np.argsort(-part, kind="stable")
    total = part.sum()
    out = np.zeros(values.size, values.dtype)
    if total > 0 and share > 0:
        reached = np.cumsum(part[order]) >= share * total * (1 - 1e-12)
        last = int(np.argmax(reached)) if reached.any() else part.size - 1
        out[order[: last + 1]] = 1
        out[part <= 0] = 0
    return out.reshape(values.shape)


Share = Annotated[float, Range(0.0, 1.0)]


@register("mask", "smallest", family="searched", binary=True, monotone=True, searched=True, source="carter2019sis")
def smallest(values: np.ndarray, kept: Share = 0.9, removed: Share = 0.05) -> np.ndarray:
    """The fewest cells, by rank, that hold the decision alone and without which it is lost; asks the classifier.

    Parameters
    ----------
    kept : float in [0, 1]
        Least share of the target's probability that the kept sound has.
    removed : float in [0, 1]
        Largest share of it that the removed sound may have.
    """
    raise _without_classifier("smallest")


@register("mask", "sufficient", family="searched", binary=True, monotone=True, searched=True, source="carter2019sis")
def sufficient(values: np.ndarray, kept: Share = 0.9) -> np.ndarray:
    """The fewest cells, by rank, whose sound alone holds the decision; asks the classifier.

    Parameters
    ----------
    kept : float in [0, 1]
        Least share of the target's probability that the kept sound has.
    """
    raise _without_classifier("sufficient")


@register("mask", "necessary", family="searched", binary=True, monotone=True, searched=True, source="carter2019sis")
def necessary(values: np.ndarray, removed: Share = 0.05) -> np.ndarray:
    """The fewest cells, by rank, without which the decision is lost; asks the classifier.

    Parameters
    ----------
    removed : float in [0, 1]
        Largest share of the target's probability that the removed sound may have.
    """
    raise _without_classifier("necessary")


def _without_classifier(name: str) -> UnsupportedError:
    return UnsupportedError(
        f"the mask {name!r} is searched for with the classifier's answers; use it in otoscope.explain or in a study"
    )


def smooth(values: np.ndarray, sigma_freq: float, sigma_time: float) -> np.ndarray:
    """Gaussian smoothing; the edges repeat.

    Parameters
    ----------
    values : ndarray (freq, frame)
        Values to smooth.
    sigma_freq, sigma_time : float, cells
        Standard deviations; 0 leaves the axis alone.

    Returns
    -------
    ndarray (freq, frame)
        Within the range of the input.

    Examples
    --------
    >>> smooth(np.array([[0.0, 1.0, 0.0]]), sigma_freq=0, sigma_time=0.5).round(2)
    array([[0.11, 0.79, 0.11]])
    """
    for axis, sigma in ((0, sigma_freq), (1, sigma_time)):
        values = _smooth_axis(values, float(sigma), axis)
    return values


def _smooth_axis(values: np.ndarray, sigma: float, axis: int) -> np.ndarray:
    if sigma <= 0 or values.shape[axis] < 2:
        return values
    reach = min(max(1, round(4 * sigma)), 4 * values.shape[axis])
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    pad: list[Any] = [(0, 0), (0, 0)]
    pad[axis] = (reach, reach)
    padded = np.pad(values.astype(np.float64), pad, mode="edge")
    out = np.apply_along_axis(np.convolve, axis, padded, kernel, "valid")
    return np.clip(out, values.min(), values.max()).astype(values.dtype)
