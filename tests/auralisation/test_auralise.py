"""Sounds of planted features hold the planted events and not the others."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import otoscope
from feature_worlds import BAND, COMB, ONSET, RATE, STEADY, band_level, bursts, clip, planted_classifier, tone
from otoscope.auralisation import auralise, feature_responses
from otoscope.classifiers import build
from otoscope.classifiers.layer_features import layer_features
from otoscope.core.errors import ParameterError, UnknownNameError, UnsupportedError

BURSTS = (0.5, 1.2)
DEPTHS = (0, 2)  # planted in the first layer, and in the third


@pytest.fixture(params=DEPTHS)
def world(request):
    return planted_classifier(request.param)


def heard(world, sound, number, **how):
    (one,) = auralise(clip(sound), world, "planted", [number], **how).features
    return one


@pytest.mark.parametrize("way", ["deconvolution", "gradient", "lrp"])
def test_an_onset_detector_keeps_the_onsets(world, way):
    one = heard(world, tone(300) + bursts(BURSTS), ONSET, way=way, mask="positive")
    kept, removed = one.explanation.kept, one.explanation.removed
    for start in BURSTS:  # the attack, above the tone
        assert (
            band_level(kept, 1000, 4000, start, start + 0.05)
            > band_level(kept, 1000, 4000, start - 0.3, start - 0.1) + 20
        )
    steady = band_level(removed, 280, 320, 0.1, 0.4)
    assert band_level(kept, 280, 320, 0.1, 0.4) < steady - 12
    assert one.measures.selectivity > max(1.2, one.measures.selectivity_removed)


def test_a_bass_selector_keeps_the_bass_and_not_the_attacks(world):
    one = heard(world, tone(200) + bursts((1.0,)), STEADY)
    kept = one.explanation.kept
    assert band_level(kept, 150, 250, 0.2, 0.8) > band_level(one.explanation.removed, 150, 250, 0.2, 0.8) + 6
    assert band_level(kept, 2000, 4000, 1.0, 1.05) < band_level(one.explanation.removed, 2000, 4000, 1.0, 1.05) - 12


def test_a_band_is_selected(world):
    one = heard(world, tone(1100) + tone(2600), BAND)
    kept, removed = one.explanation.kept, one.explanation.removed
    assert band_level(kept, 1000, 1200) > band_level(removed, 1000, 1200) + 2
    assert band_level(kept, 2500, 2700) < band_level(removed, 2500, 2700) - 20
    assert one.measures.kept > 0.55 > 0.45 > one.measures.removed


def test_a_comb_selects_its_pitch(world):
    own = sum(tone(k * 500) for k in (1, 2, 3, 4))
    other = sum(tone(k * 500 + 250) for k in (1, 2, 3))
    kept = heard(world, own + other, COMB).explanation.kept
    assert band_level(kept, 980, 1020) > band_level(kept, 1230, 1270) + 15


def test_the_optimised_mask_loses_the_other_features(world):
    """Of two sounds that overlap in no cell, one drives the band, the other the bass."""
    one = heard(world, tone(1100) + tone(200), BAND, way="mask_optimisation,steps=60")
    assert one.measures.selectivity > 2
    assert band_level(one.explanation.kept, 180, 220) < band_level(one.explanation.removed, 180, 220) - 6


def test_the_strongest_come_first_and_silent_ones_are_said(world):
    found = auralise(clip(tone(1100)), world, "planted", top=2)
    assert found.features[0].number == BAND
    order = np.argsort(-found.responses, kind="stable")
    assert [one.number for one in found.features] == [n for n in order[:2] if found.responses[n] > 1e-3]
    nothing = auralise(clip(np.zeros(RATE)), world, "planted", top=3)
    assert all(one.explanation is None for one in nothing.features)
    assert "4 of 4 features of this layer do not respond" in nothing.notes[0]


def test_a_sound_that_is_too_short_is_said():
    model = build("vgg5", ["a", "b"])
    found = auralise(
        np.random.default_rng(0).standard_normal(1000).astype("f4") / 10, model, "block5", [0, 1, 2], sample_rate=11025
    )
    assert any("is shorter than what one value of this layer depends on" in note for note in found.notes)


def test_what_is_asked_wrong():
    world = planted_classifier()
    with pytest.raises(UnknownNameError, match="unknown layer 'plantd'; did you mean 'planted'"):
        auralise(clip(tone(500)), world, "plantd")
    for wrong in ([4], [-1], [True], [1.5], []):
        with pytest.raises(ParameterError, match=r"features 0 to 3|at least one feature"):
            auralise(clip(tone(500)), world, "planted", wrong)
    with pytest.raises(ParameterError, match="top must be a whole number"):
        auralise(clip(tone(500)), world, "planted", top=0)
    with pytest.raises(UnsupportedError, match="layer 'head' gives shape"):
        auralise(clip(tone(500)), world, "head")
    world.cam_layer = None
    with pytest.raises(UnsupportedError, match="has no default layer; give layer=, such as plain, conv"):
        auralise(clip(tone(500)), world)


def test_a_function_has_no_features():
    model = otoscope.wrap_function(lambda x: np.stack([x.mean(1), x.std(1)], 1), sample_rate=RATE, labels=["a", "b"])
    with pytest.raises(UnsupportedError, match="has no layers that can be read"):
        auralise(clip(tone(500)), model)


def test_measures_are_those_of_the_written_sounds(world, tmp_path):
    one = heard(world, tone(1100) + tone(2600), BAND)
    files = one.explanation.save(tmp_path)
    features = layer_features(world, "planted")
    kept, removed, original = (
        feature_responses(features, otoscope.load_audio(files[part])) for part in ("kept", "removed", "original")
    )
    assert one.measures.kept == pytest.approx(kept[BAND] / original[BAND], rel=1e-3)
    assert one.measures.removed == pytest.approx(removed[BAND] / original[BAND], rel=1e-3)
    others = [n for n in (ONSET, STEADY, COMB) if original[n] > 1e-3]
    share = np.mean([kept[n] / original[n] for n in others])
    assert one.measures.selectivity == pytest.approx(one.measures.kept / share, rel=1e-3)


def test_a_record_is_replayed(tmp_path):
    torch.manual_seed(0)
    sound = np.random.default_rng(0).standard_normal(32000).astype("f4") / 10
    file = tmp_path / "noise.wav"
    otoscope.audio.write_wav(file, sound[None], 32000)
    (one,) = auralise(file, "esc10-mn", "features.3", [4], way="gradient").features
    again = otoscope.replay(one.explanation.record())
    assert np.array_equal(again.kept.samples, one.explanation.kept.samples)
    assert again.target.label == "features.3[4]"
