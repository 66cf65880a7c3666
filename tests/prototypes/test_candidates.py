"""Stretches that may become prototypes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

import otoscope.prototypes.candidates as module
from otoscope.core.errors import OtoscopeError, ParameterError, UnknownNameError
from otoscope.prototypes import FitSettings
from otoscope.prototypes.candidates import best_similarity, candidates
from tone_worlds import RATE


def test_candidates_are_windows_with_sound(known):
    _, _, clips = known
    found = candidates(clips, FitSettings(window_s=0.2), RATE)
    assert len(found.vectors) == len(found.boxes) == len(found.levels) == len(found.clips)
    for box, number, vector in list(zip(found.boxes, found.clips.tolist(), found.vectors))[::7]:
        assert box.duration == pytest.approx(0.2)
        clip = clips[number]
        first = int(np.argmin(np.abs(clip.cells.edges_s - box.start_s)))
        torch.testing.assert_close(vector, clip.map[:, :, first : first + 4].mean((1, 2)))
    assert max(box.start_s for box in found.boxes) < 0.8  # then there is digital silence
    torch.testing.assert_close(found.mean, found.vectors.mean(0))


@pytest.mark.parametrize(("parts", "a_clip"), [("clip", 1), ("frequency", 4)])
def test_places_that_are_no_windows(known, parts, a_clip):
    _, _, clips = known
    found = candidates(clips, FitSettings(parts=parts), RATE)
    assert len(found.vectors) == a_clip * len(clips)
    assert {(b.start_s, b.stop_s) for b in found.boxes} == {(clips[0].cells.edges_s[0], clips[0].cells.edges_s[-1])}


def slow_similarity(clip, vector, found, width):
    best = -2.0
    for i in range(clip.map.shape[2] - width + 1):
        place = clip.map[:, :, i : i + width].double().mean((1, 2))
        a, b = (x - found.mean.double() for x in (place, vector.double()))
        start, stop = (round(clip.cells.edges_s[k] * RATE) for k in (i, i + width))
        loud = np.mean(clip.waveform[start:stop].astype(float) ** 2)
        frames = [
            clip.waveform[round(s * RATE) : round(e * RATE)] for s, e in zip(clip.cells.edges_s, clip.cells.edges_s[1:])
        ]
        if loud > max(1e-9, 1e-4 * max(np.mean(f.astype(float) ** 2) for f in frames)):
            r = found.radius
            best = max(best, float(a @ b / ((a.norm() + r) * (b.norm() + r))))
    return best


def test_similarity_is_that_of_the_best_place_written_out(known):
    _, _, clips = known
    settings = FitSettings(window_s=0.2)
    found = candidates(clips, settings, RATE)
    similarity = best_similarity(found, clips, settings, RATE)
    for i, j in ((0, 40), (5, 3), (11, 60), (4, 80)):
        own = int(found.clips[j]) == i
        expected = -1.0 if own else slow_similarity(clips[i], found.vectors[j], found, 4)
        assert float(similarity[i, j]) == pytest.approx(expected, abs=1e-5)
    assert (similarity[torch.arange(len(clips))[:, None] == found.clips] == -1).all()


def test_silent_places_are_like_nothing(known):
    """The layer says in the silence at the end what it says at a candidate; nobody hears it."""
    _, _, clips = known
    settings = FitSettings(window_s=0.05)
    found = candidates(clips, settings, RATE)
    j = int((found.clips == 4).nonzero()[int(found.levels[(found.clips == 4).numpy()].argmax())])
    planted = clips[0].map.clone()
    planted[:, :, -1] = found.vectors[j][:, None]
    changed = [dataclasses.replace(clips[0], map=planted), *clips[1:]]
    before, after = (best_similarity(found, some, settings, RATE)[0, j] for some in (clips, changed))
    assert after == before < 0.3


def test_own_stretches_count_where_a_class_has_no_other_clip(known):
    _, _, clips = known
    settings = FitSettings(window_s=0.2)
    few = [clips[0], *clips[4:8]]
    found = candidates(few, settings, RATE)
    own = best_similarity(found, few, settings, RATE)[0, found.clips == 0]
    assert (own > 0.2).any()


def test_silent_clips_give_no_candidates(known):
    _, _, clips = known
    silent = dataclasses.replace(clips[0], waveform=np.zeros(RATE, np.float32))
    settings = FitSettings(window_s=0.2)
    assert 0 not in candidates([silent, *clips[1:]], settings, RATE).clips.tolist()
    with pytest.raises(OtoscopeError, match=r"all clips are silent, so nothing can be a prototype"):
        candidates([silent], settings, RATE)


def test_a_class_has_at_most_so_many(known, monkeypatch):
    _, _, clips = known
    monkeypatch.setattr(module, "CANDIDATES", 10)
    one, two = (candidates(clips, FitSettings(window_s=0.2, seed=3), RATE) for _ in range(2))
    assert len(one.vectors) == 30
    assert torch.equal(one.vectors, two.vectors)
    every = candidates(clips, FitSettings(window_s=0.2, seed=4), RATE)
    assert not torch.equal(every.vectors, one.vectors)


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"parts": "tiem"}, UnknownNameError, r"unknown parts of prototypes 'tiem'; did you mean 'time'"),
        ({"method": "medoid"}, UnknownNameError, r"unknown method of prototypes 'medoid'; did you mean 'medoids'"),
        ({"per_class": 0}, ParameterError, r"per_class must be a whole number from 1 to 100; got 0"),
        ({"per_class": 2.0}, ParameterError, r"per_class must be a whole number from 1 to 100; got 2.0"),
        ({"window_s": 0}, ParameterError, r"window_s must be above 0 and at most 60 seconds; got 0"),
        ({"seed": -1}, ParameterError, r"seed must be a whole number from 0"),
    ],
)  # fmt: skip
def test_settings_out_of_range(given, error, said):
    with pytest.raises(error, match=said):
        FitSettings(**given)
