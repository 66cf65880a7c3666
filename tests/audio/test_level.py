from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otoscope.audio import is_silent, level_gain, mix, peak, rms_db
from otoscope.core.errors import NonFiniteError, ShapeError

RNG = np.random.default_rng(0)


def test_levels_are_re_full_scale():
    assert rms_db(np.ones((2, 5))) == 0.0
    assert rms_db(np.full(9, 0.1)) == pytest.approx(-20)
    assert rms_db(np.sin(np.arange(10_000) * 2 * np.pi / 100)) == pytest.approx(-3.0103, abs=1e-4)
    assert rms_db(np.zeros((1, 5))) == -math.inf
    assert rms_db(np.zeros((1, 0))) == -math.inf


def test_peak_is_the_largest_absolute_sample():
    assert peak(np.array([[0.5, -2.0]])) == 2.0
    assert peak(np.zeros((1, 0))) == 0.0


def test_silence_has_a_threshold():
    assert is_silent(np.zeros((1, 9)))
    assert is_silent(np.full((1, 9), 1e-5))
    assert not is_silent(np.full((1, 9), 1e-4))
    assert is_silent(np.full((1, 9), 0.01), threshold_db=-30)


@given(level=st.floats(1e-4, 10), wanted=st.floats(1e-4, 10))
def test_a_gain_gives_the_level(level, wanted):
    samples = level * RNG.normal(size=(2, 100))
    assert rms_db(samples * level_gain(samples, wanted)) == pytest.approx(20 * math.log10(wanted), abs=1e-6)


def test_silence_cannot_be_lifted():
    assert level_gain(np.zeros((1, 5)), 0.5) == 1.0
    assert level_gain(np.full((1, 5), 1e-150), 1e300) == 1.0
    assert level_gain(np.ones((1, 5)), 0.0) == 0.0


@given(snr=st.floats(-40, 40))
def test_a_mix_has_its_signal_to_noise_ratio(snr):
    a, b = RNG.normal(size=(2, 2, 500)).astype(np.float32)
    mixed = mix(a, 3 * b, snr)
    assert mixed.dtype == np.float32
    assert rms_db(a) - rms_db(mixed.astype(np.float64) - a) == pytest.approx(snr, abs=0.01)


def test_mixing_with_silence_adds_as_it_is():
    a, nothing = np.ones((1, 4), dtype=np.float32), np.zeros((1, 4), dtype=np.float32)
    np.testing.assert_array_equal(mix(a, nothing, 10), a)
    np.testing.assert_array_equal(mix(nothing, a, 10), a)


def test_what_cannot_be_mixed():
    with pytest.raises(ShapeError, match=r"\(1, 4\) and \(1, 5\)"):
        mix(np.ones((1, 4)), np.ones((1, 5)), 0)
    with pytest.raises(NonFiniteError, match="snr_db"):
        mix(np.ones((1, 4)), np.ones((1, 4)), math.nan)
