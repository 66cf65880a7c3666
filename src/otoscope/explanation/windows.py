"""Long sounds in windows: where they lie, and how their values are joined on one grid over the whole sound."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from otoscope.audio import AudioSource, Span, crossfade, plan, plan_listening
from otoscope.classifiers import Classifier
from otoscope.core.errors import UnsupportedError
from otoscope.core.records import Grid
from otoscope.domains import Domain

LONG_S = 30.0


def longest_s(classifier: Classifier) -> float:
    """How many seconds a classifier hears at once: 30, or less where it cannot take that much."""
    longest = classifier.maximum_length
    return LONG_S if longest is None else min(LONG_S, longest / classifier.sample_rate)


def windows_of(source: AudioSource, classifier: Classifier) -> list[Span]:
    """The windows in which a classifier hears a sound: one up to 30 s, else windows of 10 s that overlap by 2 s.

    One that cannot hear that much at once (`Classifier.maximum_length`) makes both shorter.
    """
    limit = longest_s(classifier)
    if source.duration <= limit:
        return [Span(0, source.frames)]
    if classifier is not None and classifier.overlap_s is not None:
        return plan(source.frames, source.sample_rate, limit, min(classifier.overlap_s, 0.9 * limit))
    return plan_listening(source.frames, source.sample_rate, limit)


def ensure_one_window(domain: Domain, classifier: Classifier, long: Sequence[AudioSource]) -> None:
    """An `UnsupportedError` for sounds in several windows where the domain's cells mean something else in each."""
    if not (long and domain.one_window):
        return
    sound, limit = long[0], longest_s(classifier)
    raise UnsupportedError(
        f"{sound.source} lasts {sound.duration:.1f} s, and {classifier.name!r} hears up to {limit:g} s at once: the parts "
        f"that the domain {domain.name!r} finds in one window are not those of the next; cut the sound, or use the domain "
        "mel, stft or time"
    )


def batches(spans: Sequence[Span], size: int) -> Iterator[list[Span]]:
    """Windows of one length, at most ``size`` together, in order."""
    for _, alike in itertools.groupby(spans, key=lambda s: s.stop - s.start):
        group = list(alike)
        for start in range(0, len(group), size):
            yield group[start : start + size]


class Window(NamedTuple):
    """One window of one of several sounds: the sound's number, and the window's samples at the sound's own rate."""

    sound: int
    span: Span


class Joined:
    """Values ``(freq, frame)`` over a whole sound, gathered window by window; neighbours fade into one another.

    Parameters
    ----------
    grid : Grid
        Of the whole sound: `whole_grid`, or that of the window if the sound has only one.
    sample_rate : int, Hz
        Of the sound.
    spans : sequence of Span
        All windows; the values of a single one stay as they are.
    """

    def __init__(self, grid: Grid, sample_rate: int, spans: Sequence[Span]):
        self.grid, self._rate, self._spans = grid, sample_rate, spans
        self.values: np.ndarray = np.zeros(grid.shape, np.float32)

    def add(self, span: Span, values: np.ndarray, times: np.ndarray) -> None:
        """Add one window's values ``(freq, frame)``; its frames lie at ``times``, in seconds from its start."""
        if len(self._spans) == 1:
            self.values = np.asarray(values, np.float32)
            return
        grid, start = self.grid, span.start / self._rate
        near = np.flatnonzero((grid.times >= start) & (grid.times <= span.stop / self._rate))
        weights = crossfade(span, self._spans, times_s=grid.times[near], sample_rate=self._rate).astype(np.float32)
        counted = weights > 0  # values may be infinite where they do not count
        near, weights = near[counted], weights[counted]
        self.values[:, near] += at_times(values, times, grid.times[near] - start) * weights


def whole_grid(window: Grid, duration: float) -> Grid:
    """The grid of one window, continued over a sound of so many seconds."""
    step = float(window.times[1] - window.times[0]) if len(window.times) > 1 else window.duration
    times = float(window.times[0]) + np.arange(max(1, round(duration / step))) * step
    return Grid(window.frequencies, times, window.scale, window.domain, duration, window.top_hz)


def at_times(values: np.ndarray, times: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Values ``(freq, frame)`` at other times, by linear interpolation."""
    if len(times) == 1:
        return np.repeat(values, len(wanted), 1)
    return np.stack([np.interp(wanted, times, row) for row in values]).astype(np.float32)
