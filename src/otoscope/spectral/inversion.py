"""From mel features in dB back to a sound: magnitudes that explain the mel bands, and phases that are consistent with them.

Frames lie as the front end has them (``center`` included), so that what is made has the given features where it was analysed.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from otoscope.core.runtime import generator
from otoscope.spectral.logmel import LinearStft, LogMel

FLOOR = 1e-12


def mel_to_magnitude(mel: Tensor, bank: Tensor, iterations: int = 30) -> Tensor:
    """Magnitudes whose power has the given mel bands, by multiplicative updates from a smooth start.

    Parameters
    ----------
    mel : Tensor (frame, band)
        Power.
    bank : Tensor (band, bin)
        Mel filters.
    iterations : int
        Updates; each lowers the Kullback-Leibler divergence from ``mel``.

    Returns
    -------
    Tensor (frame, bin)
        Bins that no band hears are 0.

    Notes
    -----
    Source: lee1999nmf, with the filters as the fixed factor. Starting from the power that spreads each band evenly over its
    bins keeps the spectrum smooth, where least squares (NNLS) leaves most bins at 0.

    Examples
    --------
    >>> bank = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 2.0]])
    >>> mel_to_magnitude(torch.tensor([[2.0, 8.0]]), bank)
    tensor([[1., 1., 2.]])
    """
    heard = bank.sum(0)
    power = (mel / bank.sum(1).clamp_min(FLOOR)) @ bank / heard.clamp_min(FLOOR)
    for _ in range(iterations):
        ratio = mel / (power @ bank.T).clamp_min(FLOOR)
        power = power * (ratio @ bank) / heard.clamp_min(FLOOR)
    return (power * (heard > 0)).sqrt()


def griffin_lim(
    magnitude: Tensor,
    front: LogMel,
    iterations: int = 32,
    momentum: float = 0.99,
    phase: Tensor | None = None,
    seed: int = 0,
) -> Tensor:
    """A sound whose STFT has the given magnitudes, as far as frames that overlap agree.

    Parameters
    ----------
    magnitude : Tensor (frame, bin)
        At least one frame.
    front : LogMel
        Whose framing the magnitudes have.
    iterations : int
        Projections onto the sounds and back.
    momentum : float in [0, 1)
        How far the last step is continued; 0 is the plain algorithm.
    phase : Tensor (frame, bin), optional
        Phases to start from, in radians; by default random ones.
    seed : int
        Of the random phases.

    Returns
    -------
    Tensor (time,)

    Notes
    -----
    Source: griffin1984signal, with the momentum of perraudin2013fast.

    Examples
    --------
    >>> front = LogMel()
    >>> griffin_lim(torch.ones(20, 513), front, iterations=2).shape
    torch.Size([6080])
    """
    if phase is None:
        phase = 2 * np.pi * torch.rand(magnitude.shape, generator=generator(seed), dtype=torch.float32)
    spec = torch.polar(magnitude, phase.to(magnitude))
    last = torch.zeros_like(spec)
    for _ in range(iterations):
        consistent = front.stft(synthesise(spec, front)[None])[0][: len(magnitude)]
        ahead = consistent + momentum * (consistent - last)
        last = consistent
        spec = magnitude * ahead / ahead.abs().clamp_min(FLOOR)
    return synthesise(spec, front)


def synthesise(spec: Tensor, front: LogMel | LinearStft) -> Tensor:
    """The sound nearest to an STFT ``(frame, bin)``, by overlapping frames as the front end cuts them, ``(time,)``."""
    n_fft, hop = front.frames.n_fft, front.frames.hop_length
    frames = torch.fft.irfft(spec, n_fft) * front.window
    length = n_fft + hop * (len(spec) - 1)
    total = _overlap_add(front.window.square().expand(len(spec), -1), hop)[:length]
    # at the ends, where one frame fades, its errors would be amplified without end
    sound = _overlap_add(frames, hop)[:length] / total.clamp_min(0.1 * float(total.max()))
    half = n_fft // 2
    return sound[half : length - half] if front.frames.center else sound


def _overlap_add(frames: Tensor, hop: int) -> Tensor:
    """Frames ``(frame, time)`` added up, each ``hop`` samples after the one before, ``(time,)``; longer by less than a hop."""
    n, size = frames.shape
    parts = -(-size // hop)
    pieces = torch.nn.functional.pad(frames, (0, parts * hop - size)).reshape(n, parts, hop)
    out = frames.new_zeros(n + parts - 1, hop)
    for k in range(parts):
        out[k : k + n] += pieces[:, k]
    return out.flatten()


def features_to_sound(features: Tensor, front: LogMel, iterations: int = 32, seed: int = 0) -> np.ndarray:
    """A sound with the given features.

    Parameters
    ----------
    features : Tensor (band, frame)
        As ``front`` makes them.
    front : LogMel
        The front end.
    iterations : int
        Of `griffin_lim`.
    seed : int
        Of the phases.

    Returns
    -------
    ndarray (time,), float32
        At the front end's sample rate; longer than a sound with these features by at most one hop.

    Examples
    --------
    >>> front = LogMel()
    >>> sound = features_to_sound(front(0.1 * torch.randn(1, 16000))[0, 0], front)
    >>> sound.shape
    (16000,)
    """
    with torch.no_grad():
        level = features.T.float() * front.bands.divisor - front.bands.shift
        power = 10 ** (level / 10)
        sound = griffin_lim(mel_to_magnitude(power, front.bank), front, iterations, seed=seed)
        found = front.stft(sound[None])[0][: len(power)].abs().square() @ front.bank.T
        gain = (
            power[: len(found)].sum() / found.sum().clamp_min(FLOOR)
        ).sqrt()  # frames that contradict each other lose power
        return (sound * gain).numpy()
