"""Front ends of the convolutional and recurrent classics: log-mel in decibels with HTK or Slaney bands, and linear STFT.

All are plain differentiable torch, with finite gradients on silence: waveform ``(batch, time)`` -> features
``(batch, 1, freq, frame)``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from otoscope.core.errors import ParameterError, UnknownNameError
from otoscope.spectral.scales import bin_frequencies, hz_to_mel, mel_to_hz

_HZ_PER_MEL, _KNEE_HZ, _LOG_STEP = 200.0 / 3.0, 1000.0, np.log(6.4) / 27.0  # Slaney's Auditory Toolbox
_KNEE_MEL = _KNEE_HZ / _HZ_PER_MEL
SCALES, NORMS, UNITS = ("htk", "slaney"), ("none", "slaney"), ("magnitude", "log1p", "db")
AMIN = 1e-10  # power below which decibels stop: -100 dB


def hz_to_slaney_mel(hz: ArrayLike) -> np.ndarray:
    """Mel of a frequency in Hz on Slaney's scale: linear up to 1 kHz, logarithmic above."""
    f = np.asarray(hz, dtype=np.float64)
    return np.where(f < _KNEE_HZ, f / _HZ_PER_MEL, _KNEE_MEL + np.log(np.maximum(f, _KNEE_HZ) / _KNEE_HZ) / _LOG_STEP)


def slaney_mel_to_hz(mel: ArrayLike) -> np.ndarray:
    """Frequency in Hz of a mel on Slaney's scale; the inverse of `hz_to_slaney_mel`."""
    m = np.asarray(mel, dtype=np.float64)
    return np.where(
        m < _KNEE_MEL, m * _HZ_PER_MEL, _KNEE_HZ * np.exp((np.maximum(m, _KNEE_MEL) - _KNEE_MEL) * _LOG_STEP)
    )


@dataclass(frozen=True)
class FrameConfig:
    """How a waveform is cut into frames.

    Parameters
    ----------
    sample_rate : int, Hz
        Sample rate.
    n_fft : int, samples
        Length of a frame and of its periodic Hann window.
    hop_length : int, samples
        Distance between frames, at least 1.
    center : bool
        True: frame ``i`` is centred on sample ``i * hop_length``, the ends are reflected. False: it begins there.
    minimum_frames : int
        The fewest frames that the network can take; the front end's ``minimum_length`` follows from it.
    maximum_frames : int, optional
        The most frames that it can take; the front end's ``maximum_length`` follows from it.

    Examples
    --------
    >>> frames = FrameConfig(sample_rate=16000, n_fft=512, hop_length=160)
    >>> frames.n_frames(16000), frames.minimum_length
    (101, 257)
    """

    sample_rate: int = 32000
    n_fft: int = 1024
    hop_length: int = 320
    center: bool = True
    minimum_frames: int = 1
    maximum_frames: int | None = None

    def __post_init__(self) -> None:
        if self.n_fft < 4 or self.n_fft % 2:
            raise ParameterError(f"n_fft must be even and at least 4; got {self.n_fft}")
        if self.sample_rate < 100 or self.hop_length < 1 or self.minimum_frames < 1:
            raise ParameterError(
                "a front end needs a sample_rate of at least 100 Hz, a hop_length and minimum_frames of at least 1; "
                f"got {self.sample_rate}, {self.hop_length} and {self.minimum_frames}"
            )

    @property
    def minimum_length(self) -> int:
        """Shortest waveform in samples that gives ``minimum_frames`` frames."""
        return self._length(self.minimum_frames)

    @property
    def maximum_length(self) -> int | None:
        """Waveform in samples that gives just ``maximum_frames``, all of which lie inside it; None without a limit."""
        return None if self.maximum_frames is None else self._length(self.maximum_frames)

    def _length(self, frames: int) -> int:
        """Shortest waveform in samples that gives so many frames."""
        steps = (frames - 1) * self.hop_length
        return max(self.n_fft // 2 + 1, steps) if self.center else self.n_fft + steps

    def n_frames(self, n_samples: int) -> int:
        """How many frames a waveform of so many samples gives."""
        return (n_samples if self.center else n_samples - self.n_fft) // self.hop_length + 1

    def frame_times(self, n_frames: int) -> np.ndarray:
        """Centre of each frame in seconds."""
        first = 0 if self.center else self.n_fft / 2
        return (np.arange(n_frames) * self.hop_length + first) / self.sample_rate


@dataclass(frozen=True)
class MelBands:
    """Which mel bands, and how the decibels are scaled.

    Parameters
    ----------
    n_mels : int
        Number of mel bands.
    low_hz, high_hz : float, Hz
        Corners of the first and the last band.
    scale : "htk" or "slaney"
        Mel scale on which the bands are evenly spaced.
    norm : "none" or "slaney"
        "slaney" divides each triangle by half its width in Hz.
    shift, divisor : float
        Features are ``(dB + shift) / divisor``.

    Examples
    --------
    >>> MelBands(n_mels=40, low_hz=0.0, high_hz=8000.0).scale
    'slaney'
    """

    n_mels: int = 64
    low_hz: float = 50.0
    high_hz: float = 14000.0
    scale: str = "slaney"
    norm: str = "slaney"
    shift: float = 0.0
    divisor: float = 1.0


def _edges(bands: MelBands) -> np.ndarray:
    """Corners of the triangles in Hz, ``(n_mels + 2,)``, evenly spaced on the mel scale."""
    to_mel, to_hz = (hz_to_mel, mel_to_hz) if bands.scale == "htk" else (hz_to_slaney_mel, slaney_mel_to_hz)
    return to_hz(np.linspace(to_mel(bands.low_hz), to_mel(bands.high_hz), bands.n_mels + 2))


def mel_bank(bands: MelBands, n_fft: int, sample_rate: int) -> np.ndarray:
    """Filters that are triangles in Hz with corners evenly spaced in mel, as librosa and torchaudio draw them.

    Parameters
    ----------
    bands : MelBands
        Number, range and scale of the mel bands.
    n_fft : int, samples
        Length of the FFT.
    sample_rate : int, Hz
        Sample rate.

    Returns
    -------
    ndarray (mel, n_fft // 2 + 1), float32

    Raises
    ------
    UnknownNameError
        For a scale or norm that does not exist.
    ParameterError
        If the bands do not lie between 0 Hz and half the sample rate.

    Examples
    --------
    >>> mel_bank(MelBands(n_mels=64), n_fft=1024, sample_rate=32000).shape
    (64, 513)
    """
    for what, value, known in (("mel scale", bands.scale, SCALES), ("mel norm", bands.norm, NORMS)):
        if value not in known:
            raise UnknownNameError(what, value, known)
    if bands.n_mels < 1 or not 0 <= bands.low_hz < bands.high_hz <= sample_rate / 2:
        raise ParameterError(
            f"mel bands need 0 <= low_hz < high_hz <= {sample_rate / 2} and n_mels >= 1; "
            f"got {bands.low_hz}, {bands.high_hz} and {bands.n_mels}"
        )
    edges, bins = _edges(bands), bin_frequencies(n_fft, sample_rate)
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    bank = np.maximum(np.minimum((bins - left) / (centre - left), (right - bins) / (right - centre)), 0.0)
    if bands.norm == "slaney":
        bank *= 2.0 / (right - left)
    return bank.astype(np.float32)


class _Frames(nn.Module):
    """Waveform -> complex STFT, and where its frames lie."""

    window: Tensor

    def __init__(self, frames: FrameConfig):
        super().__init__()
        self.frames, self.sample_rate = frames, frames.sample_rate
        self.register_buffer("window", torch.hann_window(frames.n_fft), persistent=False)  # periodic

    @property
    def minimum_length(self) -> int:
        """Shortest waveform in samples."""
        return self.frames.minimum_length

    @property
    def maximum_length(self) -> int | None:
        """Longest waveform in samples; None without a limit."""
        return self.frames.maximum_length

    def frame_times(self, n_frames: int) -> np.ndarray:
        """Centre of each frame in seconds."""
        return self.frames.frame_times(n_frames)

    def stft(self, waveform: Tensor) -> Tensor:
        """Complex spectrum ``(batch, frame, freq)`` of waveforms ``(batch, time)``."""
        if self.frames.center:
            half = self.frames.n_fft // 2
            waveform = nn.functional.pad(waveform.unsqueeze(1), (half, half), mode="reflect").squeeze(1)
        cut = waveform.unfold(-1, self.frames.n_fft, self.frames.hop_length)  # (batch, frame, n_fft)
        return torch.fft.rfft(cut * self.window)


def _power(spec: Tensor) -> Tensor:
    return spec.real.square() + spec.imag.square()


def _decibel(power: Tensor) -> Tensor:
    return 10.0 * power.clamp_min(AMIN).log10()  # below the floor the gradient is zero, not infinite


class LogMel(_Frames):
    """Waveform ``(batch, time)`` -> mel power in dB ``(batch, 1, mel, frame)``.

    Periodic Hann window over the whole frame, power, triangular mel bands, ``10 log10(max(power, 1e-10))``, by default without a
    limit relative to the loudest cell, then an affine map.

    Parameters
    ----------
    frames : FrameConfig, optional
        Framing; by default 32 kHz, frames of 1024 samples, hop 320.
    bands : MelBands, optional
        Mel bands; by default 64 from 50 Hz to 14 kHz.
    top_db : float, dB, optional
        Limit below the loudest cell of each sound.
    keep : int, optional
        Frames that are kept, from the first on.

    Notes
    -----
    Source: kong2020panns; the defaults are its front end at 32 kHz.

    Examples
    --------
    >>> import torch
    >>> from otoscope.spectral import LogMel
    >>> LogMel()(torch.zeros(1, 160000)).shape
    torch.Size([1, 1, 64, 501])
    """

    bank: Tensor

    def __init__(
        self,
        frames: FrameConfig | None = None,
        bands: MelBands | None = None,
        top_db: float | None = None,
        keep: int | None = None,
    ):
        super().__init__(frames or FrameConfig())
        self.bands, self.top_db, self.keep = bands or MelBands(), top_db, keep
        bank = torch.from_numpy(mel_bank(self.bands, self.frames.n_fft, self.sample_rate))
        self.register_buffer("bank", bank, persistent=False)

    @property
    def silence(self) -> float:
        """The feature value of digital silence: -100 dB, scaled."""
        return (float(10 * np.log10(AMIN)) + self.bands.shift) / self.bands.divisor

    @property
    def full_scale(self) -> float:
        """The feature value of power one (0 dB)."""
        return self.bands.shift / self.bands.divisor

    def band_frequencies(self) -> np.ndarray:
        """Centre of each band in Hz."""
        return _edges(self.bands)[1:-1]

    def forward(self, waveform: Tensor) -> Tensor:
        """Features ``(batch, 1, mel, frame)`` of waveforms ``(batch, time)``."""
        mel = _power(self.stft(waveform)) @ self.bank.T  # (batch, frame, mel)
        level = _decibel(mel)
        if self.top_db is not None:
            level = torch.maximum(level, level.amax((1, 2), keepdim=True) - self.top_db)
        features = (level[:, : self.keep] + self.bands.shift) / self.bands.divisor
        return features.transpose(1, 2).unsqueeze(1)  # (batch, 1, mel, frame)


class LinearStft(_Frames):
    """Waveform ``(batch, time)`` -> STFT ``(batch, 1, freq, frame)`` without phase.

    Parameters
    ----------
    frames : FrameConfig, optional
        Without: 11025 Hz, frames of 512, hop 256.
    unit : "magnitude", "log1p" or "db"
        ``|S|``, ``log(1 + |S|)`` or ``10 log10(max(|S|^2, 1e-10))``.
    shift, divisor : float
        The features are ``(unit + shift) / divisor``.

    Raises
    ------
    UnknownNameError
        For another unit.

    Examples
    --------
    >>> LinearStft()(torch.zeros(1, 11025)).shape
    torch.Size([1, 1, 257, 44])
    """

    def __init__(
        self, frames: FrameConfig | None = None, unit: str = "magnitude", shift: float = 0.0, divisor: float = 1.0
    ):
        super().__init__(frames or FrameConfig(11025, 512, 256))
        if unit not in UNITS:
            raise UnknownNameError("unit of the STFT", unit, UNITS)
        self.unit, self.shift, self.divisor = unit, shift, divisor

    @property
    def silence(self) -> float:
        """The feature value of digital silence: 0, or -100 dB, shifted and scaled."""
        return ((float(10 * np.log10(AMIN)) if self.unit == "db" else 0.0) + self.shift) / self.divisor

    def band_frequencies(self) -> np.ndarray:
        """Centre of each bin in Hz."""
        return bin_frequencies(self.frames.n_fft, self.sample_rate)

    def forward(self, waveform: Tensor) -> Tensor:
        """Features ``(batch, 1, freq, frame)`` of waveforms ``(batch, time)``."""
        spec = self.stft(waveform)  # (batch, frame, freq)
        if self.unit == "db":
            features = _decibel(_power(spec))
        else:
            features = spec.abs()  # torch gives it the gradient 0 at 0
            features = features.log1p() if self.unit == "log1p" else features
        if self.shift or self.divisor != 1.0:
            features = (features + self.shift) / self.divisor
        return features.transpose(1, 2).unsqueeze(1)  # (batch, 1, freq, frame)
