"""Distances between waveforms ``(batch, time)``, one number a clip."""

from __future__ import annotations

import torch
from torch import Tensor

from otoscope.audio import fit_length

RESOLUTIONS = (512, 1024, 2048)


def mean_squared(made: Tensor, wanted: Tensor) -> Tensor:
    """Mean squared error of each clip, ``(batch,)``."""
    return (made - wanted).square().mean(-1)


def multi_resolution_stft(made: Tensor, wanted: Tensor, resolutions: tuple[int, ...] = RESOLUTIONS) -> Tensor:
    """Spectral convergence plus distance of log magnitudes, mean over the STFTs, ``(batch,)``.

    Parameters
    ----------
    made, wanted : Tensor (batch, time)
        Reconstructions and originals, of one length.
    resolutions : tuple of int, samples
        Window lengths; each window moves on by a quarter. Shorter clips are padded with silence to the longest.

    Notes
    -----
    Source: yamamoto2020parallel, eqs. 4 to 7; with windows as long as the FFT, and magnitudes of at least 1e-4.
    """
    total = made.new_zeros(len(made))
    length = max(*resolutions, made.shape[-1])
    made, wanted = fit_length(made, length), fit_length(wanted, length)
    for n_fft in resolutions:
        ours, theirs = _magnitude(made, n_fft), _magnitude(wanted, n_fft)
        apart = (theirs - ours).flatten(1).norm(dim=1) / theirs.flatten(1).norm(dim=1).clamp_min(1e-4)
        total = total + apart + (theirs.log() - ours.log()).abs().mean((1, 2))
    return total / len(resolutions)


def _magnitude(waveform: Tensor, n_fft: int) -> Tensor:
    window = torch.hann_window(n_fft, dtype=waveform.dtype, device=waveform.device)
    spec = torch.stft(waveform, n_fft, n_fft // 4, window=window, return_complex=True)
    return (spec.real.square() + spec.imag.square()).clamp_min(1e-8).sqrt()
