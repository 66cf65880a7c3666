"""Planted features get their names."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from feature_worlds import BAND, COMB, FRAMES, ONSET, RATE, STEADY, planted_classifier
from otoscope.auralisation import layer_responses, make_stimuli, name_features
from otoscope.auralisation.descriptors import describe_sounds, descriptor_bank
from otoscope.auralisation.responses import LayerResponses
from otoscope.classifiers import Classifier
from otoscope.spectral import LinearStft


@pytest.fixture(scope="module")
def made():
    stimuli = make_stimuli(RATE)
    bank = descriptor_bank(RATE)
    sounds = [s.samples for s in stimuli]
    return stimuli, sounds, describe_sounds(sounds, RATE, bank), bank


def names(made, classifier, layer):
    stimuli, sounds, described, bank = made
    return name_features(stimuli, layer_responses(classifier, [layer], sounds)[layer], described, bank, RATE)


@pytest.mark.parametrize("plain", [0, 2])
def test_planted_features_are_named(made, plain):
    found = names(made, planted_classifier(plain), "planted")
    assert found[ONSET].name == "onsets"
    assert found[ONSET].explained > 0.8
    assert found[ONSET].onset > 10 * found[ONSET].sustain
    assert found[ONSET].latency_s < 0.05
    assert found[STEADY].name.startswith(("sound below", "steady sound, below", "tones, suppresses attacks, below"))
    assert found[STEADY].centre_hz < 400
    assert found[BAND].name == "sound 775 Hz to 1.76 kHz"  # of the bands that are described, the nearest
    assert 900 < found[BAND].centre_hz < 1300
    assert found[BAND].bandwidth_octaves < 1
    assert found[COMB].name == "harmonics of 494 Hz"  # a semitone from 500 Hz
    assert all(f.level_exponent == pytest.approx(1, abs=0.02) for f in found[:3])  # rectified sums of magnitudes


class Edges(nn.Module):
    """The paper's edges: [-1, 1] over time is an onset detector, over frequency an attack suppressor."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1, bias=False)
        weight = torch.zeros(4, 1, 3, 3)
        weight[0, 0, :, 0], weight[0, 0, :, 2] = -1, 1  # vertical edge
        weight[1, 0, 0], weight[1, 0, 2] = 1, -1  # horizontal edge
        weight[2] = weight[1] * 2  # its twin
        self.conv.weight = nn.Parameter(weight)  # and a dead one
        self.top = nn.ReLU()
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        return self.head(self.top(self.conv(x)).mean((2, 3)))


def test_edges_are_named_as_in_the_paper(made):
    model = Classifier(
        Edges(), sample_rate=RATE, labels=["a", "b"], frontend=LinearStft(FRAMES), axes={"top": "channel freq frame"}
    ).eval()
    onset, suppressor, twin, dead = names(made, model, "top")
    assert onset.name.startswith("onsets")
    assert suppressor.name.startswith("tones, suppresses attacks")
    assert suppressor.sustain > 0.3 * suppressor.onset
    assert (suppressor.twin, twin.twin) == (2, 1)
    assert dead.name == "dead"
    assert dead.twin == onset.twin == -1


def test_noise_has_no_name(made):
    stimuli, sounds, described, bank = made
    rng = np.random.default_rng(0)
    responses = LayerResponses(rng.random((len(sounds), 30)), rng.random((len(sounds), 30, 12)))
    found = name_features(stimuli, responses, described, bank, RATE)
    assert [f.name for f in found] == [""] * 30
    assert max(f.explained for f in found) < 0.2


def test_what_is_explained_is_judged_on_other_stimuli(made):
    """One outlier chooses a description wherever it is; on the half without it, that explains nothing."""
    stimuli, sounds, described, bank = made
    column = described[:, 10]
    y = np.random.default_rng(1).random(len(sounds))
    y[described[:, 10].argmax()] = 100.0
    found = name_features(stimuli, LayerResponses(y[:, None], np.ones((len(sounds), 1, 8))), described, bank, RATE)
    assert found[0].name == ""
    good = name_features(stimuli, LayerResponses(column[:, None], np.ones((len(sounds), 1, 8))), described, bank, RATE)
    assert good[0].explained == pytest.approx(1, abs=1e-6)


def test_pitch_and_timbre_of_the_strongest_stacks(made):
    stimuli, _, described, bank = made
    values = [(s.group == "stack") * (1.0 + (s.values.get("timbre") == "odd")) for s in stimuli]
    low = [v * (2.0 if s.values.get("hz", 99) < 60 else 1.0) for v, s in zip(values, stimuli, strict=True)]
    strength = np.array([low]).T
    responses = LayerResponses(strength, np.repeat(strength[:, :, None], 10, 2))
    (found,) = name_features(stimuli, responses, described, bank, RATE)
    assert found.pitch_hz == pytest.approx(55.0)
    assert (found.timbre, found.pitch_contrast) == ("odd", pytest.approx(2.0))
    assert found.timbre_contrast == pytest.approx(2.0)


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_a_layer_of_few_frames(made, frames):
    """The last layers of a network have a frame or two in a second."""
    stimuli, _, described, bank = made
    strength = np.array([[1.0 + (s.group == "tone")] for s in stimuli])
    responses = LayerResponses(strength, np.repeat(strength[:, :, None], frames, 2))
    (found,) = name_features(stimuli, responses, described, bank, RATE)
    assert (found.onset, found.sustain, found.offset) == (1.0, 1.0, 1.0)


def test_what_draws_nothing_bounds_the_contrast(made):
    stimuli, _, described, bank = made
    strength = np.array([[float(s.values.get("timbre") == "odd")] for s in stimuli])
    (found,) = name_features(
        stimuli, LayerResponses(strength, np.repeat(strength[:, :, None], 10, 2)), described, bank, RATE
    )
    assert (found.timbre, found.timbre_contrast) == ("odd", 1000.0)
    assert np.isnan(found.modulation_contrast)
