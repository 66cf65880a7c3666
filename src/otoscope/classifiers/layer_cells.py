"""Where the cells of a layer's map lie in seconds and Hz, and how loud the sound is there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from otoscope.classifiers.base import Classifier
from otoscope.core.errors import UnsupportedError
from otoscope.domains.features import feature_axes
from otoscope.spectral.scales import hz_to_mel, mel_to_hz


@dataclass(frozen=True, eq=False)
class LayerCells:
    """The cells of one map.

    Parameters
    ----------
    edges_s : ndarray (frame + 1,), s
        Where frames begin and end, within the sound.
    edges_hz : ndarray (freq + 1,), Hz
        Where bands begin and end, from 0 to half the sample rate. A map without frequencies has one band.
    step_s : float, s
        From one frame to the next.

    Examples
    --------
    >>> cells = LayerCells(np.linspace(0, 1, 5), np.array([0.0, 4000.0]), 0.25)
    >>> cells.frames(0.6)
    2
    """

    edges_s: np.ndarray
    edges_hz: np.ndarray
    step_s: float

    def frames(self, seconds: float) -> int:
        """Number of frames that cover about so many seconds: at least one, at most all."""
        return int(np.clip(round(seconds / self.step_s), 1, len(self.edges_s) - 1))

    def levels(self, waveform: np.ndarray, sample_rate: int, width: int = 1) -> np.ndarray:
        """Mean square of a waveform ``(time,)`` in each window of ``width`` frames, ``(window,)``."""
        total = np.concatenate([[0.0], np.cumsum(np.square(waveform, dtype=np.float64))])
        at = np.clip(np.round(self.edges_s * sample_rate).astype(int), 0, len(waveform))
        first, last = at[: len(at) - width], at[width:]
        return (total[last] - total[first]) / np.maximum(last - first, 1)


def layer_cells(classifier: Classifier, layer: str, shape: tuple[int, int], n_given: int, n_samples: int) -> LayerCells:
    """The cells of a layer's map: where the classifier places them, else they tile the features evenly.

    Parameters
    ----------
    classifier : Classifier
        The classifier.
    layer : str
        Dotted name of the layer.
    shape : (int, int)
        Bands and frames of the map; a map without frequencies has one band.
    n_given : int
        Frames of features that the network was given, or samples if it takes the waveform.
    n_samples : int
        Length of the sound.

    Raises
    ------
    UnsupportedError
        If the map has several bands, and the classifier does not declare where its features lie.
    """
    rate, place = classifier.sample_rate, classifier.place_of(layer)
    n_bands, n_frames = shape
    duration, bands, times = n_samples / rate, None, np.arange(n_given) / rate
    if classifier.frontend is not None:
        try:
            bands, times = feature_axes(classifier, n_given)
        except UnsupportedError:
            times = np.linspace(0, max(n_given, n_samples) / rate, n_given)
            if n_bands > 1:
                raise
    centres = _centres(times, None if place is None else place[1], n_frames)
    span = getattr(classifier.network, "span_s", None)  # it pads features to its own window
    if place is None and span is not None:
        centres = (np.arange(n_frames) + 0.5) * float(span) / n_frames
    edges = _edges(centres, duration)
    edges_hz = np.array([0.0, rate / 2])
    if n_bands > 1 and bands is not None:
        mels = _centres(hz_to_mel(bands), None if place is None else place[0], n_bands)
        edges_hz = mel_to_hz(_edges(mels, float(hz_to_mel(rate / 2))))
        edges_hz[[0, -1]] = 0.0, rate / 2
    step = float(centres[-1] - centres[0]) / (n_frames - 1) if n_frames > 1 else duration
    return LayerCells(edges, edges_hz, max(step, 1e-9))


def _centres(positions: np.ndarray, along: tuple[float, float] | None, n: int) -> np.ndarray:
    """Positions of ``n`` cells, at (first, step) in indices of the features, or in equal groups; straight on beyond both ends."""
    count = len(positions)
    if count < 2:
        return np.resize(positions, n).astype(float)
    index = (np.arange(n) + 0.5) * count / n - 0.5 if along is None else along[0] + along[1] * np.arange(n)
    before, after = np.minimum(index, 0), np.maximum(index - (count - 1), 0)
    inside = np.interp(index, np.arange(count), positions)
    return inside + before * (positions[1] - positions[0]) + after * (positions[-1] - positions[-2])


def _edges(centres: np.ndarray, top: float) -> np.ndarray:
    """Halfway between neighbours; the first and the last reach as far outwards as inwards, within 0 and ``top``."""
    if len(centres) == 1:
        return np.array([0.0, top])
    between = (centres[1:] + centres[:-1]) / 2
    ends = 2 * centres[0] - between[0], 2 * centres[-1] - between[-1]
    return np.clip(np.concatenate([[ends[0]], between, [ends[1]]]), 0.0, top)
