"""Procedural sounds: each at its level, within its band and its events."""

from __future__ import annotations

import math

import numpy as np
import pytest

from otoscope.datasets.scenes import Event, kinds, render

KINDS = kinds()


WANTED = {
    *("clock_tick", "siren", "bell", "bird_chirp", "dog_bark", "rain", "sea_waves", "wind", "helicopter", "engine"),
    *(
        "chainsaw",
        "crackling_fire",
        "rooster",
        "crying_baby",
        "sneeze",
        "knocks",
        "beeps",
        "hum",
        "click_train",
        "tone",
    ),
    *("white_noise", "pink_noise"),
    *("kick_drum", "hi_hat", "bass_line", "chord_pad"),
}


EVENT_LIKE = (
    "clock_tick",
    "bird_chirp",
    "dog_bark",
    "rooster",
    "crying_baby",
    "sneeze",
    "knocks",
    "beeps",
    "click_train",
)


SUSTAINED = (
    *("siren", "rain", "sea_waves", "wind", "helicopter", "engine", "chainsaw", "crackling_fire", "hum", "tone"),
    *("white_noise", "pink_noise"),
)


def energy(samples: np.ndarray) -> float:
    return float(np.sum(samples.astype(np.float64) ** 2))


def share_in_band(samples: np.ndarray, rate: int, event: Event) -> float:
    """The share of the event's energy (its samples alone, no window) that its band holds."""
    times = np.arange(len(samples)) / rate
    part = samples[(times >= event.onset) & (times < event.offset)].astype(np.float64)
    power, hertz = np.abs(np.fft.rfft(part)) ** 2, np.fft.rfftfreq(len(part), 1 / rate)
    return float(power[(hertz >= event.low_hz) & (hertz <= event.high_hz)].sum() / power.sum())


def active(events: tuple[Event, ...], times: np.ndarray) -> np.ndarray:
    """The twin of Scene.activity."""
    return np.any([(e.onset <= times) & (times < e.offset) for e in events], axis=0)


def test_all_wanted_kinds_are_there():
    assert set(KINDS) == WANTED


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("duration", "rate"), [(2.0, 32000), (0.1, 16000), (1.237, 8000), (1.0, 48000), (0.05, 44100)])
def test_a_stem_is_finite_at_its_level_and_its_events_lie_in_the_clip(kind, duration, rate):
    stem = render(kind, duration, rate, seed=3)
    assert stem.label == kind
    assert stem.samples.dtype == np.float32
    assert stem.samples.shape == (round(duration * rate),)
    assert np.isfinite(stem.samples).all()
    sounding = active(stem.events, np.arange(len(stem.samples)) / rate)
    assert 10 * math.log10(energy(stem.samples[sounding]) / sounding.sum()) == pytest.approx(-20.0, abs=1e-3)
    assert all(e.label == kind and 0 <= e.onset < e.offset <= duration for e in stem.events)
    assert [e.onset for e in stem.events] == sorted(e.onset for e in stem.events)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("rate", "seed"), [(32000, 0), (8000, 1), (48000, 2)])
def test_each_events_band_holds_nine_tenths_of_its_energy(kind, rate, seed):
    stem = render(kind, 3.0, rate, seed)
    whole = [e for e in stem.events if e.offset < 3.0 or e.offset - e.onset > 0.5]
    assert whole
    assert min(share_in_band(stem.samples, rate, e) for e in whole) >= 0.9


@pytest.mark.parametrize("kind", EVENT_LIKE)
@pytest.mark.parametrize("seed", [0, 1])
def test_between_events_there_is_next_to_nothing(kind, seed):
    stem = render(kind, 5.0, 16000, seed)
    silent = ~active(stem.events, np.arange(len(stem.samples)) / 16000)
    assert silent.mean() > 0.1
    assert energy(stem.samples[silent]) < 2e-3 * energy(stem.samples)


@pytest.mark.parametrize("kind", EVENT_LIKE)
def test_an_event_sounds_from_its_onset_on(kind):
    """What the events say is when it is loud: the first 60 ms of each hold sound, the 20 ms before do not."""
    rate = 32000
    stem = render(kind, 4.0, rate, seed=5)
    busy = active(stem.events, np.arange(len(stem.samples)) / rate)
    for event in stem.events:
        start = math.ceil(event.onset * rate)
        before = slice(max(0, start - rate // 50), start)
        if (event.offset - event.onset < 0.05 and kind != "click_train") or busy[before].any():
            continue
        assert energy(stem.samples[start : start + 6 * rate // 100]) > 1e3 * energy(stem.samples[before])


@pytest.mark.parametrize("kind", SUSTAINED)
def test_a_sustained_sound_has_one_event_that_fills_the_clip(kind):
    (event,) = render(kind, 2.0, 16000).events
    assert (event.onset, event.offset) == (0.0, 2.0)
