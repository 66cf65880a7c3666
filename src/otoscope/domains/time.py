"""The time domain: segments of the waveform with soft edges; works for any classifier."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from otoscope.core.records import Grid
from otoscope.core.registry import register
from otoscope.domains.base import (
    Analysis,
    Domain,
    InputSpec,
    Milliseconds,
    Segments,
    check_mask,
    neighbours,
    pick,
    time_centres,
)


class TimeAnalysis(Analysis):
    """Waveforms of a batch, and the weight of each segment at each sample."""

    def __init__(self, waveform: Tensor, sample_rate: int, grid: Grid):
        self.grid, self.waveform = grid, waveform
        moments = (np.arange(waveform.shape[-1]) + 0.5) / sample_rate
        self.cells = Segments(*neighbours(moments, grid.times), len(grid.times), waveform)

    def synthesise(self, mask: Tensor, index: Tensor | None = None) -> Tensor:
        """Waveforms ``(batch, time)`` of what is left under masks ``(batch, 1, frame)``."""
        check_mask(mask, self.grid)
        return pick(self.waveform, index, len(mask)) * self.cells.spread(mask[:, 0])

    def amplitude(self) -> Tensor:
        """Root of each segment's energy."""
        return self.cells.gather(self.waveform.square()).clamp_min(0).sqrt()[:, None]


@register(
    "domain", "time", family="waveform", feeds="waveform", has_frequency=False, axes="s",
)  # fmt: skip
class TimeDomain(Domain):
    """Segments of time across all frequencies; neighbours fade into one another.

    Parameters
    ----------
    ms : float, ms
        Length of a cell.
    """

    name = "time"

    def __init__(self, ms: Milliseconds = 100.0):
        self.ms = ms
        self.settings: Mapping[str, Any] = {"ms": ms}

    def grid(self, n_samples: int, listener: InputSpec) -> Grid:
        rate = listener.sample_rate
        times = time_centres(n_samples, rate, self.ms)
        return Grid(np.array([rate / 4]), times, "none", self.name, n_samples / rate, rate / 2)

    def analyse(self, waveform: Tensor, listener: InputSpec) -> TimeAnalysis:
        return TimeAnalysis(waveform, listener.sample_rate, self.grid(waveform.shape[-1], listener))
