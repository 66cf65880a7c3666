"""From the cells of a layer's map to the grid's, both placed in Hz and seconds."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from otoscope.attribution.base import Problem
from otoscope.core.errors import ParameterError, UnsupportedError
from otoscope.domains.base import as_tensor, centres, expand, interpolation
from otoscope.domains.features import feature_axes
from otoscope.spectral.scales import hz_to_mel


def to_grid(problem: Problem, cam: Tensor, layer: str, n_frames: int) -> Tensor:
    """Bilinear interpolation from a map's cells to the grid's.

    The map ``(batch, freq, frame)`` or ``(batch, frame)`` is of a layer, whose cells lie where the classifier places them, else
    they tile the features evenly. The network was given ``n_frames`` of features (samples, without a front end).

    Raises
    ------
    UnsupportedError
        If the map has frequencies and the classifier does not declare where its features lie.
    """
    grid = problem.inspected.grid
    place = problem.inspected.classifier.place_of(layer)
    n_time = cam.shape[-1]
    if cam.ndim == 2:
        cam = cam[:, None]
        over_freq = np.ones((grid.shape[0], 1))
        moments = _spread(problem, n_time) if place is None else _at(_moments(problem, n_frames), place[1], n_time)
    else:
        bands, times = _axes(problem, n_frames)
        n_bands, mels = cam.shape[1], hz_to_mel(bands)
        middles = _middles(mels, n_bands) if place is None else _at(mels, place[0], n_bands)
        over_freq = interpolation(hz_to_mel(grid.frequencies), middles)
        if grid.scale == "none":
            over_freq = np.full((1, n_bands), 1 / n_bands)
        moments = _spread(problem, n_time, times) if place is None else _at(times, place[1], n_time)
    return _carry(cam, over_freq, interpolation(grid.times, moments))


def resized(problem: Problem, cam: Tensor, n_frames: int) -> Tensor:
    """A map ``(batch, row, column)`` stretched over the features as a picture is: rows over bands, columns over frames.

    Pixels are areas, as in the usual bilinear resizing of images; the true places of the cells are ignored.
    """
    grid = problem.inspected.grid
    bands, times = _axes(problem, n_frames)
    rows = np.interp(hz_to_mel(grid.frequencies), hz_to_mel(bands), np.arange(len(bands)))
    columns = np.interp(grid.times, times, np.arange(len(times)))
    over_freq = interpolation(rows, centres(cam.shape[1], -0.5, len(bands) - 0.5))
    if grid.scale == "none":
        over_freq = np.full((1, cam.shape[1]), 1 / cam.shape[1])
    return _carry(cam, over_freq, interpolation(columns, centres(cam.shape[2], -0.5, len(times) - 0.5)))


def _carry(cam: Tensor, over_freq: np.ndarray, over_time: np.ndarray) -> Tensor:
    return expand(cam, as_tensor(over_freq, cam), as_tensor(over_time, cam))


def _moments(problem: Problem, n_frames: int) -> np.ndarray:
    """Times in s of what the network takes: frames of features, or samples where it takes the waveform."""
    inspected = problem.inspected
    if inspected.classifier.frontend is not None:
        return _axes(problem, n_frames)[1]
    return np.arange(inspected.waveform.shape[-1]) / inspected.classifier.sample_rate


def _axes(problem: Problem, n_frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Hz and s of the features."""
    if not n_frames:
        raise ParameterError("the clip gives no frame of features")
    classifier = problem.inspected.classifier
    try:
        return feature_axes(classifier, n_frames)
    except UnsupportedError as error:
        raise UnsupportedError(
            f"classifier {classifier.name!r} does not declare where its features lie, so that a map of its layers has no place in "
            "Hz and s; pass otoscope.wrap a front end with band_frequencies() and frame_times(n) (frontend=), or use a method on "
            "the input: mask_optimisation, integrated_gradients or lime"
        ) from error


def _spread(problem: Problem, n: int, times: np.ndarray | None = None) -> np.ndarray:
    """Times in s of ``n`` cells that tile the frames evenly, or the whole clip, for layers without declared places."""
    start, end = 0.0, problem.inspected.grid.duration
    if times is not None and len(times) > 1:
        start, end = float(times[0]), float(times[-1])
    span = getattr(problem.inspected.classifier.network, "span_s", None)  # it pads features to its own window
    if span is not None:
        start, end = 0.0, float(span)
    return centres(n, start, end)


def _at(positions: np.ndarray, along: tuple[float, float], n: int) -> np.ndarray:
    """Positions of ``n`` cells, given as (first, step) in indices of the features; straight on beyond both ends."""
    index = along[0] + along[1] * np.arange(n)
    inside = np.interp(index, np.arange(len(positions)), positions)
    if len(positions) < 2:
        return inside
    before, after = np.minimum(index, 0), np.maximum(index - (len(positions) - 1), 0)
    return inside + before * (positions[1] - positions[0]) + after * (positions[-1] - positions[-2])


def _middles(positions: np.ndarray, n: int) -> np.ndarray:
    """Where ``n`` equal groups of positions have their centres."""
    if n == 1:
        return positions.mean(keepdims=True)
    step = len(positions) / n
    return np.interp((np.arange(n) + 0.5) * step - 0.5, np.arange(len(positions)), positions)
