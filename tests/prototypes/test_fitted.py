"""Comparing clips with fitted prototypes, deleting these, and their folder."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch

import otoscope
from otoscope.core.errors import OtoscopeError, ParameterError, ShapeError, UnknownNameError
from otoscope.prototypes import fit_prototypes, load_fitted, lost_explanations
from tone_worlds import RATE, tone_sound, tones_classifier


@pytest.fixture(scope="module")
def fitted(known):
    classifier, _, clips = known
    return fit_prototypes(classifier, clips, per_class=1, window_s=0.2)


def test_a_match_says_which_where_and_with_what_share(known, fitted):
    classifier, _, _ = known
    match = fitted.match(classifier, tone_sound(1500, 0.25, 99))
    assert fitted.prototypes[match.nearest].name == "middle 1"
    assert match.voted == match.predicted == 2
    assert match.explained
    box = match.boxes[2]
    assert 0.2 < box.start_s < box.stop_s < 0.6
    assert match.share.sum() == pytest.approx(1)
    assert match.votes.tolist() == pytest.approx([match.share[0], match.share[1], match.share[2]])
    expected = np.exp(match.similarity / fitted.space.temperature)
    np.testing.assert_allclose(match.share, expected / expected.sum(), rtol=1e-5)
    np.testing.assert_allclose(
        match.probabilities,
        classifier.probabilities(classifier(torch.from_numpy(tone_sound(1500, 0.25, 99))[None]))[0].detach(),
    )


def test_a_prototype_is_most_like_its_own_clip_and_class(known, fitted):
    _, _, clips = known
    for i, p in enumerate(fitted.prototypes):
        clip = next(c for c in clips if c.example.path.name == p.clip)
        match = fitted.match_clip(clip)
        every = [fitted.match_clip(c).similarity[i] for c in clips]
        assert match.similarity[i] == pytest.approx(max(every), abs=0.01)
        assert match.similarity[i] > 3 * max(s for s, c in zip(every, clips) if c.predicted != p.label)
        assert abs(match.boxes[i].start_s - p.box.start_s) < 0.11


def test_where_there_is_silence_nothing_matches(known, fitted):
    classifier, _, _ = known
    assert all(box.start_s < 0.8 for box in fitted.match(classifier, tone_sound(500, 0.1)).boxes)
    quiet = known[2][0].waveform * (np.arange(RATE) < 0.7 * RATE)
    clip = dataclasses.replace(known[2][0], waveform=quiet)
    planted = clip.map.clone()
    planted[:, 0, -1] = 16 * fitted.space.vectors[1]  # in the last window alone, which is silent
    changed = dataclasses.replace(clip, map=planted)
    assert fitted.match_clip(changed).similarity[1] == fitted.match_clip(clip).similarity[1] < 0.1
    assert fitted.match_clip(dataclasses.replace(changed, waveform=quiet + 0.1)).similarity[1] > 0.5
    silent = fitted.match(classifier, np.zeros(RATE, np.float32))
    assert np.isfinite(silent.share).all()


def test_deleting_the_only_prototype_of_a_class_loses_its_clips(known, fitted):
    _, _, clips = known
    assert lost_explanations(fitted, clips) == []
    for i, p in enumerate(fitted.prototypes):
        rest = fitted.without([p.id])
        assert [q.id for q in rest.prototypes] == [q.id for k, q in enumerate(fitted.prototypes) if k != i]
        lost = lost_explanations(rest, clips, fitted)
        assert [c.example for c in lost] == [c.example for c in clips if c.predicted == p.label]
    assert len(fitted) == 3


def test_what_was_lost_before_is_not_lost_again(known, fitted):
    _, _, clips = known
    fewer = fitted.without(["p1"])
    assert len(lost_explanations(fewer, clips)) == 4
    assert lost_explanations(fewer, clips, fewer) == []


def test_without_any_prototype_nothing_is_explained(known, fitted):
    classifier, _, clips = known
    none = fitted.without(["p1", "p2", "p3"])
    match = none.match(classifier, tone_sound(500, 0.1))
    assert match.voted is None
    assert match.votes.tolist() == [0, 0, 0]
    assert len(lost_explanations(none, clips)) == 12


def test_unknown_prototypes(fitted):
    with pytest.raises(UnknownNameError, match=r"unknown prototype 'p9'"):
        fitted.without(["p9"])
    with pytest.raises(ParameterError, match=r"give identities as a list; got 'p1'"):
        fitted.without("p1")


def test_a_sound_of_another_shape_or_classifier(known, fitted):
    classifier, _, _ = known
    with pytest.raises(ShapeError, match=r"match takes one waveform \(time,\); got shape \(1, 8000\)"):
        fitted.match(classifier, np.zeros((1, RATE)))
    other = tones_classifier()
    with torch.no_grad():
        other.network.gain += 1
    with pytest.raises(ParameterError, match=r"of another classifier"):
        fitted.match(other, np.zeros(RATE))


def test_a_folder_gives_the_same_back(known, fitted, tmp_path):
    classifier, _, clips = known
    again = load_fitted(fitted.save(tmp_path / "folder"), classifier)
    assert again.facts == fitted.facts
    for p, q in zip(again.prototypes, fitted.prototypes, strict=True):
        assert (p.id, p.name, p.label, p.clip, p.sample_rate) == (q.id, q.name, q.label, q.clip, q.sample_rate)
        assert vars(p.box) == vars(q.box)
        np.testing.assert_array_equal(p.sound, q.sound)
        written = otoscope.load_audio(tmp_path / "folder" / f"{q.id}.wav")
        np.testing.assert_array_equal(written.samples, q.sound)
    for clip in clips[::4]:
        one, two = again.match_clip(clip), fitted.match_clip(clip)
        np.testing.assert_array_equal(one.share, two.share)
        assert one.boxes == two.boxes
    fewer = load_fitted(fitted.without(["p2"]).save(tmp_path / "fewer"))
    assert [p.id for p in fewer.prototypes] == ["p1", "p3"]


def test_centres_are_kept_without_sounds(known, tmp_path):
    classifier, _, clips = known
    centres = fit_prototypes(classifier, clips, per_class=1, window_s=0.2, method="kmeans")
    again = load_fitted(centres.save(tmp_path))
    assert again.prototypes[0].sound is None
    assert again.prototypes[0].box is None
    assert not list(tmp_path.glob("*.wav"))


def test_the_folder_of_another_classifier_is_refused(fitted, tmp_path):
    other = tones_classifier()
    with torch.no_grad():
        other.network.gain += 1
    with pytest.raises(ParameterError, match=r"of another classifier \('three tones'"):
        load_fitted(fitted.save(tmp_path), other)


def test_damaged_folders(fitted, tmp_path):
    fitted.save(tmp_path)
    (tmp_path / "p2.wav").unlink()
    with pytest.raises(OtoscopeError, match=r"p2\.wav"):
        load_fitted(tmp_path)
    content = json.loads((tmp_path / "prototypes.json").read_text())
    del content["prototypes"][0]["name"]
    (tmp_path / "prototypes.json").write_text(json.dumps(content))
    with pytest.raises(
        OtoscopeError, match=r"prototypes\.json is damaged \(KeyError: 'name'\); fit the prototypes again"
    ):
        load_fitted(tmp_path)


def test_a_folder_reads_no_file_outside_of_itself(fitted, tmp_path):
    fitted.save(tmp_path / "in")
    content = json.loads((tmp_path / "in" / "prototypes.json").read_text())
    content["prototypes"][0]["file"] = "../secret.wav"
    (tmp_path / "in" / "prototypes.json").write_text(json.dumps(content))
    (tmp_path / "secret.wav").write_bytes((tmp_path / "in" / "p1.wav").read_bytes())
    with pytest.raises(OtoscopeError, match=r"in/secret\.wav"):
        load_fitted(tmp_path / "in")
