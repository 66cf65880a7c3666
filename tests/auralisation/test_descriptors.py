"""Descriptions of sounds, on sounds that are what is described; and against sums written out."""

from __future__ import annotations

import numpy as np
import pytest

from feature_worlds import RATE, bursts, tone
from otoscope.auralisation.descriptors import Descriptor, describe_sounds, descriptor_bank, spectrogram


def number(kind, sound, low=0.0, high=4000.0, rate=0.0, scale="magnitude"):
    return describe_sounds([sound], RATE, [Descriptor(kind, low, high, rate, scale)])[0, 0]


@pytest.mark.parametrize("scale", ["magnitude", "dB"])
def test_energy_is_that_of_the_band(scale):
    x = tone(1000, 1.0)
    spec = spectrogram(x, RATE)
    spec = 20 * np.log10(np.maximum(spec, 1e-5)) + 100 if scale == "dB" else spec
    hz = np.fft.rfftfreq(256, 1 / RATE)
    expected = np.sqrt((spec[(hz >= 800) & (hz <= 1200)] ** 2).mean())
    assert number("energy", x, 800, 1200, scale=scale) == pytest.approx(expected)
    assert number("energy", x, 2000, 3000) < 0.01 * number("energy", x, 800, 1200)


def test_rises_and_falls():
    on = tone(1000, 1.0)
    on[:4000] = 0
    off = on[::-1].copy()
    assert (
        number("rise", on) > 5 * number("fall", on[:-100]) or number("rise", on) > number("rise", tone(1000, 1.0)) / 2
    )
    assert number("rise", on) == pytest.approx(number("fall", off), rel=0.05)
    level = spectrogram(on, RATE).mean(0)
    assert number("rise", on) == pytest.approx(np.sqrt((np.maximum(level[3:] - level[:-3], 0) ** 2).mean()))


def test_steady_and_tonal():
    steady, clicks = tone(1000, 1.0), bursts((0.2, 0.5, 0.8), 1.0)
    clicks *= np.sqrt(np.mean(steady**2) / np.mean(clicks**2))
    assert number("steady", steady) > 2 * number("steady", clicks)
    assert number("tonal", steady) > 2 * number("tonal", clicks)
    assert number("onset", clicks) > 2 * number("onset", steady)


def test_modulation_and_pitch():
    t = np.arange(RATE) / RATE
    swung = tone(1000, 1.0) * (1 + np.sin(2 * np.pi * 16 * t)).astype(np.float32)
    by_rate = {r: number("modulation", swung, rate=r) for r in (4.0, 8.0, 16.0, 32.0)}
    assert max(by_rate, key=by_rate.get) == 16.0
    stack = sum(tone(220 * k, 1.0) for k in range(1, 8))
    by_pitch = {p: number("pitch", stack, rate=p) for p in (165.0, 220.0, 294.0)}
    assert max(by_pitch, key=by_pitch.get) == 220.0


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (Descriptor("onset", 1000.0, 4000.0), "onsets, 1 to 4 kHz"),
        (Descriptor("rise", 0.0, 8000.0), "onsets"),
        (Descriptor("energy", 0.0, 150.0), "bass below 150 Hz"),
        (Descriptor("energy", 4000.0, 8000.0), "sound above 4 kHz"),
        (Descriptor("energy", 0.0, 8000.0), "any sound"),
        (Descriptor("energy", 300.0, 1200.0), "sound 300 Hz to 1.2 kHz"),
        (Descriptor("tonal", 0.0, 8000.0), "tones, suppresses attacks"),
        (Descriptor("modulation", 0.0, 8000.0, 16.0), "amplitude modulation near 16 Hz"),
        (Descriptor("pitch", 0.0, 8000.0, 220.0), "harmonics of 220 Hz"),
    ],
)
def test_words(one, words):
    assert one.words(16000) == words


def test_silence_is_nothing():
    found = describe_sounds([np.zeros(RATE)], RATE, descriptor_bank(RATE))
    assert np.abs(found).max() < 1e-9
