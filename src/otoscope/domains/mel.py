"""The mel domain: cells evenly spaced on the mel scale; the mask is carried to the STFT bins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from otoscope.core.records import Grid
from otoscope.core.registry import register
from otoscope.domains.base import InputSpec, bands, milliseconds, regular_grid
from otoscope.domains.stft import StftAnalysis


@register(
    "domain",
    "mel",
    family="spectrogram",
    parameters=(bands(32), milliseconds(50.0)),
    feeds="waveform",
    has_frequency=True,
    axes="Hz (mel spaced), s",
)
class MelDomain:
    """Time-frequency cells, evenly spaced in mel as hearing is; the mask is put on the complex STFT."""

    name = "mel"

    def __init__(self, bands: int, ms: float):
        self.bands, self.ms = bands, ms
        self.settings: Mapping[str, Any] = {"bands": bands, "ms": ms}

    def grid(self, n_samples: int, listener: InputSpec) -> Grid:
        """The cells of a clip of so many samples."""
        return regular_grid(self.name, "mel", self.bands, self.ms, n_samples, listener.sample_rate)

    def analyse(self, waveform: Tensor, listener: InputSpec) -> StftAnalysis:
        """Take waveforms apart."""
        return StftAnalysis(waveform, listener.sample_rate, self.grid(waveform.shape[-1], listener))
