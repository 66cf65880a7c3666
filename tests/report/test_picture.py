"""Pictures of a sound: full scale is 0 dB, the outline holds the extremes, sounds of any length have one."""

import math

import numpy as np
import pytest

from otoscope.core.records import Clip
from otoscope.report.picture import CEIL_DB, FLOOR_DB, match_gain, picture_of
from worlds import tone


def drawn(samples, rate=8000):
    clip = Clip(np.atleast_2d(np.asarray(samples, np.float32)), rate)
    return picture_of(clip, clip.frames, rate)


@pytest.mark.parametrize("rate", [8000, 44100])
@pytest.mark.parametrize(("level", "db"), [(1.0, 0), (0.01, -40)])
def test_full_scale_is_the_top_of_the_scale(rate, level, db):
    top = drawn(tone(1000, 1.0, rate, level=level), rate).image().max() / 255 * (CEIL_DB - FLOOR_DB) + FLOOR_DB
    assert top == pytest.approx(db, abs=1.5)


def test_the_outline_holds_the_extremes():
    samples = np.zeros(8000, np.float32)
    samples[1000], samples[7999] = 0.9, -0.7
    picture = drawn(samples)
    peaks = picture.outline
    assert peaks.shape[0] == 2
    assert peaks[1, 1000 * peaks.shape[1] // 8000] == np.float32(0.9)
    assert peaks[0, -1] == np.float32(-0.7)
    assert (peaks[0] <= 0).all()
    assert (peaks[1] >= 0).all()
    assert picture.peak == pytest.approx(0.9)


@pytest.mark.parametrize("frames", [1, 2, 3, 255, 257, 1399, 1401])
def test_short_sounds_have_pictures(frames):
    picture = drawn(0.3 * np.ones(frames))
    assert picture.image().shape[1] >= 1
    assert picture.outline.shape == (2, min(frames, 1400))
    assert np.isfinite(picture.outline).all()


def test_levels_and_their_match():
    loud, soft, silent = (drawn(level * np.ones(800)) for level in (0.5, 0.05, 0.0))
    assert loud.rms == pytest.approx(0.5)
    assert loud.rms_db == pytest.approx(20 * math.log10(0.5))
    assert match_gain(soft, loud) == pytest.approx(10, rel=1e-3)
    assert match_gain(drawn(1e-4 * np.ones(800)), loud) == pytest.approx(10 ** (30 / 20))
    assert (silent.rms_db, match_gain(silent, loud)) == (-math.inf, 1)
