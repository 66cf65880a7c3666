"""Long sounds in windows: where they lie, and how their values are joined."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from otoscope.audio import Span
from otoscope.core.records import Clip, Grid
from otoscope.explanation.windows import Joined, at_times, batches, whole_grid, windows_of
from worlds import RATE, band_energy

GRID = Grid(np.array([100.0, 200.0]), (np.arange(100) + 0.5) / 10, "hz", "stft", 10.0, 4000.0)


@pytest.mark.parametrize(("seconds", "n"), [(0.1, 1), (30.0, 1), (30.5, 4), (60.0, 8)])
def test_sounds_over_30_s_have_several_windows(seconds, n):
    spans = windows_of(Clip(np.zeros((1, round(seconds * RATE))), RATE), band_energy())
    assert (len(spans), spans[0].start, spans[-1].stop) == (n, 0, round(seconds * RATE))
    assert all(a.stop - b.start >= 2 * RATE for a, b in itertools.pairwise(spans))


def test_batches_hold_one_length_and_keep_the_order():
    spans = [Span(0, 10), Span(8, 18), Span(16, 26), Span(24, 30)]
    assert [len(b) for b in batches(spans, 2)] == [2, 1, 1]
    assert [s for b in batches(spans, 2) for s in b] == spans
    assert [len(b) for b in batches(spans, 99)] == [3, 1]


def test_values_of_one_window_stay_as_they_are():
    values = np.array([[-0.0, np.inf], [1.0, 2.0]], np.float32)
    grid = Grid(GRID.frequencies, np.array([0.5, 1.5]), "hz", "stft", 2.0, 4000.0)
    joined = Joined(grid, RATE, [Span(0, 2 * RATE)])
    joined.add(Span(0, 2 * RATE), values, grid.times)
    np.testing.assert_array_equal(joined.values, values)
    assert np.signbit(joined.values[0, 0])


def test_windows_that_agree_join_without_a_seam():
    spans = windows_of(Clip(np.zeros((1, 35 * RATE)), RATE), band_energy())
    joined = Joined(whole_grid(GRID, 35.0), RATE, spans)
    for span in spans:
        times = (np.arange(round((span.stop - span.start) / RATE * 10)) + 0.5) / 10
        slope = np.tile(times + span.start / RATE, (2, 1)).astype(np.float32)
        joined.add(span, slope, times)
    np.testing.assert_allclose(joined.values[1], joined.grid.times, atol=1e-4)


def test_a_grid_is_continued_in_its_own_steps():
    whole = whole_grid(GRID, 35.0)
    assert whole.shape == (2, 350)
    np.testing.assert_allclose(np.diff(whole.times), 0.1)
    assert whole.duration == 35.0


def test_values_at_other_times_lie_between_those_of_their_neighbours():
    values = np.array([[0.0, 10.0]])
    np.testing.assert_allclose(at_times(values, np.array([1.0, 2.0]), np.array([0.0, 1.5, 3.0])), [[0, 5, 10]])
    np.testing.assert_array_equal(at_times(np.array([[7.0]]), np.array([1.0]), np.array([0.0, 9.0])), [[7, 7]])
