"""The features domain: the classifier's own features, as the literature explains them.

The mask moves each feature between its value and the value of silence; to be heard, it is carried over to the STFT at the
features' own frequencies and times. What the masked features score and what the sound scores are both reported.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor

from otoscope.core.errors import UnsupportedError
from otoscope.core.records import Grid
from otoscope.core.registry import Range, register
from otoscope.domains.base import (
    Analysis,
    Domain,
    InputSpec,
    as_tensor,
    centres,
    check_mask,
    expand,
    interpolation,
    pick,
    time_centres,
)
from otoscope.spectral.scales import hz_to_mel, mel_to_hz


class FeatureAnalysis(Analysis):
    """Features of a batch, and how a grid of cells covers them."""

    feeds = "features"

    def __init__(self, features: Tensor, silence: float, grid: Grid, over_freq: np.ndarray, over_time: np.ndarray):
        self.grid, self.features, self.silence = grid, features, silence
        self.over_freq, self.over_time = as_tensor(over_freq, features), as_tensor(over_time, features)

    def synthesise(self, mask: Tensor, index: Tensor | None = None) -> Tensor:
        """Features ``(batch, 1, freq, frame)`` between silence (0) and their value (1)."""
        check_mask(mask, self.grid)
        fine = expand(mask, self.over_freq, self.over_time)[:, None]
        return self.silence + (pick(self.features, index, len(mask)) - self.silence) * fine

    def complement(self, kept: Tensor, index: Tensor | None = None) -> Tensor:
        """Features of the removed part: the difference, added to silence."""
        return pick(self.features, index, len(kept)) - kept + self.silence

    def amplitude(self) -> Tensor:
        """Distance of each cell from silence."""
        distance = (self.features[:, 0] - self.silence).square()
        return (self.over_freq.T @ (distance @ self.over_time)).clamp_min(0).sqrt()


def feature_axes(listener: InputSpec, n_frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies in Hz and times in s of a classifier's features.

    Raises
    ------
    UnsupportedError
        If the classifier's front end does not declare them.
    """
    frontend = listener.frontend
    if frontend is None or not hasattr(frontend, "band_frequencies") or not hasattr(frontend, "frame_times"):
        raise UnsupportedError(
            f"classifier {listener.name!r} does not declare where its features lie; wrap it with a front end that has "
            "band_frequencies() and frame_times(n), or use the stft, mel or time domain"
        )
    return np.asarray(frontend.band_frequencies()), np.asarray(frontend.frame_times(n_frames))


@register(
    "domain", "features", family="features", feeds="features", has_frequency=True, axes="Hz (the classifier's), s",
)  # fmt: skip
class FeaturesDomain(Domain):
    """The classifier's own features, masked towards silence as the literature does.

    Parameters
    ----------
    bands : int in [0, 4096]
        Number of frequency bands; 0 is one for each of the features' own.
    ms : float in [0, 10000]
        Length of a cell in milliseconds; 0 is one for each of the features' own.
    """

    name = "features"

    def __init__(self, bands: Annotated[int, Range(0, 4096)] = 0, ms: Annotated[float, Range(0.0, 10000.0)] = 0.0):
        self.bands, self.ms = bands, ms
        self.settings: Mapping[str, Any] = {"bands": bands, "ms": ms}

    def grid(self, n_samples: int, listener: InputSpec) -> Grid:
        device = (
            next((b.device for b in listener.frontend.buffers()), "cpu") if listener.frontend is not None else "cpu"
        )
        with torch.no_grad():
            n_frames = listener.features(torch.zeros(1, n_samples, device=device)).shape[-1]
        return self._grid(n_samples, listener, *feature_axes(listener, n_frames))

    def _grid(self, n_samples: int, listener: InputSpec, frequencies: np.ndarray, times: np.ndarray) -> Grid:
        duration = n_samples / listener.sample_rate
        if self.bands:
            edges = hz_to_mel(frequencies[[0, -1]])
            frequencies = mel_to_hz(centres(self.bands, float(edges[0]), float(edges[1])))
        if self.ms:
            times = time_centres(n_samples, listener.sample_rate, self.ms)
        return Grid(frequencies, times, "mel", self.name, duration, listener.sample_rate / 2)

    def analyse(self, waveform: Tensor, listener: InputSpec) -> FeatureAnalysis:
        if listener.frontend is None:
            feature_axes(listener, 0)
        features = listener.features(waveform)
        frequencies, times = feature_axes(listener, features.shape[-1])
        grid = self._grid(waveform.shape[-1], listener, frequencies, times)
        over_freq = interpolation(hz_to_mel(frequencies), hz_to_mel(grid.frequencies))
        over_time = interpolation(times, grid.times)
        silence = float(getattr(listener.frontend, "silence", 0.0))
        return FeatureAnalysis(features, silence, grid, over_freq, over_time)
