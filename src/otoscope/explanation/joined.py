"""Values of overlapping windows, faded into one another on one grid over the whole sound."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from otoscope.audio import AudioSource, Span, crossfade
from otoscope.core.records import Grid


class Joined:
    """Values ``(freq, frame)`` over a whole sound, gathered window by window.

    Parameters
    ----------
    window : Grid
        Of the first window.
    source : AudioSource
    spans : sequence of Span
        All windows; where it is one, its values stay as they are.
    """

    def __init__(self, window: Grid, source: AudioSource, spans: Sequence[Span]):
        self._spans, self._rate = spans, source.sample_rate
        self.grid = window if len(spans) == 1 else whole_grid(window, source.duration)
        self.values: np.ndarray = np.zeros(self.grid.shape, np.float32)

    def add(self, span: Span, values: np.ndarray, times: np.ndarray) -> None:
        """One window's values ``(freq, frame)``; its frames lie at ``times``, seconds from its start."""
        if len(self._spans) == 1:
            self.values += values
            return
        grid, start = self.grid, span.start / self._rate
        near = np.flatnonzero((grid.times >= start) & (grid.times <= span.stop / self._rate))
        weights = crossfade(span, self._spans, times_s=grid.times[near], sample_rate=self._rate).astype(np.float32)
        heard = weights > 0  # infinite values may lie where nothing counts
        near, weights = near[heard], weights[heard]
        self.values[:, near] += at_times(values, times, grid.times[near] - start) * weights


def whole_grid(window: Grid, duration: float) -> Grid:
    """The window's grid, continued over a sound of so many seconds."""
    step = float(window.times[1] - window.times[0]) if len(window.times) > 1 else window.duration
    times = float(window.times[0]) + np.arange(max(1, round(duration / step))) * step
    return Grid(window.frequencies, times, window.scale, window.domain, duration, window.top_hz)


def at_times(values: np.ndarray, times: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Values ``(freq, frame)`` at other times, by linear interpolation."""
    if len(times) == 1:
        return np.repeat(values, len(wanted), 1)
    return np.stack([np.interp(wanted, times, row) for row in values]).astype(np.float32)
