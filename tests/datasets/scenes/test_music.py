"""Drums, bass and chords that go together, at exact times."""

from __future__ import annotations

import numpy as np
import pytest

from otoscope.datasets.scenes import make_scene, render

RATE = 32000


def spectrum_between(stem, start, stop):
    part = stem.samples[round(start * RATE) : round(stop * RATE)].astype(np.float64)
    return np.fft.rfftfreq(len(part), 1 / RATE), np.abs(np.fft.rfft(part * np.hanning(len(part)))) ** 2


def test_drums_are_where_they_are_said():
    kick, hat = render("kick_drum", 4.0, RATE), render("hi_hat", 4.0, RATE)
    assert [e.onset for e in kick.events] == [0.5 * i for i in range(8)]
    assert [e.onset for e in hat.events] == [0.25 * i for i in range(16)]
    for stem in (kick, hat):
        times = np.arange(len(stem.samples)) / RATE
        outside = np.ones(len(times), bool)
        for e in stem.events:
            outside &= (times < e.onset) | (times >= e.offset)
        assert np.abs(stem.samples[outside]).max() < 1e-3


@pytest.mark.parametrize(
    ("place", "root", "third"),
    [(0.1, 220.0, 261.63), (1.1, 349.23, 220.0), (2.1, 261.63, 329.63), (3.1, 392.0, 246.94)],
)
def test_chords_and_bass_have_the_same_roots(place, root, third):
    pad, bass = render("chord_pad", 4.0, RATE), render("bass_line", 4.0, RATE)
    hz, power = spectrum_between(pad, place, place + 0.8)
    for note in (root, third):
        assert power[np.abs(hz - note) < 3].max() > 30 * np.median(power[(hz > 200) & (hz < 500)])
    hz, power = spectrum_between(bass, round(place - 0.1, 1), round(place - 0.1, 1) + 0.24)
    lowest = hz[(hz < 200)][power[hz < 200].argmax()]
    steps = 12 * np.log2(lowest / root)
    assert abs(steps - 12 * round(steps / 12)) < 1.0  # the root, in another octave


def test_a_piece():
    piece = make_scene(["kick_drum", "bass_line", "chord_pad", "hi_hat"], duration=4.0, sample_rate=RATE, snr_db=0.0)
    assert len(piece.events) == 8 + 16 + 4 + 16
    assert np.abs(piece.clip.samples).max() <= 0.9 + 1e-6
