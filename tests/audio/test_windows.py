from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from otoscope.audio import Span, crossfade, fit_length, plan, plan_listening
from otoscope.core.errors import ParameterError


@st.composite
def plans(draw):
    rate = draw(st.sampled_from([100, 250, 441]))
    window = draw(st.sampled_from([0.1, 0.77, 1.0, 3.0, 10.0, 12.5]))
    overlap = draw(st.sampled_from([0.0, 0.05, 0.3, 0.5, 0.9])) * window
    frames = draw(st.integers(1, 40 * rate if window >= 1 else 4 * rate))
    return frames, rate, window, overlap


@given(case=plans())
@settings(deadline=None)
def test_a_plan_covers_everything_with_its_overlap(case):
    frames, rate, window, overlap = case
    spans = plan(*case)
    assert spans[0].start == 0
    assert spans[-1].stop == frames
    longest = int(window * rate)
    for before, after in pairwise(spans):
        assert before.start < after.start
        assert before.stop < after.stop or after is spans[-1]
        assert before.stop - after.start >= min(int(overlap * rate), longest - 1)
        assert before.stop - before.start == longest
    assert spans[-1].stop - spans[-1].start > longest - rate or len(spans) == 1
    if window - overlap >= 1 + 1 / rate:
        assert all(s.start % rate == 0 for s in spans)


@given(case=plans())
@settings(deadline=None, max_examples=50)
def test_weights_sum_to_one_everywhere(case):
    frames, rate, _, _ = case
    spans = plan(*case)
    total = np.zeros(frames)
    for span in spans:
        weight = crossfade(span, spans)
        assert weight.shape == (span.stop - span.start,)
        assert weight.min() >= 0
        total[span.start : span.stop] += weight
    np.testing.assert_allclose(total, 1, atol=1e-9)
    times = np.linspace(-0.5, frames / rate + 0.5, 97)
    on_grid = sum(crossfade(span, spans, times_s=times, sample_rate=rate) for span in spans)
    np.testing.assert_allclose(on_grid, 1, atol=1e-9)


def test_weights_at_times_are_those_of_the_samples():
    spans = plan(7500, 100, 30, 5)
    times = (np.arange(7500) + 0.5) / 100
    for span in spans:
        weight = crossfade(span, spans, times_s=times, sample_rate=100)
        np.testing.assert_allclose(weight[span.start : span.stop], crossfade(span, spans), atol=1e-9)
        assert not weight[: span.start].any()
        assert not weight[span.stop :].any()


def test_there_is_no_seam():
    for frames in (7500, 5501, 6000, 8099):
        spans = plan(frames, 100, 30, 5)
        for span in spans:
            weight = np.pad(crossfade(span, spans), (int(span.start > 0), int(span.stop < frames)))
            assert np.abs(np.diff(weight)).max() < 0.006  # 5 s of overlap are 500 samples


def test_a_short_sound_is_one_window():
    assert plan(50, 100, 30, 5) == [Span(0, 50)]
    np.testing.assert_array_equal(crossfade(Span(0, 50), [Span(0, 50)]), np.ones(50))


def test_the_last_window_is_never_a_sliver():
    assert plan(3001, 100, 30.0, 5.0) == [Span(0, 3000), Span(100, 3001)]


@pytest.mark.parametrize(
    ("frames", "window", "overlap"),
    [(0, 1, 0), (10, 0, 0), (10, 1, 1), (10, 1, -1), (10, float("nan"), 0), (10, float("inf"), 0), (10, 0.001, 0)],
)
def test_impossible_windows(frames, window, overlap):
    with pytest.raises(ParameterError, match=r"overlap_s|at least one sample"):
        plan(frames, 100, window, overlap)


def test_a_window_of_another_plan():
    with pytest.raises(ParameterError, match="not one of the 1 windows"):
        crossfade(Span(0, 5), [Span(0, 6)])
    with pytest.raises(ParameterError, match="needs sample_rate"):
        crossfade(Span(0, 5), [Span(0, 5)], times_s=np.zeros(3))


def test_listening_takes_ten_seconds_with_two_of_overlap():
    for frames in (1, 999, 1000, 1001, 2345, 6001):
        assert plan_listening(frames, 100) == plan(frames, 100, 10.0, 2.0)
    assert plan_listening(1700, 100, 8.0) == plan(1700, 100, 8.0, 1.6)  # a network that can take no more


@pytest.mark.parametrize("shape", [(7,), (2, 7), (3, 1, 7)])
@pytest.mark.parametrize("frames", [0, 3, 7, 12])
def test_fit_length_cuts_or_pads_with_silence(shape, frames):
    sound = np.arange(1, np.prod(shape) + 1, dtype=np.float32).reshape(shape)
    wanted = np.zeros((*shape[:-1], frames), dtype=np.float32)
    wanted[..., : min(7, frames)] = sound[..., : min(7, frames)]
    fitted = fit_length(sound, frames)
    assert fitted.dtype == np.float32
    np.testing.assert_array_equal(fitted, wanted)
    tensor = torch.from_numpy(sound).requires_grad_()
    made = fit_length(tensor, frames)
    np.testing.assert_array_equal(made.detach().numpy(), wanted)
    made.sum().backward()
    np.testing.assert_array_equal(tensor.grad.numpy(), (np.arange(7) < frames) * np.ones(shape))


def test_fit_length_gives_what_fits_back_as_it_is():
    sound = np.ones((1, 5))
    assert fit_length(sound, 5) is sound
