"""The front end of APNet: fixed scaling, or the authors' own."""

from __future__ import annotations

import pytest
import torch

from otoscope.core.errors import ParameterError
from otoscope.spectral import apnet_log_mel

SETTINGS = (16000, 1024, 256, 80)


def tone(seconds=1.0):
    return torch.sin(2 * torch.pi * 1000 * torch.arange(round(16000 * seconds)) / 16000)[None]


def test_a_tone_at_full_scale_stays_within_the_fixed_scaling():
    assert 0.8 < float(apnet_log_mel(*SETTINGS)(tone()).max()) <= 1.05


def test_limits_are_what_minus_one_and_one_stand_for():
    plain, scaled = apnet_log_mel(*SETTINGS, limits_db=(-1.0, 1.0)), apnet_log_mel(*SETTINGS, limits_db=(-90.0, 40.0))
    level = plain(tone())  # limits of -1 and 1 dB leave decibels
    torch.testing.assert_close(scaled(tone()), 2 * ((level + 90) / 130 - 0.5))
    assert plain.silence == pytest.approx(-100.0)


@pytest.mark.parametrize("limits", [(10.0, 10.0), (50.0, 0.0)])
def test_limits_in_the_wrong_order_are_refused(limits):
    with pytest.raises(ParameterError, match="low_db must lie below high_db"):
        apnet_log_mel(*SETTINGS, limits_db=limits)


def test_levels_end_below_the_loudest_cell_of_each_sound():
    front = apnet_log_mel(*SETTINGS, limits_db=(-1.0, 1.0), top_db=80.0)
    sounds = torch.cat([tone(), 1e-2 * tone()])
    level = front(sounds)
    assert level.amax((1, 2, 3))[0] - level.amax((1, 2, 3))[1] == pytest.approx(40, abs=0.1)
    torch.testing.assert_close(level.amax((1, 2, 3)) - level.amin((1, 2, 3)), torch.tensor([80.0, 80.0]))


def test_a_fixed_number_of_frames_and_one_that_counts_for_the_loudest_cell_only():
    front = apnet_log_mel(*SETTINGS, 10, fixed=True, limits_db=(-1.0, 1.0), top_db=80.0, ahead=1)
    assert front.minimum_length == front.maximum_length == 10 * 256 + 1024
    x = torch.zeros(1, front.minimum_length)
    x[0, :1200] = 1e-3 * tone()[0, :1200]
    alone = front(x)
    assert alone.shape == (1, 1, 80, 10)
    x[0, -200:] = tone()[0, :200]  # in the frame ahead, and not in the last one that is kept
    assert front(x).min() > alone.min() + 25
    last = apnet_log_mel(*SETTINGS, 10, fixed=True, limits_db=(-1.0, 1.0))
    assert last.maximum_length == 9 * 256 + 1024
