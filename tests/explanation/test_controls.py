"""What a classifier answers to sounds that cannot hold the class."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import otoscope
from otoscope.audio import rms
from otoscope.explanation.controls import CONTROLS, control_scores, control_sounds

RATE = 8000


class Habit(nn.Module):
    """Says 'rain' of everything but a click."""

    def forward(self, x):
        crest = x.abs().amax(-1) / (x.square().mean(-1) + 1e-9).sqrt()
        return torch.stack([6.0 + 0 * crest, 6 + crest - 10], 1)


@pytest.fixture(scope="module")
def habit():
    return otoscope.wrap(Habit(), sample_rate=RATE, labels=["rain", "click"], outputs="logits")


def click():
    sound = np.zeros(RATE, np.float32)
    sound[4000:4010] = 0.5
    return sound


def noise():
    return (0.1 * np.random.default_rng(3).standard_normal(RATE)).astype(np.float32)


@pytest.mark.parametrize("n", [1, 2, 999, 1000])
def test_controls_have_the_level_of_the_sound_and_the_shuffled_one_its_spectrum(n):
    sound = np.random.default_rng(0).standard_normal(n).astype(np.float32) * np.linspace(0, 1, n, dtype=np.float32)
    white, silence, shuffled = control_sounds(sound, 0)
    assert not silence.any()
    assert rms(shuffled) == pytest.approx(rms(sound), rel=1e-4)
    if n > 100:
        assert rms(white) == pytest.approx(rms(sound), rel=0.2)
        assert abs(np.corrcoef(shuffled, sound)[0, 1]) < 0.2
    np.testing.assert_allclose(np.abs(np.fft.rfft(shuffled)), np.abs(np.fft.rfft(sound)), atol=1e-3)


def test_a_habit_is_told_and_the_explanation_is_not_blamed_for_it(habit):
    explanation = otoscope.explain(noise(), habit, sample_rate=RATE, method="occlusion", target="rain")
    answer = explanation.verdict().answer
    assert [any(what in sentence for sentence in answer) for what in CONTROLS.values()] == [True, True, True]
    assert "The classifier also gives 'rain' 1.00 to white noise" in answer[0]
    assert not any("white noise" in warning for warning in explanation.verdict().warnings)
    record = explanation.record()
    assert record["controls"]["noise"] == pytest.approx(explanation.heard.of(0)["original"], abs=0.05)
    assert record["verdict"]["answer"] == list(answer)
    assert "About the answer itself" in explanation.to_html()


def test_what_the_controls_do_not_get_is_not_told(habit):
    explanation = otoscope.explain(click(), habit, sample_rate=RATE, method="occlusion")
    assert explanation.target.label == "click"
    assert explanation.verdict().answer == ()
    assert "About the answer itself" not in explanation.to_html()


def test_silence_has_no_controls(habit):
    assert otoscope.explain(np.zeros(RATE), habit, sample_rate=RATE, method="occlusion").controls == {}


def test_of_a_long_sound_the_loudest_window_is_taken(habit):
    sound = np.concatenate([np.zeros(40 * RATE, np.float32), click(), noise()])
    scores = control_scores(otoscope.load_audio(sound, sample_rate=RATE), habit)
    assert list(scores) == list(CONTROLS)
    assert scores["noise"][0] > 0.9  # not of silence, whose noise would be silence
    assert scores["noise"][0] != scores["silence"][0]


def test_controls_are_the_same_for_the_same_seed_alone():
    a, b, c = control_sounds(click(), 0), control_sounds(click(), 0), control_sounds(click(), 1)
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)
