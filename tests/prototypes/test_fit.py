"""Prototypes of a classifier that hears three tones, at places that are known."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from otoscope.core.errors import OtoscopeError, ParameterError, UnknownNameError, UnsupportedError
from otoscope.prototypes import FitSettings, coverage, fit_prototypes, heard_purity, load_fitted, record_clips
from otoscope.prototypes import fit as module
from tone_worlds import HZ, RATE, tones_classifier


def start_of(prototype) -> float:
    return float(prototype.clip.removesuffix(".wav").split("-")[1])


def overlap(prototype) -> float:
    """Share of a prototype in which its tone sounds."""
    start = start_of(prototype)
    inside = min(prototype.box.stop_s, start + 0.3) - max(prototype.box.start_s, start)
    return max(0.0, inside) / prototype.box.duration


@pytest.mark.parametrize("method", ["medoids", "energy"])
def test_prototypes_are_the_stretches_that_hold_the_tones(known, method):
    classifier, data, _ = known
    fitted = fit_prototypes(classifier, data, per_class=2, window_s=0.2, method=method)
    assert [p.name for p in fitted.prototypes] == ["high 1", "high 2", "low 1", "low 2", "middle 1", "middle 2"]
    for p in fitted.prototypes:
        assert p.clip.startswith(sorted(HZ)[p.label])
        assert overlap(p) > 0.9
        assert p.box.duration == pytest.approx(0.2)
    assert len({p.clip for p in fitted.prototypes}) == 6


@pytest.mark.parametrize("parts", ["both", "frequency"])
def test_bands_are_those_of_the_tones(known, parts):
    classifier, data, _ = known
    for p in fit_prototypes(classifier, data, per_class=1, window_s=0.2, parts=parts).prototypes:
        hz = HZ[sorted(HZ)[p.label]]
        assert p.box.low_hz < hz < p.box.high_hz
        spectrum = np.abs(np.fft.rfft(p.sound[0]))
        assert abs(np.fft.rfftfreq(p.sound.shape[1], 1 / RATE)[spectrum.argmax()] - hz) < 30


def test_a_sound_is_that_stretch_of_the_file(known):
    classifier, data, _ = known
    for p in fit_prototypes(classifier, data, per_class=1, window_s=0.2).prototypes:
        example = next(e for e in data.examples if e.path.name == p.clip)
        whole = module.read_clip(example, classifier).samples
        first = round((p.box.start_s - 0.005) * RATE)
        assert p.sample_rate == RATE
        np.testing.assert_allclose(
            p.sound[:, 100:-100], whole[:, first : first + p.sound.shape[1]][:, 100:-100], atol=1e-6
        )
        assert p.sound.shape[1] / RATE == pytest.approx(0.21, abs=0.001)


def test_digital_silence_is_never_a_prototype(known):
    """Clips end with 0.2 s of it, and one clip is nothing else."""
    classifier, _, clips = known
    silent = dataclasses.replace(clips[0], waveform=np.zeros(RATE, np.float32), map=torch.zeros_like(clips[0].map))
    for method in ("medoids", "nearest", "random", "energy"):
        fitted = fit_prototypes(classifier, [silent, *clips[1:]], per_class=3, window_s=0.1, method=method)
        for p in fitted.prototypes:
            assert np.abs(p.sound).max() > 0.005
            assert p.box.start_s < 0.8
    with pytest.raises(OtoscopeError, match=r"all clips are silent"):
        fit_prototypes(classifier, [silent])


def test_one_pass_a_clip(known):
    _, data, _ = known
    classifier, passes = tones_classifier(), []
    handle = classifier.network.register_forward_hook(lambda m, x, y: passes.append(len(y)))
    fit_prototypes(classifier, data, per_class=2, window_s=0.2)
    handle.remove()
    assert sum(passes) == len(data)


def test_the_same_settings_give_the_same_prototypes_and_change_nothing(known):
    classifier, data, _ = known
    digest = classifier.digest()
    one, two = (fit_prototypes(classifier, data, settings=FitSettings(per_class=2, window_s=0.2)) for _ in range(2))
    assert torch.equal(one.space.vectors, two.space.vectors)
    assert [vars(p.box) for p in one.prototypes] == [vars(p.box) for p in two.prototypes]
    assert classifier.digest() == digest == one.space.digest


def test_the_classes_are_those_that_the_classifier_predicts(known):
    """One that it never predicts has no prototype, whatever the files are called."""
    classifier, data, _ = known
    some = dataclasses.replace(data, examples=tuple(e for e in data.examples if e.label != "low"))
    fitted = fit_prototypes(classifier, some, per_class=1, window_s=0.2)
    assert [p.name for p in fitted.prototypes] == ["high 1", "middle 1"]
    assert fitted.facts["without"] == ["low"]
    named = tuple(dataclasses.replace(e, label="high", index=0) for e in data.examples)
    fitted = fit_prototypes(classifier, dataclasses.replace(data, examples=named), per_class=1, window_s=0.2)
    assert [p.clip.split("-")[0] for p in fitted.prototypes] == ["high", "low", "middle"]
    assert fitted.facts | {"data": ""} == {
        "method": "medoids", "per_class": 1, "hear": False, "seed": 0, "data": "", "clips": 12, "cut": 0, "without": [],
    }  # fmt: skip


def test_prototypes_are_heard_and_exchanged(known, monkeypatch):
    """The first choices are taken to be heard as another class; others stand in for them."""
    classifier, _, clips = known
    first = fit_prototypes(classifier, clips, per_class=1, window_s=0.2)
    true, heard = module.heard_scores, []

    def scores(classifier, sounds, rates):
        found = true(classifier, sounds, rates)
        heard.append(len(sounds))
        return found[:, [1, 2, 0]] if len(heard) == 1 else found

    monkeypatch.setattr(module, "heard_scores", scores)
    second = fit_prototypes(classifier, clips, per_class=1, window_s=0.2, hear=True)
    assert heard == [3, 3]
    for p, q in zip(first.prototypes, second.prototypes):
        assert (p.clip, p.box) != (q.clip, q.box)
    monkeypatch.undo()
    assert heard_purity(second, classifier).value == 1


def test_hearing_ends_when_nothing_is_heard(known, monkeypatch):
    classifier, _, clips = known
    calls = []

    def deaf(classifier, sounds, rates):
        calls.append(len(sounds))
        return np.stack([np.array([0.3, 0.3, 0.4]) if k % 2 else np.array([0.4, 0.3, 0.3]) for k in range(len(sounds))])

    monkeypatch.setattr(module, "heard_scores", deaf)
    assert len(fit_prototypes(classifier, clips, per_class=1, window_s=0.2, hear=True)) >= 1
    assert sum(calls) <= 12 * 8 * 3


def test_centres_are_no_sound(known):
    classifier, _, clips = known
    fitted = fit_prototypes(classifier, clips, per_class=1, window_s=0.2, method="kmeans")
    assert all(p.sound is None and p.box is None and p.clip == "" for p in fitted.prototypes)


def test_what_is_refused(known):
    classifier, data, clips = known
    with pytest.raises(ParameterError, match=r"give either settings= or settings by name"):
        fit_prototypes(classifier, data, settings=FitSettings(), per_class=1)
    with pytest.raises(ParameterError, match=r"there are no clips to fit prototypes to"):
        fit_prototypes(classifier, [])
    with pytest.raises(UnsupportedError, match=r"has no default layer"):
        fit_prototypes(tones_classifier(cam_layer=None), data)
    with pytest.raises(ParameterError, match=r"prototypes are parts of files: give clips of a data set"):
        fit_prototypes(classifier, [dataclasses.replace(c, example=None) for c in clips])


def test_progress_is_told(known):
    classifier, data, _ = known
    done = []
    fit_prototypes(classifier, data, window_s=0.2, progress=done.append)
    assert done[-1] == 12
    assert len(record_clips(classifier, data)) == 12


def test_a_classifier_may_be_asked_about_some_of_its_classes(known, tmp_path):
    classifier, data, clips = known
    fitted = fit_prototypes(classifier, data, classes=["middle", 0], per_class=1, window_s=0.2)
    assert [p.name for p in fitted.prototypes] == ["high 1", "middle 1"]
    assert fitted.space.among == (0, 2)
    assert fitted.facts["without"] == []
    again = load_fitted(fitted.save(tmp_path), classifier)
    assert again.space.among == (0, 2)
    for clip in clips:
        own = again.match_clip(clip)
        assert own.predicted == (0 if clip.probabilities[0] > clip.probabilities[2] else 2)
        assert own.probabilities.shape == (3,)
    assert coverage(again, clips).value == 1.0
    assert heard_purity(again, classifier).value == 1.0
    every = fit_prototypes(classifier, data, per_class=1, window_s=0.2).without(["p2"])
    assert coverage(every, clips).value < 1.0


def test_classes_that_are_no_choice(known):
    classifier, data, _ = known
    with pytest.raises(ParameterError, match=r"at least two classes to decide between; got 'low' alone"):
        fit_prototypes(classifier, data, classes=["low", 1])
    with pytest.raises(UnknownNameError, match=r"did you mean 'middle'"):
        fit_prototypes(classifier, data, classes=["low", "midle"])
    with pytest.raises(ParameterError, match=r"give classes as a list; got 'low'"):
        fit_prototypes(classifier, data, classes="low")
