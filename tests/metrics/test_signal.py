"""How close one sound is to another, against its definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otoscope.core.errors import ShapeError
from otoscope.metrics.signal import si_sdr_db


def slow(estimate, reference):
    """Orthogonal projection, one sample after another."""
    dot = sum(float(e) * float(r) for e, r in zip(estimate, reference, strict=True))
    power = sum(float(r) ** 2 for r in reference)
    target = [dot / power * float(r) for r in reference]
    rest = sum((float(e) - t) ** 2 for e, t in zip(estimate, target, strict=True))
    return 10 * math.log10(sum(t * t for t in target) / rest)


def test_it_is_the_definition():
    rng = np.random.default_rng(0)
    estimate, reference = rng.normal(size=(2, 3, 50)), rng.normal(size=(2, 3, 50)) + 0.4
    found = si_sdr_db(estimate, reference)
    assert found.shape == (2, 3)
    for i, j in np.ndindex(2, 3):
        assert found[i, j] == pytest.approx(slow(estimate[i, j], reference[i, j]), abs=1e-9)
    assert si_sdr_db(estimate[0, 0], reference[0, 0]).shape == ()


@pytest.mark.parametrize("ratio_db", [-20.0, 0.0, 13.0, 60.0])
def test_noise_of_a_known_level_beside_the_sound(ratio_db):
    n = np.arange(1000)
    wanted, beside = np.sin(2 * np.pi * 10 * n / 1000), np.sin(2 * np.pi * 35 * n / 1000)  # orthogonal, same energy
    for scale in (1.0, -3.0, 1e-4):
        made = scale * (wanted + 10 ** (-ratio_db / 20) * beside)
        assert si_sdr_db(made, wanted) == pytest.approx(ratio_db, abs=1e-6)


@given(gain=st.floats(1e-3, 1e3), sign=st.sampled_from((-1, 1)), seed=st.integers(0, 50))
@settings(max_examples=30, deadline=None)
def test_scale_does_not_count_for_either(gain, sign, seed):
    estimate, reference = np.random.default_rng(seed).normal(size=(2, 40))
    plain = si_sdr_db(estimate, reference)
    assert si_sdr_db(gain * sign * estimate, reference) == pytest.approx(plain, abs=1e-6)
    assert si_sdr_db(estimate, gain * sign * reference) == pytest.approx(plain, abs=1e-6)


def test_silence_copies_and_strangers():
    sound, zero = np.array([1.0, -2.0, 0.5, 0.0]), np.zeros(4)
    assert np.isnan(si_sdr_db(sound, zero))
    assert np.isnan(si_sdr_db(zero, zero))
    assert si_sdr_db(zero, sound) == -np.inf
    assert si_sdr_db(np.array([2.0, 1.0, 0.0, 7.0]), sound) == -np.inf
    assert si_sdr_db(sound, sound) == np.inf
    assert si_sdr_db(-2 * sound, sound) == np.inf


def test_a_mean_is_part_of_the_sound():
    """Means are not taken out: an offset counts as an error."""
    sound = np.sin(2 * np.pi * np.arange(100) / 100)
    assert si_sdr_db(sound + 1, sound) == pytest.approx(10 * np.log10(0.5), abs=1e-9)


def test_many_are_compared_with_one():
    rng = np.random.default_rng(1)
    many, one = rng.normal(size=(2, 5, 30)), rng.normal(size=(2, 1, 30))
    found = si_sdr_db(many, one)
    assert found.shape == (2, 5)
    assert found[1, 3] == pytest.approx(slow(many[1, 3], one[1, 0]))


def test_single_precision_is_computed_in_double():
    reference = np.random.default_rng(0).normal(size=10_000).astype(np.float32)
    estimate = (reference * np.float32(1 + 1e-6)).astype(np.float32) + np.float32(1e-3) * reference[::-1]
    assert si_sdr_db(estimate, reference) == pytest.approx(si_sdr_db(estimate.astype(float), reference.astype(float)))


@pytest.mark.parametrize("shapes", [((4,), (5,)), ((2, 4), (3, 4)), ((), ()), ((0,), (0,)), ((4,), (1,)), ((4,), ())])
def test_sounds_that_do_not_fit_are_refused(shapes):
    with pytest.raises(ShapeError, match="of one length; got"):
        si_sdr_db(*(np.zeros(s) for s in shapes))
