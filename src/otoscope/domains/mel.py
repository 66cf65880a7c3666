"""The mel domain: cells evenly spaced on the mel scale; the mask is carried to the STFT bins."""

from __future__ import annotations

from otoscope.core.registry import register
from otoscope.domains.base import Bands, Milliseconds
from otoscope.domains.stft import StftDomain


@register(
    "domain", "mel", family="spectrogram", feeds="waveform", has_frequency=True, axes="Hz (mel spaced), s",
)  # fmt: skip
class MelDomain(StftDomain):
    """Time-frequency cells, evenly spaced in mel as hearing is; the mask is put on the complex STFT.

    Parameters
    ----------
    bands : int
        Number of frequency bands.
    ms : float, ms
        Length of a cell.
    """

    name, scale = "mel", "mel"

    def __init__(self, bands: Bands = 32, ms: Milliseconds = 50.0):
        super().__init__(bands, ms)
