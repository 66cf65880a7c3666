"""The STFT domain: cells evenly spaced in Hz and seconds, masks on the complex STFT, exact inverse."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from otoscope.core.records import Grid
from otoscope.core.registry import register
from otoscope.domains.base import (
    Analysis,
    Bands,
    Domain,
    InputSpec,
    Milliseconds,
    as_tensor,
    check_mask,
    expand,
    frequency_weights,
    interpolation,
    pick,
    regular_grid,
)
from otoscope.spectral.scales import bin_frequencies, frame_times
from otoscope.spectral.stft import StftConfig, istft, stft

WINDOW_S = 0.032


def config_at(sample_rate: int) -> StftConfig:
    """The STFT that masks are applied with: windows of about 32 ms, half overlapping, at any rate."""
    hop = max(2, round(sample_rate * WINDOW_S / 2))
    return StftConfig(2 * hop, hop)


class StftAnalysis(Analysis):
    """The STFTs of a batch, and how a grid of cells covers them."""

    def __init__(self, waveform: Tensor, sample_rate: int, grid: Grid):
        self.grid, self.config, self.waveform = grid, config_at(sample_rate), waveform
        self.spec = stft(waveform, self.config)  # (batch, bin, frame)
        n_frames = self.spec.shape[-1]
        over_freq = frequency_weights(grid, bin_frequencies(self.config.n_fft, sample_rate))
        over_time = interpolation(frame_times(n_frames, self.config.hop_length, sample_rate), grid.times)
        self.over_freq, self.over_time = as_tensor(over_freq, waveform), as_tensor(over_time, waveform)

    def synthesise(self, mask: Tensor, index: Tensor | None = None) -> Tensor:
        check_mask(mask, self.grid)
        spec = pick(self.spec, index, len(mask))
        return istft(spec * expand(mask, self.over_freq, self.over_time), self.config, self.waveform.shape[-1])

    def amplitude(self) -> Tensor:
        """Root of each cell's energy."""
        energy = self.spec.real.square() + self.spec.imag.square()
        return (self.over_freq.T @ (energy @ self.over_time)).clamp_min(0).sqrt()


@register(
    "domain", "stft", family="spectrogram", feeds="waveform", has_frequency=True, axes="Hz, s",
)  # fmt: skip
class StftDomain(Domain):
    """Time-frequency cells, evenly spaced in Hz; the mask is put on the complex STFT.

    Parameters
    ----------
    bands : int
        Number of frequency bands.
    ms : float, ms
        Length of a cell.
    """

    name, scale = "stft", "hz"

    def __init__(self, bands: Bands = 64, ms: Milliseconds = 50.0):
        self.bands, self.ms = bands, ms
        self.settings: Mapping[str, Any] = {"bands": bands, "ms": ms}

    def grid(self, n_samples: int, listener: InputSpec) -> Grid:
        return regular_grid(self.name, self.scale, self.bands, self.ms, n_samples, listener.sample_rate)

    def analyse(self, waveform: Tensor, listener: InputSpec) -> StftAnalysis:
        return StftAnalysis(waveform, listener.sample_rate, self.grid(waveform.shape[-1], listener))
