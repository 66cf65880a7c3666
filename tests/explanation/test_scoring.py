"""What a classifier is given to hear."""

from __future__ import annotations

import numpy as np
import pytest

from otoscope.audio import Span
from otoscope.core.records import Clip
from otoscope.explanation.scoring import classifier_input, score_sound
from otoscope.explanation.windows import windows_of
from worlds import RATE, band_energy, spectral, tone


def clip(seconds: float, rate: int = RATE, channels: int = 1, hz: float = 1000) -> Clip:
    return Clip(np.stack([tone(hz, seconds, rate)] * channels), rate)


def test_a_piece_is_the_downmix_at_the_classifiers_rate():
    sound = Clip(np.stack([tone(500, 1.0, 44100), tone(700, 1.0, 44100)]), 44100)
    heard = classifier_input(sound, Span(0, sound.frames), RATE)
    assert heard.shape == (RATE,)
    assert heard.dtype == np.float32
    wanted = (tone(500) + tone(700)) / 2
    np.testing.assert_allclose(heard[200:-200], wanted[200:-200], atol=2e-3)


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 44100, 96000])
def test_pieces_of_a_long_sound_are_pieces_of_the_whole_resampled(rate):
    sound = Clip(np.random.default_rng(0).normal(0, 0.1, (2, 35 * rate)).astype(np.float32), rate)
    whole = classifier_input(sound, Span(0, sound.frames), RATE)
    for span in windows_of(sound, band_energy()):
        part = classifier_input(sound, span, RATE)
        start = span.start * RATE // rate
        assert len(part) == round((span.stop - span.start) * RATE / rate)
        inner = slice(8 if span.start == 0 else 0, len(part) - 8 if span.stop == sound.frames else None)
        np.testing.assert_allclose(part[inner], whole[start : start + len(part)][inner], atol=2e-3)


def test_a_long_sound_has_the_mean_of_its_windows():
    model = band_energy()
    samples = np.concatenate([tone(1000, 16.0), tone(3000, 16.0)])[None]
    sound = Clip(samples, RATE)
    each = [score_sound(Clip(samples[:, s.start : s.stop], RATE), model) for s in windows_of(sound, model)]
    np.testing.assert_allclose(score_sound(sound, model), np.mean(each, 0), atol=1e-6)


@pytest.mark.parametrize("size", [1, 3, 16])
def test_probabilities_do_not_depend_on_the_batch(size):
    sound = clip(35.0)
    np.testing.assert_allclose(score_sound(sound, band_energy(), size), score_sound(sound, band_energy(), 2), atol=1e-6)


def test_probabilities_sum_to_one_and_need_no_minimum():
    for seconds in (0.0002, 0.1, 31.0):
        found = score_sound(clip(seconds, 16000), spectral())
        assert found.shape == (4,)
        assert found.sum() == pytest.approx(1, abs=1e-5)
