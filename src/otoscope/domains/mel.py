"""The mel domain: cells evenly spaced on the mel scale; the mask is carried to the STFT bins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from otoscope.core.records import Grid
from otoscope.core.registry import register
from otoscope.domains.base import Bands, Domain, InputSpec, Milliseconds, regular_grid
from otoscope.domains.stft import StftAnalysis


@register(
    "domain", "mel", family="spectrogram", feeds="waveform", has_frequency=True, axes="Hz (mel spaced), s",
)  # fmt: skip
class MelDomain(Domain):
    """Time-frequency cells, evenly spaced in mel as hearing is; the mask is put on the complex STFT.

    Parameters
    ----------
    bands : int
        Number of frequency bands.
    ms : float, ms
        Length of a cell.
    """

    name = "mel"

    def __init__(self, bands: Bands = 32, ms: Milliseconds = 50.0):
        self.bands, self.ms = bands, ms
        self.settings: Mapping[str, Any] = {"bands": bands, "ms": ms}

    def grid(self, n_samples: int, listener: InputSpec) -> Grid:
        """The cells of a clip of so many samples."""
        return regular_grid(self.name, "mel", self.bands, self.ms, n_samples, listener.sample_rate)

    def analyse(self, waveform: Tensor, listener: InputSpec) -> StftAnalysis:
        """Decompose waveforms."""
        return StftAnalysis(waveform, listener.sample_rate, self.grid(waveform.shape[-1], listener))
