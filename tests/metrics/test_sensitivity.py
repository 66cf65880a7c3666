"""Changes of an explanation under noise and shifts, by hand and by their own promise."""

import math

import numpy as np
import pytest

from otoscope.core.errors import ParameterError, ShapeError
from otoscope.metrics import noise_sensitivity, shift_sensitivity
from otoscope.metrics.sensitivity import noisy, realigned, relative_change, sensitivity_max, sensitivity_mean, shifted

RNG = np.random.default_rng(0)


class TestChanges:
    def test_relative_change(self):
        a = np.array([[3.0, 4.0]])
        assert relative_change(a, np.array([[3.0, 9.0]])) == pytest.approx(1.0)
        assert relative_change(a, a) == 0.0
        assert relative_change(a, 0 * a) == 1.0
        assert relative_change(1e-200 * a, -1e-200 * a) == pytest.approx(2.0)
        assert math.isnan(relative_change(0 * a, a))
        with pytest.raises(ShapeError):
            relative_change(a, a.T)

    def test_largest_and_mean(self):
        a = np.array([[1.0, 0.0]])
        changed = np.array([[[1.0, 0.0]], [[0.0, 0.0]], [[1.0, 0.5]]])
        assert sensitivity_max(a, changed) == 1.0
        assert sensitivity_mean(a, changed) == pytest.approx(0.5)
        assert math.isnan(sensitivity_max(a, changed[:0]))
        assert math.isnan(sensitivity_mean(0 * a, changed))

    def test_noise_has_its_level_and_its_seed(self):
        wave = np.sin(np.arange(4000) / 7).astype(np.float32)
        made = noisy(wave, -20.0, 3, seed=1)
        assert made.shape == (3, 4000)
        assert made.dtype == np.float32
        for one in made:
            assert 20 * np.log10((one - wave).std() / wave.std()) == pytest.approx(-20, abs=0.05)
        np.testing.assert_array_equal(made, noisy(wave, -20.0, 3, seed=1))
        assert (made[0] != made[1]).any()
        assert not noisy(np.zeros(10)).any()

    def test_shifts(self):
        wave = np.arange(1.0, 6.0)
        assert shifted(wave, 2).tolist() == [0, 0, 1, 2, 3]
        assert shifted(wave, -2).tolist() == [3, 4, 5, 0, 0]
        assert shifted(wave, 0).tolist() == wave.tolist()
        assert not shifted(wave, 9).any()
        assert not shifted(wave, -5).any()

    @pytest.mark.parametrize("frames", [-2, -1, 0, 1, 3])
    def test_realigned_frames_are_the_same_sound(self, frames):
        values = np.arange(12.0).reshape(2, 6)
        moved = np.stack([shifted(row, frames) for row in values])
        here, there = realigned(values, moved, frames)
        np.testing.assert_array_equal(here, there)
        assert here.shape == (2, 6 - abs(frames))

    def test_realigning_too_far_is_refused(self):
        with pytest.raises(ShapeError, match="no frames in common after a shift of 6"):
            realigned(np.ones((2, 6)), np.ones((2, 6)), 6)

    def test_a_method_that_moves_with_the_sound_is_stable(self):
        """The energy of frames of 10 samples: shifts by whole frames change nothing, noise changes as much as is added."""
        wave = np.random.default_rng(3).normal(size=100)

        def energy(waves):
            return (waves.reshape(len(waves), 1, 10, 10) ** 2).sum(-1)

        assert shift_sensitivity(energy, wave, 10.0) == pytest.approx((0.0, 0.0), abs=1e-12)
        assert shift_sensitivity(energy, wave, 5.0)[0] > 0.1
        quiet, loud = (noise_sensitivity(energy, wave, db, 5) for db in (-60, -20))
        assert quiet[0] < 0.002 < 0.05 < loud[1] < loud[0]

    def test_a_method_that_stays_put_is_not(self):
        fixed = np.random.default_rng(0).normal(size=(1, 4, 9))
        largest, mean = shift_sensitivity(lambda w: np.repeat(fixed, len(w), 0), np.ones(90), 10, (1, 2))
        assert largest >= mean > 0.8
        assert noise_sensitivity(lambda w: np.repeat(fixed, len(w), 0), np.ones(90)) == (0.0, 0.0)

    def test_bad_input(self):
        with pytest.raises(ShapeError, match=r"is \(time,\); got shape \(2, 5\)"):
            noise_sensitivity(lambda w: w, np.ones((2, 5)))
        with pytest.raises(ParameterError, match="draws must be a whole number"):
            noise_sensitivity(lambda w: w, np.ones(5), draws=0)
        for frames, samples in (((), 10.0), ((1,), 0.0)):
            with pytest.raises(ParameterError, match="shifts need whole frames"):
                shift_sensitivity(lambda w: w, np.ones(50), samples, frames)
