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
    """A clip with noise and a cue; what was not added is None."""

    samples: np.ndarray  # (time,) float32, with noise and cue
    cue: np.ndarray | None = None  # (time,) float32, the planted cue alone
    noise_record: Record | None = None  # see `Contamination`
    cue_record: Record | None = None  # see `Plant`


def clip_key(example: Example) -> str:
    """The key of a clip, on which its noise and its cue depend: class, file name and start, ``label/name@start``."""
    return f"{example.label}/{example.path.name}@{example.start_s:g}"


def full_scale(samples: np.ndarray) -> float:
    """The absolute peak, at least `SMALLEST_PEAK`: samples divided by it have a peak of 1."""
    return max(peak(samples), SMALLEST_PEAK)


def add_noise_and_cue(
    samples: np.ndarray, sample_rate: int, key: str, noise: Contamination | None = None, cue: Plant | None = None
) -> Prepared:
    """Mix noise into a clip ``(time,)``, then plant a cue, where they are given; ``key`` is its `clip_key`."""
    alone, noise_record, cue_record = None, None, None
    if noise is not None:
        samples, noise_record = noise(samples, sample_rate, key)
    if cue is not None:
        samples, alone, cue_record = cue(samples, sample_rate, key)
    return Prepared(samples, alone, noise_record, cue_record)
