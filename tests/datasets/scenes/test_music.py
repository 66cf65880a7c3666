"""Drums, bass and chords that go together, at exact times."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from note_worlds import write_notes
from otoscope.core.errors import ParameterError
from otoscope.datasets import Notes
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


ROOTS = (0, 8, 3, 10)  # semitones of the four chords above the key: A minor, F, C, G
THIRDS = (3, 0, 7, 2)


def lowest(stem, start, stop, top):
    """The pitch class of the strongest bin below some frequency, in semitones from A."""
    hz, power = spectrum_between(stem, start, stop)
    inside = (hz > 30) & (hz < top)
    return 12 * np.log2(hz[inside][power[inside].argmax()] / 440)


def distance(semitones, pitch_class):
    return abs((semitones - pitch_class + 6) % 12 - 6)


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("notes", [False, True])
def test_chords_and_bass_go_together_in_the_key_of_the_seed(seed, notes, tmp_path):
    played = Notes(write_notes(tmp_path)) if notes else None
    pad, bass = (render(kind, 4.0, RATE, seed, played) for kind in ("chord_pad", "bass_line"))
    key = round(lowest(bass, 0.0, 0.24, 130)) % 12
    for place, (root, third) in enumerate(zip(ROOTS, THIRDS, strict=True)):
        assert distance(lowest(bass, place, place + 0.24, 130), key + root) < 0.8  # the root; 0.24 s are 4 Hz
        hz, power = spectrum_between(pad, place + 0.1, place + 0.9)
        for semitones in (root, third):
            note = 220.0 * 2 ** ((key + semitones) % 12 / 12)
            assert power[np.abs(hz - note) < 4].max() > 30 * np.median(power[(hz > 200) & (hz < 500)])
    if seed:
        assert key != round(lowest(render("bass_line", 0.5, RATE, 0), 0.0, 0.24, 130)) % 12


def test_recorded_notes_are_what_is_heard(tmp_path):
    """The organ of the tests has odd harmonics only, the drawn chords have all."""
    notes = Notes(write_notes(tmp_path / "organ", {"organ": tuple(range(24, 76, 3))}))
    (drawn, played) = (render("bass_line", 1.0, RATE, 0, n) for n in (None, notes))
    assert [e.onset for e in drawn.events] == [e.onset for e in played.events]

    def second_harmonic(stem):
        hz, power = spectrum_between(stem, 0.0, 0.24)
        first = 440 * 2 ** (lowest(stem, 0.0, 0.24, 130) / 12)
        return power[np.abs(hz - 2 * first) < 6].max() / power[np.abs(hz - first) < 6].max()

    assert second_harmonic(drawn) > 10 * second_harmonic(played)
    assert np.array_equal(render("hi_hat", 1.0, RATE, 0, notes).samples, render("hi_hat", 1.0, RATE, 0).samples)


def test_one_instrument_plays_all_parts_of_a_stem(tmp_path):
    reach = tuple(range(54, 74, 3))
    notes = Notes(write_notes(tmp_path, dict.fromkeys(("a", "b", "c", "organ"), reach)))
    played = []
    notes.play = lambda player, *more: played.append(player) or Notes.play(notes, player, *more)
    heard = set()
    for seed in range(6):
        played.clear()
        events = {"chord_pad": [(0.0, 1.0), (2.0, 3.0)]}
        make_scene(["chord_pad", "hi_hat"], 3.0, 8000, seed=seed, events=events, notes=notes)
        assert len(set(played)) == 1
        heard |= set(played)
    assert len(heard) > 1


def test_instruments_that_do_not_reach(tmp_path):
    notes = Notes(write_notes(tmp_path, {"organ": (60, 61)}))
    with pytest.raises(
        ParameterError, match=r"bass_line needs an instrument with notes near MIDI 33 to 51; .*has organ"
    ):
        render("bass_line", 1.0, RATE, 0, notes)


def test_a_data_set_with_notes(tmp_path):
    from otoscope.datasets import load_dataset

    notes = write_notes(tmp_path / "notes")
    name = "scenes,clips=2,seconds=1,sample_rate=8000,kinds=bass_line+hi_hat"
    plain, played = load_dataset(name, tmp_path / "a"), load_dataset(f"{name},notes={notes}", tmp_path / "b")
    assert "notes" not in (tmp_path / "a" / "scenes.json").read_text()
    sums = [example.path.read_bytes() for data in (plain, played) for example in data.examples]
    assert sums[0] != sums[2]
    shutil.rmtree(notes)  # they are not needed any more
    assert load_dataset(f"{name},notes={notes}", tmp_path / "b").examples == played.examples


def test_a_piece():
    piece = make_scene(["kick_drum", "bass_line", "chord_pad", "hi_hat"], duration=4.0, sample_rate=RATE, snr_db=0.0)
    assert len(piece.events) == 8 + 16 + 4 + 16
    assert np.abs(piece.clip.samples).max() <= 0.9 + 1e-6
