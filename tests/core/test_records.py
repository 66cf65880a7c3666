"""The frozen records: shapes, read-only samples, reading outside, digests."""

import dataclasses
import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otoscope.core.errors import ShapeError
from otoscope.core.records import Attribution, Clip, Grid, Mask, Scores, Target

GRID = Grid(np.array([1.0, 2.0]), np.array([0.1, 0.2, 0.3]), "hz", "stft", 0.4, 4.0)


def test_a_clip_knows_its_sizes():
    clip = Clip(np.zeros((2, 441)), 44100)
    assert (clip.channels, clip.frames, clip.duration) == (2, 441, 0.01)
    assert (clip.source, clip.notes) == ("array", ())
    assert clip.samples.dtype == np.float32


def test_samples_cannot_be_written_and_the_callers_array_stays_writable():
    mine = np.zeros((1, 4), np.float32)
    clip = Clip(mine, 8000)
    with pytest.raises(ValueError, match="read-only"):
        clip.samples[0, 0] = 1
    with pytest.raises(ValueError, match="read-only"):
        clip.samples += 1
    assert mine.flags.writeable
    with pytest.raises(dataclasses.FrozenInstanceError):
        clip.sample_rate = 1


@pytest.mark.parametrize("shape", [(), (5,), (1, 2, 3)])
def test_samples_of_another_rank_are_refused(shape):
    with pytest.raises(ShapeError, match=r"samples are \(channel, time\); got shape"):
        Clip(np.zeros(shape), 8000)


@pytest.mark.parametrize(
    ("start", "stop", "wanted"),
    [
        (0, 3, [1, 2, 3]),
        (1, 2, [2]),
        (-2, 1, [0, 0, 1]),
        (2, 5, [3, 0, 0]),
        (-1, 4, [0, 1, 2, 3, 0]),
        (-3, -1, [0, 0]),
        (5, 7, [0, 0]),
        (2, 2, []),
    ],
)
def test_reading_outside_gives_silence(start, stop, wanted):
    clip = Clip(np.array([[1, 2, 3], [-1, -2, -3]]), 8000)
    out = clip.read(start, stop)
    assert out.dtype == np.float32
    assert out.tolist() == [wanted, [-v for v in wanted]]


def test_what_is_read_is_a_copy():
    clip = Clip(np.ones((1, 3)), 8000)
    clip.read(0, 3)[:] = 5
    assert clip.samples.tolist() == [[1, 1, 1]]


def test_the_digest_is_that_of_rate_shape_and_interleaved_samples():
    samples = np.arange(6, dtype=np.float32).reshape(2, 3)
    wanted = hashlib.sha256(b"8000:2:3:" + np.array([0, 3, 1, 4, 2, 5], "<f4").tobytes()).hexdigest()
    assert Clip(samples, 8000).digest() == wanted
    assert Clip(samples, 8000, source="elsewhere", notes=("resampled",)).digest() == wanted
    assert Clip(samples, 8001).digest() != wanted
    assert Clip(samples[::-1], 8000).digest() != wanted
    assert Clip(samples.reshape(1, 6), 8000).digest() != wanted


def test_the_digest_of_a_long_clip_is_that_of_the_whole():
    """Longer than the block in which it is hashed."""
    samples = np.random.default_rng(0).standard_normal((2, (1 << 19) + 3)).astype(np.float32)
    whole = hashlib.sha256(f"8000:2:{samples.shape[1]}:".encode() + samples.T.tobytes()).hexdigest()
    assert Clip(samples, 8000).digest() == whole


def test_a_grid_tells_its_shape():
    assert GRID.shape == (2, 3)


def test_an_attribution_must_fit_its_grid():
    with pytest.raises(ShapeError, match=r"attribution has shape \(3, 2\) but its grid has \(2, 3\)"):
        Attribution(np.zeros((3, 2)), GRID, "gradient")
    assert Attribution(np.zeros((2, 3)), GRID, "gradient").standard_error is None


def test_a_mask_must_fit_its_grid():
    with pytest.raises(ShapeError, match=r"mask has shape \(2, 4\) but its grid has \(2, 3\); was it made in another"):
        Mask(np.zeros((2, 4)), GRID, "topk:0.3")


@pytest.mark.parametrize(
    ("bad", "words"), [(-0.01, "-0.01 to 0"), (1.01, "0 to 1.01"), (np.nan, "nan"), (np.inf, "inf")]
)
def test_mask_values_lie_between_zero_and_one(bad, words):
    values = np.zeros((2, 3))
    values[1, 2] = bad
    with pytest.raises(ShapeError, match=r"mask values must lie in \[0, 1\]; got .*" + words):
        Mask(values, GRID, "topk:0.3")


@given(st.lists(st.floats(0, 1), min_size=6, max_size=6))
@settings(max_examples=20, deadline=None)
def test_the_size_of_a_mask_is_its_mean(values):
    size = Mask(np.array(values).reshape(2, 3), GRID, "x").size
    assert size == pytest.approx(sum(values) / 6)
    assert isinstance(size, float)


def test_an_empty_mask_has_size_zero():
    empty = Grid(np.zeros(0), np.zeros(0), "hz", "stft", 0.0, 4.0)
    assert Mask(np.zeros((0, 0)), empty, "x").size == 0.0


def test_scores_of_one_class():
    scores = Scores(np.array([0.1, 0.9]), np.array([0.2, 0.8]), np.array([0.7, 0.3]))
    assert scores.of(1) == {"original": 0.9, "kept": 0.8, "removed": 0.3}


def test_small_records_compare_by_value():
    assert Target(1, "dog") == Target(1, "dog")
