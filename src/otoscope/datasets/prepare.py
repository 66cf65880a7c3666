"""Clips as training and studies use them: with noise, with a planted cue, scaled to full scale."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from otoscope.audio import peak
from otoscope.datasets.contaminate import Contamination, Record
from otoscope.datasets.plant import Plant
from otoscope.datasets.records import Example

SMALLEST_PEAK = 1e-8


class Prepared(NamedTuple):
    """A clip with noise and a cue.

    Parameters
    ----------
    samples : ndarray (time,), float32
        The clip with noise and cue.
    cue : ndarray (time,), float32, optional
        The planted cue alone.
    noise_record, cue_record : dict, optional
        What was mixed in, see `Contamination` and `Plant`; None where nothing was.
    """

    samples: np.ndarray
    cue: np.ndarray | None = None
    noise_record: Record | None = None
    cue_record: Record | None = None


def clip_key(example: Example) -> str:
    """The key of a clip, on which its noise and its cue depend: class, file name and start, ``label/name@start``."""
    return f"{example.label}/{example.path.name}@{example.start_s:g}"


def full_scale(samples: np.ndarray) -> float:
    """The absolute peak, at least `SMALLEST_PEAK`: samples divided by it have a peak of 1."""
    return max(peak(samples), SMALLEST_PEAK)


def add_noise_and_cue(
    samples: np.ndarray, sample_rate: int, key: str, noise: Contamination | None = None, cue: Plant | None = None
) -> Prepared:
    """Mix noise into a clip, then plant a cue.

    Parameters
    ----------
    samples : ndarray (time,)
        Mono samples, full scale 1.
    sample_rate : int, Hz
        Of the samples.
    key : str
        See `clip_key`.
    noise : Contamination, optional
        The noise; none is mixed in by default.
    cue : Plant, optional
        The cue; none is planted by default.

    Returns
    -------
    Prepared
    """
    alone, noise_record, cue_record = None, None, None
    if noise is not None:
        samples, noise_record = noise(samples, sample_rate, key)
    if cue is not None:
        samples, alone, cue_record = cue(samples, sample_rate, key)
    return Prepared(samples, alone, noise_record, cue_record)
