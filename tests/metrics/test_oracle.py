"""Ideal masks, active frames, cells nearby: against twins and by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otoscope.core.errors import ParameterError, ShapeError
from otoscope.metrics.oracle import active_frames, frame_edges, ideal_binary_mask, ideal_ratio_mask, near, over_time
from reference import truth as slow

SOURCE = np.array([[4.0, 1.0, 0.0], [0.0, 9.0, 1e-9]])
REST = np.array([[1.0, 1.0, 0.0], [2.0, 3.0, 0.0]])


def test_ideal_masks_by_hand():
    assert ideal_ratio_mask(SOURCE, REST).tolist() == [[0.8, 0.5, 0.0], [0.0, 0.75, 1.0]]
    assert ideal_binary_mask(SOURCE, REST).tolist() == [
        [1, 0, 0],
        [0, 1, 0],
    ]  # a tie is no win, near silence is nobody's
    assert ideal_binary_mask(SOURCE, REST, floor_db=-300).tolist() == [[1, 0, 0], [0, 1, 1]]
    assert ideal_binary_mask(SOURCE, REST, threshold_db=5).tolist() == [[1, 0, 0], [0, 0, 0]]
    assert not ideal_binary_mask(np.zeros((2, 2)), np.zeros((2, 2))).any()
    assert ideal_binary_mask(np.zeros((0, 2)), np.zeros((0, 2))).shape == (0, 2)


@given(st.floats(1e-3, 1e3), st.integers(0, 20))
@settings(max_examples=20, deadline=None)
def test_level_does_not_matter_and_the_rest_gets_what_is_left(gain, seed):
    source, rest = np.random.default_rng(seed).exponential(size=(2, 4, 5))
    np.testing.assert_array_equal(ideal_binary_mask(gain * source, gain * rest), ideal_binary_mask(source, rest))
    np.testing.assert_allclose(ideal_ratio_mask(source, rest) + ideal_ratio_mask(rest, source), 1.0)
    assert (ideal_binary_mask(source, rest) == (ideal_ratio_mask(source, rest) > 0.5)).all()


@pytest.mark.parametrize("make", [ideal_ratio_mask, ideal_binary_mask])
@pytest.mark.parametrize(
    ("source", "rest", "error", "words"),
    [
        (np.ones((2, 3)), np.ones((3, 2)), ShapeError, r"one shape; got \(2, 3\) and \(3, 2\)"),
        (-np.ones((2, 3)), np.ones((2, 3)), ParameterError, "those of the source are not"),
        (np.ones((2, 3)), np.full((2, 3), np.nan), ParameterError, "those of the rest are not"),
        (np.ones((2, 3)), np.full((2, 3), np.inf), ParameterError, "those of the rest are not"),
    ],
)
def test_energies_that_are_none_are_refused(make, source, rest, error, words):
    with pytest.raises(error, match=words):
        make(source, rest)


def test_the_sum_over_frequency():
    assert over_time(np.array([[1.0, -2.0], [3.0, 4.0]])).tolist() == [4.0, 2.0]
    with pytest.raises(ShapeError, match=r"got shape \(3,\)"):
        over_time(np.ones(3))


class TestActiveFrames:
    TIMES = (np.arange(10) + 0.5) / 10

    def test_edges_lie_midway_and_at_the_ends(self):
        np.testing.assert_allclose(frame_edges(self.TIMES, 1.0), np.linspace(0, 1, 11))
        np.testing.assert_allclose(frame_edges(np.array([0.0, 0.01, 0.02]), 0.03), [0, 0.005, 0.015, 0.03])
        assert frame_edges(np.array([0.5]), 1.0).tolist() == [0.0, 1.0]

    def test_by_hand(self):
        found = active_frames(self.TIMES, 1.0, [(0.105, 0.3), (0.295, 0.35), (0.8, 0.8)])
        np.testing.assert_array_equal(
            found, [0, 1, 1, math.nan, 0, 0, 0, 0, 0, 0]
        )  # 95 % of a frame are enough, half is not
        found = active_frames(self.TIMES, 1.0, [(0.12, 0.3)])
        np.testing.assert_array_equal(found[:4], [0, math.nan, 1, 0])
        np.testing.assert_array_equal(active_frames(self.TIMES, 1.0, [(0.12, 0.3)], covered=0.7)[:4], [0, 1, 1, 0])
        assert not active_frames(self.TIMES, 1.0, []).any()
        assert active_frames(self.TIMES, 1.0, [(-1, 5)]).all()

    @pytest.mark.parametrize(
        ("events", "wanted"),
        [
            ([(0.42, 0.43)], {4: 1}),  # a click of 10 ms
            ([(0.42, 0.43), (0.46, 0.47), (0.71, 0.72)], {4: 1, 7: 1}),  # each by itself
            ([(0.395, 0.405)], {3: math.nan, 4: math.nan}),  # cut in two
            ([(0.3995, 0.4095)], {3: math.nan, 4: 1}),  # 95 % of it are in one
            ([(0.405, 0.475), (0.47, 0.495)], {4: 1}),  # 90 ms together
            ([(0.35, 0.46)], {3: math.nan, 4: math.nan}),  # longer than a frame: only cover counts
            ([(-1.0, 0.01)], {0: 1}),  # of what lies in the clip
            ([(0.99, 7.0)], {9: 1}),
            ([(1.2, 1.21), (0.8, 0.8)], {}),
        ],
    )
    def test_clicks(self, events, wanted):
        expected = [wanted.get(i, 0.0) for i in range(10)]
        np.testing.assert_array_equal(active_frames(self.TIMES, 1.0, events), expected)

    @given(st.lists(st.tuples(st.integers(0, 39), st.integers(1, 20)), max_size=4), st.sampled_from([0.0, 0.5, 0.9]))
    @settings(max_examples=40, deadline=None)
    def test_equals_its_twin(self, events, covered):
        """Events on a grid of 25 ms, so that points and cover agree."""
        events = [(a / 40, (a + n) / 40) for a, n in events]
        wanted = slow.active(list(frame_edges(self.TIMES, 1.0)), events, covered)
        np.testing.assert_array_equal(active_frames(self.TIMES, 1.0, events, covered), wanted)

    @pytest.mark.parametrize(
        ("events", "covered", "words"),
        [
            ([(0.5, 0.4)], 0.9, "got 0.5 to 0.4"),
            ([(0, np.nan)], 0.9, "must stop after"),
            ([], 1.0, r"share of a frame in \[0, 1\)"),
        ],
    )
    def test_bad_events(self, events, covered, words):
        with pytest.raises(ParameterError, match=words):
            active_frames(self.TIMES, 1.0, events, covered)

    @pytest.mark.parametrize(("times", "duration"), [([], 1.0), ([0.2, 0.1], 1.0), ([0.1], 0.0), ([0.1], math.nan)])
    def test_bad_frames(self, times, duration):
        with pytest.raises(ParameterError, match="centres that rise"):
            frame_edges(np.array(times), duration)


@given(st.integers(0, 4), st.integers(0, 30))
@settings(max_examples=30, deadline=None)
def test_cells_nearby(tolerance, seed):
    inside = np.random.default_rng(seed).random((4, 7)) > 0.85
    found = near(inside, tolerance)
    true = np.argwhere(inside)
    for i, j in np.ndindex(4, 7):
        assert found[i, j] == any(max(abs(i - a), abs(j - b)) <= tolerance for a, b in true)
    along = near(inside, (0, tolerance))
    for i, j in np.ndindex(4, 7):
        assert along[i, j] == any(i == a and abs(j - b) <= tolerance for a, b in true)
