from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otoscope.audio import downmix, resample, to_mono, to_rate
from otoscope.core.errors import ParameterError, ShapeError
from otoscope.core.records import Clip

RATES = st.sampled_from([100, 8000, 11_025, 22_050, 32_000, 44_100, 48_000, 96_000, 384_000, 1_000_000])


@given(frames=st.integers(1, 3000), channels=st.integers(1, 3), source=RATES, target=RATES)
@settings(deadline=None)
def test_the_length_is_rounded_and_at_least_one(frames, channels, source, target):
    if frames * target // source > 200_000:
        frames = max(1, 200_000 * source // target)
    out = resample(np.full((channels, frames), 0.5, dtype=np.float32), source, target)
    assert out.dtype == np.float32
    assert out.shape == (channels, max(1, math.floor(frames * target / source + 0.5)))
    assert np.isfinite(out).all()


@pytest.mark.parametrize(("source", "target"), [(44_100, 32_000), (32_000, 44_100), (48_000, 8000), (22_050, 48_000)])
def test_a_tone_keeps_its_pitch_phase_and_level(source, target):
    def tone(rate):
        return np.sin(2 * np.pi * 1000 * np.arange(rate) / rate)[None]

    out = resample(tone(source), source, target)
    inner = slice(target // 10, -target // 10)
    np.testing.assert_allclose(out[:, inner], tone(target)[:, inner], atol=2e-4)


def test_sound_above_the_new_nyquist_frequency_is_gone():
    high = np.sin(2 * np.pi * 9000 * np.arange(48_000) / 48_000)[None]
    assert np.abs(resample(high, 48_000, 8000)[:, 500:-500]).max() < 1e-4


def test_channels_do_not_mix():
    samples = np.zeros((3, 1000), dtype=np.float32)
    samples[1] = np.random.default_rng(0).normal(size=1000)
    out = resample(samples, 44_100, 32_000)
    assert not out[[0, 2]].any()
    np.testing.assert_allclose(out[1:2], resample(samples[1:2], 44_100, 32_000), atol=1e-6)


def test_equal_rates_change_nothing():
    samples = np.ones((2, 5), dtype=np.float32)
    assert resample(samples, 8000, 8000) is samples
    clip = Clip(samples, 8000)
    assert to_rate(clip, 8000) is clip
    assert resample(np.zeros((2, 0)), 8000, 100).shape == (2, 0)


def test_the_input_is_left_alone():
    samples = np.random.default_rng(0).normal(size=(2, 999))
    before = samples.copy()
    resample(samples, 8000, 44_100)
    np.testing.assert_array_equal(samples, before)


def test_wrong_shapes_and_rates():
    with pytest.raises(ShapeError, match=r"\(5,\)"):
        resample(np.zeros(5), 8000, 100)
    with pytest.raises(ParameterError, match=r"target_rate.*got 1 Hz"):
        resample(np.zeros((1, 5)), 8000, 1)
    with pytest.raises(ShapeError, match=r"\(5,\)"):
        downmix(np.zeros(5))


def test_downmix_is_the_mean():
    samples = np.array([[1.0, 0.0], [0.0, 0.5]], dtype=np.float32)
    np.testing.assert_array_equal(downmix(samples), [0.5, 0.25])
    np.testing.assert_array_equal(downmix(samples[:1]), samples[0])
    assert downmix(samples.astype(np.float64)).dtype == np.float32


def test_clips_say_what_was_done_to_them():
    clip = Clip(np.ones((2, 441)), 44_100, "a.wav", ("cut",))
    done = to_mono(to_rate(clip, 32_000))
    assert (done.sample_rate, done.channels, done.frames, done.source) == (32_000, 1, 320, "a.wav")
    assert done.notes == ("cut", "resampled 44100 -> 32000 Hz with soxr HQ", "downmixed 2 channels to their mean")
    assert to_mono(done) is done
    assert clip.notes == ("cut",)
