"""Other rates and fewer channels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import soxr

from otoscope.audio.check import as_rate
from otoscope.core.errors import ShapeError
from otoscope.core.records import Clip


def resample(samples: np.ndarray, source_rate: int, target_rate: int) -> np.ndarray:
    """The sound at another rate, by soxr at its HQ setting (linear phase, no delay).

    Parameters
    ----------
    samples : ndarray (channel, time)
        Full scale is 1.
    source_rate, target_rate : int, Hz
        Sample rates before and after.

    Returns
    -------
    ndarray (channel, time), float32
        ``round(time * target_rate / source_rate)`` samples, at least one for a sound that is not empty; at equal rates
        the input itself.

    Raises
    ------
    ShapeError, ParameterError

    Examples
    --------
    >>> resample(np.zeros((2, 441)), 44100, 16000).shape
    (2, 160)
    """
    if samples.ndim != 2:
        raise ShapeError(f"resample takes samples (channel, time); got shape {samples.shape}")
    source, target = as_rate(source_rate, "source_rate"), as_rate(target_rate, "target_rate")
    samples = samples.astype(np.float32, copy=False)
    frames = samples.shape[1]
    if source == target or not samples.size:
        return samples
    wanted = max(1, (2 * frames * target + source) // (2 * source))  # rounded half up, in whole numbers
    made = soxr.resample(np.ascontiguousarray(samples.T), source, target, quality="HQ").T
    if made.shape[1] == 0:  # a sound much shorter than one sample of the target rate
        made = samples.mean(axis=1, keepdims=True, dtype=np.float64)
    if made.shape[1] < wanted:
        made = np.pad(made, ((0, 0), (0, wanted - made.shape[1])), mode="edge")
    return np.ascontiguousarray(made[:, :wanted], dtype=np.float32)


def downmix(samples: np.ndarray) -> np.ndarray:
    """The mean of the channels.

    Parameters
    ----------
    samples : ndarray (channel, time)
        Full scale is 1.

    Returns
    -------
    ndarray (time,), float32

    Examples
    --------
    >>> downmix(np.array([[1.0, 0.0], [0.0, 0.0]]))
    array([0.5, 0. ], dtype=float32)
    """
    if samples.ndim != 2:
        raise ShapeError(f"downmix takes samples (channel, time); got shape {samples.shape}")
    if samples.shape[0] == 1:
        return np.asarray(samples[0], dtype=np.float32)
    return np.asarray(samples.mean(axis=0, dtype=np.float64), dtype=np.float32)


def to_rate(clip: Clip, rate: int) -> Clip:
    """The clip at ``rate`` Hz, with a note about it; the clip itself if it is at that rate already.

    Examples
    --------
    >>> to_rate(Clip(np.zeros((1, 441)), 44100), 32000).notes
    ('resampled 44100 -> 32000 Hz with soxr HQ',)
    """
    rate = as_rate(rate, "rate")
    if rate == clip.sample_rate:
        return clip
    note = f"resampled {clip.sample_rate} -> {rate} Hz with soxr HQ"
    samples = resample(clip.samples, clip.sample_rate, rate)
    return replace(clip, samples=samples, sample_rate=rate, notes=(*clip.notes, note))


def to_mono(clip: Clip) -> Clip:
    """The clip's downmix ``(1, time)``, with a note about it; the clip itself if it is mono already.

    Examples
    --------
    >>> to_mono(Clip(np.zeros((2, 441)), 44100)).notes
    ('downmixed 2 channels to their mean',)
    """
    if clip.channels == 1:
        return clip
    note = f"downmixed {clip.channels} channels to their mean"
    return replace(clip, samples=downmix(clip.samples)[None], notes=(*clip.notes, note))
