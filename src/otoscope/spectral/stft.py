"""The short-time Fourier transform and its exact inverse."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch
from torch import Tensor

from otoscope.core.errors import ParameterError


@dataclass(frozen=True)
class StftConfig:
    """Settings of an STFT; passed whole, so that nothing is inverted with other numbers.

    Analysis and synthesis both use the square root of a periodic Hann window, so a mask is smoothed on the way back and
    no cell boundary clicks.

    Parameters
    ----------
    n_fft : int, samples
        Even.
    hop_length : int, samples
        Divides ``n_fft`` at least twice, so that windows overlap and the inverse is exact.

    Examples
    --------
    >>> config = StftConfig(n_fft=512, hop_length=128)
    >>> config.n_bins, config.n_frames(16000)
    (257, 126)
    """

    n_fft: int = 1024
    hop_length: int = 512

    def __post_init__(self) -> None:
        if self.n_fft < 4 or self.n_fft % 2:
            raise ParameterError(f"n_fft must be even and at least 4; got {self.n_fft}")
        if self.hop_length < 1 or self.n_fft % self.hop_length or self.n_fft < 2 * self.hop_length:
            raise ParameterError(
                f"hop_length must divide n_fft at least twice (n_fft={self.n_fft}); got {self.hop_length}"
            )

    @property
    def n_bins(self) -> int:
        """Number of frequency bins."""
        return self.n_fft // 2 + 1

    def n_frames(self, n_samples: int) -> int:
        """Number of frames of a centred STFT of ``n_samples`` samples; every sample lies between two centres."""
        return -(-n_samples // self.hop_length) + 1


@functools.lru_cache(maxsize=32)
def _window(n_fft: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    with torch.inference_mode(False):  # it is kept, and must serve passes with gradients too
        return torch.hann_window(n_fft, periodic=True, dtype=torch.float64).sqrt().to(device=device, dtype=dtype)


def stft(waveform: Tensor, config: StftConfig) -> Tensor:
    """Complex STFT, centred, silence beyond both ends.

    Parameters
    ----------
    waveform : Tensor (..., time)
        Samples; full scale is 1.
    config : StftConfig
        Settings of the transform.

    Returns
    -------
    Tensor (..., freq, frame), complex
        Frame ``i`` is centred on sample ``i * hop_length``.

    Examples
    --------
    >>> stft(torch.zeros(1, 4000), StftConfig()).shape
    torch.Size([1, 513, 9])
    """
    n = waveform.shape[-1]
    frames = config.n_frames(n)
    total = (frames - 1) * config.hop_length + config.n_fft
    left = config.n_fft // 2
    padded = torch.nn.functional.pad(waveform, (left, total - left - n))
    cut = padded.unfold(-1, config.n_fft, config.hop_length)  # (..., frame, n_fft)
    window = _window(config.n_fft, waveform.device, waveform.dtype)
    return torch.fft.rfft(cut * window).transpose(-1, -2)


def istft(spec: Tensor, config: StftConfig, length: int) -> Tensor:
    """Waveform of a (masked) STFT; exact for an unchanged one.

    Parameters
    ----------
    spec : Tensor (..., freq, frame), complex
        As `stft` gives it.
    config : StftConfig
        Settings of the transform.
    length : int, samples
        Length of the waveform.

    Returns
    -------
    Tensor (..., time)

    Examples
    --------
    >>> config, x = StftConfig(), torch.randn(1, 4000)
    >>> torch.allclose(istft(stft(x, config), config, 4000), x, atol=1e-5)
    True
    """
    pieces = torch.fft.irfft(spec.transpose(-1, -2), n=config.n_fft)  # (..., frame, n_fft)
    window = _window(config.n_fft, pieces.device, pieces.dtype)
    waveform = overlap_add(pieces * window, config.hop_length)
    inside = slice(config.n_fft // 2, config.n_fft // 2 + length)
    if config.n_fft == 2 * config.hop_length:  # the squared windows sum to one wherever there are samples
        return waveform[..., inside]
    weight = overlap_add(window.square().expand(spec.shape[-1], -1), config.hop_length)  # less than full at the ends
    return waveform[..., inside] / weight[inside]


def overlap_add(pieces: Tensor, hop_length: int) -> Tensor:
    """Sum of frames ``(..., frame, n)`` laid ``hop_length`` apart, ``(..., time)``; ``hop_length`` divides ``n``.

    Each frame is cut in blocks of one hop; block ``k`` of all frames forms one contiguous signal, so the sum is a few
    shifted additions instead of a scatter.
    """
    *lead, frames, n = pieces.shape
    ratio = n // hop_length
    blocks = pieces.reshape(*lead, frames, ratio, hop_length)
    parts = [torch.nn.functional.pad(blocks[..., k, :], (0, 0, k, ratio - 1 - k)) for k in range(ratio)]
    out = functools.reduce(torch.add, parts)
    return out.reshape(*lead, (frames + ratio - 1) * hop_length)
