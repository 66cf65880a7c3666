"""Front ends by name, and front ends that others wrote, whose features are located with bursts and tones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from otoscope.core import registry
from otoscope.core.errors import ParameterError, ShapeError
from otoscope.core.registry import Parameter, register
from otoscope.spectral import FrameConfig, KaldiLogMel, LinearStft, LogMel, MelBands
from otoscope.spectral.scales import hz_to_mel, mel_to_hz

PROTOCOL = ("band_frequencies", "frame_times", "silence")
PROBE_S = 1.0
TONES = 40
MONOTONE = 0.9  # rank correlation of bands and tones, below which bands have no frequencies

_FRAMES = (
    Parameter("n_fft", int, 1024, "length of a frame, samples", 4, 1 << 20),
    Parameter("hop_length", int, 320, "distance between frames, samples", 1, 1 << 20),
)
_CENTER = Parameter("center", bool, True, "whether frame i is centred on sample i * hop_length")
_BANDS = (
    Parameter("low_hz", float, 50.0, "lowest corner of the bands", 0.0, 1e6),
    Parameter("high_hz", float, 0.0, "highest corner of the bands; 0 is half the sample rate", 0.0, 1e6),
)


def _affine(divisor: str) -> tuple[Parameter, Parameter]:
    return (
        Parameter("shift", float, 0.0, "added to each feature", -1e6, 1e6),
        Parameter(divisor, float, 1.0, "what the sum is divided by", 1e-6, 1e6),
    )


@register(
    "frontend", "log_mel", source="kong2020panns",
    parameters=(
        Parameter("n_mels", int, 64, "mel bands", 1, 4096), *_FRAMES, *_BANDS,
        Parameter("scale", str, "slaney", "the mel scale", choices=("slaney", "htk")),
        Parameter("norm", str, "slaney", "whether bands have equal areas", choices=("slaney", "none")),
        _CENTER, *_affine("divisor"),
    ),
)  # fmt: skip
def log_mel(sample_rate: int, n_mels: int, n_fft: int, hop_length: int, low_hz: float, high_hz: float, scale: str, norm: str,
            center: bool, shift: float, divisor: float) -> nn.Module:  # fmt: skip
    """Mel power in dB, as librosa and PANNs have it."""
    bands = MelBands(n_mels, low_hz, high_hz or sample_rate / 2, scale, norm, shift, divisor)
    return LogMel(FrameConfig(sample_rate, n_fft, hop_length, center), bands)


@register(
    "frontend", "stft", source="audiointerp",
    parameters=(
        *_FRAMES, Parameter("unit", str, "db", "of the magnitudes", choices=("magnitude", "log1p", "db")), _CENTER,
        *_affine("divisor"),
    ),
)  # fmt: skip
def stft(
    sample_rate: int, n_fft: int, hop_length: int, unit: str, center: bool, shift: float, divisor: float
) -> nn.Module:
    """Magnitudes of STFT bins."""
    return LinearStft(FrameConfig(sample_rate, n_fft, hop_length, center), unit, shift, divisor)


@register(
    "frontend", "kaldi_log_mel", source="schmid2023efficient",
    parameters=(
        Parameter("n_mels", int, 128, "mel bands", 1, 4096), *_FRAMES,
        Parameter("win_length", int, 800, "length of the window, samples", 4, 1 << 20), *_BANDS,
        Parameter("preemphasis", float, 0.97, "coefficient of the pre-emphasis; 0 is none", 0.0, 1.0),
        Parameter("floor", float, 1e-5, "added to the power", 1e-30, 1.0), *_affine("divisor"),
    ),
)  # fmt: skip
def kaldi_log_mel(sample_rate: int, high_hz: float, divisor: float, **settings: Any) -> nn.Module:
    """Logarithm of Kaldi mel bands of the pre-emphasised sound."""
    return KaldiLogMel(sample_rate, high_hz=high_hz or sample_rate / 2, scale=divisor, **settings)


def fit_frontend(frontend: Any, module: nn.Module, sample_rate: int) -> tuple[nn.Module, nn.Module]:
    """A front end that declares where its features lie, and the module that takes its features.

    Parameters
    ----------
    frontend : nn.Module, str or callable
        A module as `Classifier` describes it; a registered name with settings, such as ``"log_mel,n_mels=64"``; any module, or a
        function of NumPy arrays, that makes features of waveforms ``(batch, time)``: ``(batch, freq, frame)``,
        ``(batch, frame, freq)`` or either with a channel of one after the batch.
    module : nn.Module
        Takes features as the front end makes them.
    sample_rate : int, Hz
        Rate of the waveforms.

    Raises
    ------
    ParameterError
        If it is none of these, or fails on a second of sound.
    UnknownNameError
        For an unknown name.

    Examples
    --------
    >>> front, net = fit_frontend("log_mel,n_mels=32", torch.nn.Identity(), 16000)
    >>> front(torch.zeros(1, 16000)).shape
    torch.Size([1, 1, 32, 51])
    """
    if isinstance(frontend, str):
        entry, settings = registry.parse("frontend", frontend)
        return entry.target(sample_rate, **settings), module
    if isinstance(frontend, nn.Module) and all(hasattr(frontend, name) for name in PROTOCOL):
        return frontend, module
    if not callable(frontend):
        known = ", ".join(registry.names("frontend"))
        raise ParameterError(
            f"frontend must be a module, a function of waveforms, or a name ({known}); got {type(frontend).__name__}"
        )
    probed = ProbedFrontend(frontend, sample_rate)
    return probed, module if probed.layout.plain else Arranged(module, probed.layout)


class Layout:
    """How a front end's output ``(batch, 1, freq, frame)`` lies in memory.

    Parameters
    ----------
    channel : bool
        Whether there is a channel of one after the batch.
    frames_first : bool
        Whether frames come before bands.

    Examples
    --------
    >>> Layout(channel=False, frames_first=True).arranged(torch.zeros(1, 50, 64)).shape
    torch.Size([1, 1, 64, 50])
    """

    def __init__(self, channel: bool, frames_first: bool):
        self.channel, self.frames_first = channel, frames_first

    @property
    def plain(self) -> bool:
        """Whether it is ``(batch, 1, freq, frame)`` itself."""
        return self.channel and not self.frames_first

    def arranged(self, features: Tensor) -> Tensor:
        """As ``(batch, 1, freq, frame)``."""
        features = features if self.channel else features[:, None]
        return features.transpose(2, 3) if self.frames_first else features

    def original(self, features: Tensor) -> Tensor:
        """As the front end makes them."""
        features = features.transpose(2, 3) if self.frames_first else features
        return features if self.channel else features[:, 0]


class Arranged(nn.Module):
    """A module behind a front end whose features lie in another order than ``(batch, 1, freq, frame)``.

    Parameters
    ----------
    module : nn.Module
        Takes features as the front end makes them.
    layout : Layout
        In which order that is.

    Examples
    --------
    >>> Arranged(torch.nn.Identity(), Layout(channel=False, frames_first=True))(torch.zeros(1, 1, 64, 50)).shape
    torch.Size([1, 50, 64])
    """

    def __init__(self, module: nn.Module, layout: Layout):
        super().__init__()
        self.module, self.layout = module, layout

    def forward(self, features: Tensor) -> Any:
        """What the module gives."""
        return self.module(self.layout.original(features))


class ProbedFrontend(nn.Module):
    """A front end that does not declare where its features lie; bursts and tones locate them.

    Parameters
    ----------
    inner : nn.Module or callable
        Waveforms ``(batch, time)`` -> features; a callable takes and gives NumPy arrays, and gradients stop there.
    sample_rate : int, Hz
        Rate of the waveforms.

    Attributes
    ----------
    opaque : bool
        Whether gradients stop at the features.
    layout : Layout
        In which order the features lie.
    silence : float
        The median feature of silence.

    Examples
    --------
    >>> front = ProbedFrontend(lambda x: np.abs(np.fft.rfft(x.reshape(len(x), -1, 400))), 16000)
    >>> front.opaque, front.layout.frames_first, front(torch.zeros(1, 16000)).shape
    (True, True, torch.Size([1, 1, 201, 40]))
    """

    def __init__(self, inner: nn.Module | Callable[[np.ndarray], Any], sample_rate: int):
        super().__init__()
        self.opaque = not isinstance(inner, nn.Module)
        self._inner: list[Any] = [inner]
        self.sample_rate = sample_rate
        if isinstance(inner, nn.Module):
            self.inner = inner
        n = round(PROBE_S * sample_rate)
        try:
            with torch.no_grad():
                silent = self._raw(torch.zeros(1, n))
                if silent.dim() not in (3, 4) or (silent.dim() == 4 and silent.shape[1] != 1):
                    raise ShapeError(f"it gives shape {tuple(silent.shape)}")
                self._probe(silent, n)
        except Exception as error:
            raise ParameterError(
                f"the front end {getattr(inner, '__name__', type(inner).__name__)} failed on {PROBE_S:g} s of sound "
                f"({type(error).__name__}: {' '.join(str(error).split())[:200]}); it must take waveforms (batch, time) and return "
                "features (batch, freq, frame) or (batch, 1, freq, frame)"
            ) from error

    def _raw(self, waveform: Tensor) -> Tensor:
        if not self.opaque:
            made: Tensor = self._inner[0](waveform)
            return made
        found = np.asarray(self._inner[0](waveform.detach().cpu().numpy()))
        return torch.from_numpy(np.ascontiguousarray(found, dtype=np.float32)).to(waveform.device)

    def _probe(self, silent: Tensor, n: int) -> None:
        """Find the frame axis, the times of frames and the frequencies of bands."""
        channel = silent.dim() == 4
        bursts = torch.zeros(2, n)
        length = max(8, n // 50)
        noise = torch.randn(length, generator=torch.Generator().manual_seed(0))
        starts = (n // 4, 3 * n // 4)
        for row, start in zip(bursts, starts, strict=True):
            row[start : start + length] = noise
        changed = [(self._raw(row[None]) - silent).abs().reshape(*silent.shape[-2:]).double() for row in bursts]
        centres = [[_centroid(change.sum(1 - axis)) for change in changed] for axis in (0, 1)]
        moved = [abs(late - early) / silent.shape[-2 + axis] for axis, (early, late) in enumerate(centres)]
        self.layout = Layout(channel, moved[0] > moved[1])
        early, late = centres[0 if self.layout.frames_first else 1]
        middle = [(start + length / 2) / self.sample_rate for start in starts]
        hop = (middle[1] - middle[0]) / (late - early) if late > early else PROBE_S / silent.shape[-1]
        self._first_s, self._hop_s = middle[0] - early * hop, hop
        quiet = self.layout.arranged(silent)[0, 0]
        self.silence = float(quiet.median())
        frequencies = self._frequencies(quiet, n)
        if frequencies is not None:
            self.band_frequencies = lambda: frequencies

    def _frequencies(self, quiet: Tensor, n: int) -> np.ndarray | None:
        """Frequency of each band, or None if higher tones do not appear in higher bands."""
        hz = np.geomspace(self.sample_rate / 200, 0.45 * self.sample_rate, TONES)
        times = torch.arange(n) / self.sample_rate
        peaks = []
        for f in hz:
            tone = 0.3 * torch.sin(2 * torch.pi * float(f) * times)
            peaks.append(float((self.layout.arranged(self._raw(tone[None]))[0, 0] - quiet).abs().sum(1).argmax()))
        bands, mels = np.asarray(peaks), hz_to_mel(hz)
        order = np.unique(bands, return_inverse=True)[1].astype(float)
        if len(np.unique(bands)) < 3 or np.corrcoef(order, np.arange(len(hz)))[0, 1] < MONOTONE:
            return None
        known = np.unique(bands)
        at = np.array([mels[bands == band].mean() for band in known])
        keep = np.concatenate([[True], np.diff(np.maximum.accumulate(at)) > 0])
        known, at = known[keep], at[keep]
        index = np.arange(quiet.shape[0])
        found = np.interp(index, known, at)
        for side, edge, near in (
            (index < known[0], 0, 1),
            (index > known[-1], -1, -2),
        ):  # beyond the last tones, as between them
            slope = (at[edge] - at[near]) / (known[edge] - known[near])
            found[side] = at[edge] + slope * (index[side] - known[edge])
        found = np.clip(found, 0.0, hz_to_mel(np.array(self.sample_rate / 2)))
        return np.asarray(mel_to_hz(np.maximum.accumulate(found + 1e-6 * index)))

    def frame_times(self, n_frames: int) -> np.ndarray:
        """Centre of each frame in seconds."""
        return self._first_s + self._hop_s * np.arange(n_frames)

    def forward(self, waveform: Tensor) -> Tensor:
        """Features ``(batch, 1, freq, frame)`` of waveforms ``(batch, time)``."""
        return self.layout.arranged(self._raw(waveform))


def _centroid(weights: Tensor) -> float:
    return float((weights * torch.arange(len(weights))).sum() / weights.sum().clamp_min(1e-30))
