"""Log-mel features after Kaldi, as EfficientAT and PaSST compute them, in plain differentiable torch."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from otoscope.core.errors import ParameterError
from otoscope.spectral.scales import hz_to_mel, mel_to_hz


def kaldi_mel_bank(n_mels: int, n_fft: int, sample_rate: int, low_hz: float, high_hz: float) -> np.ndarray:
    """Triangular filters that are triangles on the mel axis, without area normalisation.

    Kaldi draws each triangle on the mel axis and evaluates it at the mel of every bin; HTK and Slaney banks draw it in
    Hz. The last FFT bin (Nyquist) has no weight.

    Returns
    -------
    ndarray (mel, n_fft // 2 + 1), float32

    Examples
    --------
    >>> kaldi_mel_bank(128, 1024, 32000, 0.0, 15000.0).shape
    (128, 513)
    """
    if not 0 <= low_hz < high_hz <= sample_rate / 2:
        raise ParameterError(f"mel bands need 0 <= low_hz < high_hz <= {sample_rate / 2}; got {low_hz} and {high_hz}")
    edges = np.linspace(hz_to_mel(low_hz), hz_to_mel(high_hz), n_mels + 2)
    bins = hz_to_mel(np.arange(n_fft // 2) * (sample_rate / n_fft))
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    triangles = np.minimum((bins - left) / (centre - left), (right - bins) / (right - centre))
    bank = np.zeros((n_mels, n_fft // 2 + 1), dtype=np.float32)
    bank[:, :-1] = np.maximum(triangles, 0.0)
    return bank


class KaldiLogMel(nn.Module):
    """Waveform ``(batch, time)`` -> log-mel features ``(batch, 1, mel, frame)``.

    Pre-emphasis without padding, centred STFT with reflected ends, power, Kaldi mel bank, ``log(x + floor)``, then an
    affine map to about [-1, 1].

    Parameters
    ----------
    sample_rate : int, Hz
        Sample rate of the waveforms.
    n_mels : int
        Number of mel bands.
    n_fft, win_length, hop_length : int, samples
        Lengths of the FFT and the window, and distance between frames.
    low_hz, high_hz : float, Hz
        Lowest and highest corner of the bank.
    preemphasis : float
        Coefficient of the pre-emphasis filter; 0 is none.
    floor : float
        Added to the power before the logarithm.
    shift, scale : float
        Features are ``(log + shift) / scale``.

    Notes
    -----
    Source: schmid2023efficient, the released front end in evaluation mode.

    Examples
    --------
    >>> KaldiLogMel()(torch.zeros(1, 32000)).shape
    torch.Size([1, 1, 128, 100])
    """

    window: Tensor
    bank: Tensor

    def __init__(
        self,
        sample_rate: int = 32000,
        *,
        n_mels: int = 128,
        n_fft: int = 1024,
        win_length: int = 800,
        hop_length: int = 320,
        low_hz: float = 0.0,
        high_hz: float = 15000.0,
        preemphasis: float = 0.97,
        floor: float = 1e-5,
        shift: float = 4.5,
        scale: float = 5.0,
    ):
        super().__init__()
        self.sample_rate, self.n_mels = sample_rate, n_mels
        self.n_fft, self.win_length, self.hop_length = n_fft, win_length, hop_length
        self.low_hz, self.high_hz = low_hz, high_hz
        self.preemphasis, self.floor, self.shift, self.scale = preemphasis, floor, shift, scale
        left = (n_fft - win_length) // 2
        window = torch.zeros(n_fft)
        window[left : left + win_length] = torch.hann_window(win_length, periodic=False)
        self.register_buffer("window", window, persistent=False)
        bank = torch.from_numpy(kaldi_mel_bank(n_mels, n_fft, sample_rate, low_hz, high_hz))
        self.register_buffer("bank", bank, persistent=False)

    @property
    def minimum_length(self) -> int:
        """Shortest waveform in samples that the reflected ends allow."""
        return self.n_fft // 2 + 2

    @property
    def silence(self) -> float:
        """The feature value of digital silence."""
        return float((np.log(self.floor) + self.shift) / self.scale)

    @property
    def full_scale(self) -> float:
        """The feature value of power one (0 dB)."""
        return float(self.shift / self.scale)

    def frame_times(self, n_frames: int) -> np.ndarray:
        """Centre of each frame in seconds."""
        return np.arange(n_frames) * (self.hop_length / self.sample_rate)

    def band_frequencies(self) -> np.ndarray:
        """Centre of each band in Hz."""
        return mel_to_hz(np.linspace(hz_to_mel(self.low_hz), hz_to_mel(self.high_hz), self.n_mels + 2)[1:-1])

    def forward(self, waveform: Tensor, low_hz: float | None = None, high_hz: float | None = None) -> Tensor:
        """Features ``(batch, 1, mel, frame)`` of waveforms ``(batch, time)``; other ends of the bank for training alone."""
        emphasised = waveform[..., 1:] - self.preemphasis * waveform[..., :-1]
        half = self.n_fft // 2
        padded = nn.functional.pad(emphasised.unsqueeze(1), (half, half), mode="reflect").squeeze(1)
        frames = padded.unfold(-1, self.n_fft, self.hop_length)  # (batch, frame, n_fft)
        spec = torch.fft.rfft(frames * self.window)
        power = spec.real.square() + spec.imag.square()  # (batch, frame, freq)
        bank = self.bank
        if low_hz is not None or high_hz is not None:
            low = self.low_hz if low_hz is None else low_hz
            high = self.high_hz if high_hz is None else high_hz
            bank = torch.from_numpy(kaldi_mel_bank(self.n_mels, self.n_fft, self.sample_rate, low, high)).to(bank)
        mel = power @ bank.T  # (batch, frame, mel)
        features = ((mel + self.floor).log() + self.shift) / self.scale
        return features.transpose(1, 2).unsqueeze(1)  # (batch, 1, mel, frame)
