"""Conversions between Hz and mel, bins and Hz, frames and seconds. NumPy only."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def hz_to_mel(hz: ArrayLike) -> np.ndarray:
    """Mel of a frequency in Hz, as Kaldi and HTK have it: ``1127 ln(1 + f / 700)``.

    Examples
    --------
    >>> hz_to_mel([0, 1000]).round(1)
    array([   0., 1000.])
    """
    return 1127.0 * np.log1p(np.asarray(hz, dtype=np.float64) / 700.0)


def mel_to_hz(mel: ArrayLike) -> np.ndarray:
    """Frequency in Hz of a mel; the inverse of `hz_to_mel`.

    Examples
    --------
    >>> mel_to_hz(hz_to_mel([0, 440])).round(6)
    array([  0., 440.])
    """
    return 700.0 * np.expm1(np.asarray(mel, dtype=np.float64) / 1127.0)


def bin_frequencies(n_fft: int, sample_rate: int) -> np.ndarray:
    """Centre of each STFT bin in Hz, ``(n_fft // 2 + 1,)``."""
    return np.arange(n_fft // 2 + 1) * (sample_rate / n_fft)


def frame_times(n_frames: int, hop_length: int, sample_rate: int) -> np.ndarray:
    """Centre of each frame of a centred STFT in seconds, ``(n_frames,)``.

    Examples
    --------
    >>> frame_times(3, hop_length=160, sample_rate=16000)
    array([0.  , 0.01, 0.02])
    """
    return np.arange(n_frames) * (hop_length / sample_rate)
