"""Procedural scenes: what they promise, and what they refuse."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otoscope.core.errors import ParameterError, UnknownNameError
from otoscope.datasets.scenes import Event, Scene, demo_scene, kinds, make_scene, render

KINDS = kinds()
mixtures = st.lists(st.sampled_from(KINDS), min_size=1, max_size=3, unique=True)


def energy(samples: np.ndarray) -> float:
    return float(np.sum(samples.astype(np.float64) ** 2))


def active(events: tuple[Event, ...], times: np.ndarray) -> np.ndarray:
    """The slow twin of Scene.activity."""
    return np.array([any(e.onset <= t < e.offset for e in events) for t in times])


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_samples_and_another_seed_others(kind):
    one, same, other = (render(kind, 0.7, 16000, seed) for seed in (11, 11, 12))
    assert np.array_equal(one.samples, same.samples)
    assert one.events == same.events
    assert not np.array_equal(one.samples, other.samples)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_sound_at_every_rate(kind):
    """Events are equal to the bit, and below the lower Nyquist frequency the spectra are those of one sound."""
    low, high = render(kind, 2.0, 16000, seed=4), render(kind, 2.0, 44100, seed=4)
    assert low.events == high.events
    bins = 2 * 6500
    a, b = np.fft.rfft(low.samples)[:bins], np.fft.rfft(high.samples)[:bins]
    likeness = abs(np.vdot(a, b)) / np.sqrt(energy(np.abs(a)) * energy(np.abs(b)))
    assert likeness > 0.9


@settings(max_examples=25, deadline=None)
@given(mixtures, st.floats(-60, 60), st.integers(0, 2**32), st.sampled_from([8000, 16000, 22050]), st.floats(0.05, 0.6))
def test_a_scene_is_the_sum_of_its_stems_at_the_stated_snr_below_the_peak(names, snr_db, seed, rate, duration):
    scene = make_scene(names, duration, rate, snr_db, seed)
    assert [s.label for s in scene.stems] == names
    assert scene.clip.samples.shape == (1, round(duration * rate))
    assert scene.clip.sample_rate == rate
    total = scene.stems[0].samples.copy()
    for stem in scene.stems[1:]:
        total += stem.samples
    assert np.array_equal(scene.clip.samples[0], total)
    exact = np.sum([s.samples.astype(np.float64) for s in scene.stems], axis=0)
    assert np.max(np.abs(scene.clip.samples[0] - exact)) <= 1.2e-7
    assert np.max(np.abs(total)) <= 0.9
    if len(names) == 1:
        assert scene.snr_db == math.inf
        return
    rest = np.sum([s.samples.astype(np.float64) for s in scene.stems[1:]], axis=0)
    assert 10 * math.log10(energy(scene.stems[0].samples) / energy(rest)) == pytest.approx(snr_db, abs=1e-3)
    assert scene.snr_db == snr_db


def test_a_stem_does_not_depend_on_what_else_sounds_but_for_its_level():
    alone = render("dog_bark", 1.0, 16000, seed=7)
    mixed = make_scene(["rain", "dog_bark", "hum"], 1.0, 16000, 3.0, seed=7).stem("dog_bark")
    assert mixed.events == alone.events
    gain = np.sqrt(energy(mixed.samples) / energy(alone.samples))
    assert np.allclose(mixed.samples, gain * alone.samples, atol=1e-6)


def test_events_and_activity_tell_what_sounds_when():
    scene = make_scene(["knocks", "siren"], 3.0, 8000, seed=1)
    assert scene.events == tuple(
        sorted((*scene.stems[0].events, *scene.stems[1].events), key=lambda e: (e.onset, e.label))
    )
    times = np.linspace(-0.5, 3.5, 401)
    assert np.array_equal(scene.activity("knocks", times), active(scene.stem("knocks").events, times))
    assert np.array_equal(scene.activity("siren", times), (times >= 0) & (times < 3))
    assert scene.activity("knocks", times.reshape(1, -1)).shape == (1, 401)
    assert scene.activity("siren", [1.0]).dtype == bool


def test_intervals_say_where_a_kind_sounds():
    spans = [(0.5, 1.0), (2.0, 2.5)]
    scene = make_scene(["siren", "rain"], 3.0, 16000, seed=2, events={"siren": spans})
    siren = scene.stem("siren")
    assert [(e.onset, e.offset) for e in siren.events] == spans
    times = np.arange(48000) / 16000
    outside = ~active(siren.events, times)
    assert energy(siren.samples[outside]) == 0.0
    assert energy(siren.samples[(times > 2.0) & (times < 2.1)]) > 0
    first, second = siren.samples[8000:16000], siren.samples[32000:40000]
    assert not np.allclose(first, second, atol=0.01)
    assert len(scene.stem("rain").events) == 1


def test_stems_cannot_be_written_to():
    with pytest.raises(ValueError, match="read-only"):
        render("tone", 0.1, 8000).samples[0] = 1.0


def test_the_demo_scene_has_two_sounds_a_classifier_knows():
    scene = demo_scene(16000)
    assert isinstance(scene, Scene)
    assert [s.label for s in scene.stems] == ["dog_bark", "helicopter"]
    assert scene.clip.duration == 5.0
    assert scene.clip.digest() == demo_scene(16000).clip.digest()
    assert demo_scene(16000, seed=99).clip.digest() != scene.clip.digest()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"duration": 0}, "duration must lie in"),
        ({"duration": -1.0}, "duration must lie in"),
        ({"duration": math.nan}, "duration must lie in"),
        ({"duration": math.inf}, "duration must lie in"),
        ({"duration": "5"}, "duration must lie in"),
        ({"sample_rate": 999}, "sample_rate must be a whole number"),
        ({"sample_rate": 16000.5}, "16000.5"),
        ({"sample_rate": True}, "sample_rate must be"),
        ({"seed": -1}, "seed must be"),
        ({"seed": 1.5}, "seed must be"),
        ({"seed": None}, "got None"),
    ],
)
def test_bad_numbers_are_refused(wrong, words):
    with pytest.raises(ParameterError, match=words):
        render("tone", **{"duration": 0.1, "sample_rate": 8000, **wrong})
    with pytest.raises(ParameterError, match=words):
        make_scene(["tone", "hum"], **{"duration": 0.1, "sample_rate": 8000, **wrong})


@pytest.mark.parametrize("snr_db", [math.nan, math.inf, -math.inf, 121, "0", None, True])
def test_a_bad_snr_is_refused(snr_db):
    with pytest.raises(ParameterError, match="snr_db must lie in"):
        make_scene(["tone", "hum"], 0.1, 8000, snr_db=snr_db)


def test_an_unknown_kind_is_refused_with_the_nearest():
    with pytest.raises(UnknownNameError, match="unknown sound 'dogbark'; did you mean 'dog_bark'"):
        render("dogbark")
    with pytest.raises(UnknownNameError, match="unknown sound 'rian'"):
        make_scene(["tone", "rian"])
    with pytest.raises(UnknownNameError, match="kind in events"):
        make_scene(["tone"], events={"hum": [(0, 1)]})
    with pytest.raises(UnknownNameError, match="unknown stem 'rain'"):
        make_scene(["tone"], 0.1, 8000).stem("rain")


@pytest.mark.parametrize("names", [[], "rain", ["rain", "rain"]])
def test_bad_lists_of_kinds_are_refused(names):
    with pytest.raises(ParameterError, match="kind"):
        make_scene(names, 0.1, 8000)


@pytest.mark.parametrize("span", [(-0.1, 0.5), (0.5, 0.5), (0.6, 0.4), (0.5, 1.1), (0.0, math.nan), (0.2, 0.21)])
def test_intervals_outside_the_clip_are_refused(span):
    with pytest.raises(ParameterError, match="must lie in the clip of 1 s"):
        make_scene(["tone", "hum"], 1.0, 8000, events={"hum": [span]})


@pytest.mark.parametrize("spans", [[], [(0.1,)], [3.0], [(0.1, "x")], 5])
def test_malformed_intervals_are_refused(spans):
    with pytest.raises(ParameterError, match="events of hum"):
        make_scene(["tone", "hum"], 1.0, 8000, events={"hum": spans})


def test_a_sound_with_nothing_below_nyquist_is_refused():
    with pytest.raises(ParameterError, match=r"bird_chirp has nothing to sound below 500 Hz.*at least 8000 Hz"):
        render("bird_chirp", 1.0, 1000)
