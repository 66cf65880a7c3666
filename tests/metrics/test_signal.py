"""How close one sound is to another, against its definition; structural similarity against its slow twin and scikit-image."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otoscope.core.errors import NonFiniteError, ShapeError
from otoscope.metrics.signal import si_sdr_db, ssim
from reference import metrics as reference


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


def pair(shape, seed=0):
    a, b = np.random.default_rng(seed).normal(size=(2, *shape))
    return a, 0.6 * a + 0.4 * b


@pytest.mark.parametrize("shape", [(7, 7), (9, 12), (1, 20), (3, 5), (2, 1)])
def test_ssim_equals_its_twin(shape):
    a, b = pair(shape)
    assert ssim(a, b) == pytest.approx(reference.ssim(a.tolist(), b.tolist()), abs=1e-9)


def test_ssim_equals_that_of_scikit_image():
    metrics = pytest.importorskip("skimage.metrics")
    a, b = pair((20, 31))
    first, second = (0.5 + x / (2 * np.abs(x).max()) for x in (a, b))
    wanted = metrics.structural_similarity(first, second, data_range=1.0)
    assert ssim(a, b) == pytest.approx(wanted, abs=1e-9)


def test_laws_of_ssim():
    a, b = pair((10, 10))
    assert ssim(a, a) == pytest.approx(1.0)
    assert ssim(a, 3e9 * a) == pytest.approx(1.0)
    assert ssim(a, b) == pytest.approx(ssim(b, a))
    assert ssim(a, -a) < 0 < ssim(a, b) < 1
    assert abs(ssim(*np.random.default_rng(1).normal(size=(2, 40, 40)))) < 0.1


def test_edge_cases_of_ssim():
    a, b = pair((8, 8))
    assert math.isnan(ssim(a, 0 * a))
    assert math.isnan(ssim(0 * a, a))
    assert ssim(np.array([[2.0]]), np.array([[5.0]])) == pytest.approx(1.0)
    with pytest.raises(ShapeError, match=r"got \(8, 8\) and \(8, 7\)"):
        ssim(a, b[:, 1:])
    with pytest.raises(ShapeError, match="two attributions"):
        ssim(a[0], b[0])
    with pytest.raises(NonFiniteError):
        ssim(a, np.full((8, 8), np.nan))
