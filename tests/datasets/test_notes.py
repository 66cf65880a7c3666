"""Recorded notes, played at any pitch near theirs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from note_worlds import pitch_of, write_notes
from otoscope.core.errors import AudioReadError, ParameterError, UnknownNameError
from otoscope.datasets import Notes
from otoscope.datasets.records import DatasetError


@pytest.fixture(scope="module")
def notes(tmp_path_factory):
    return Notes(write_notes(tmp_path_factory.mktemp("notes")))


def test_what_is_there(notes):
    assert notes.instruments == ("contrabass", "organ")
    assert notes.recorded("organ") == (36, 42, 48, 54, 60, 66, 72)
    assert notes.nearest("organ", 45.0) == 42  # of two, the lower one
    assert notes.reaches("organ", 75.0)
    assert not notes.reaches("organ", 75.1)


@settings(max_examples=25, deadline=None)
@given(midi=st.floats(33, 75), rate=st.sampled_from([8000, 16000, 32000, 44100]))
def test_pitch_level_and_length(notes, midi, rate):
    sound = notes.play("organ", midi, 0.5, rate)
    assert len(sound) == rate // 2
    cents = 1200 * np.log2(pitch_of(sound, rate) / (440 * 2 ** ((midi - 69) / 12)))
    assert abs(cents) < 3
    assert np.sqrt(np.mean(sound**2)) == pytest.approx(1.0, abs=0.05)
    assert np.abs(sound[: round(0.02 * rate)]).max() > 0.1  # it begins at once: the recording has 0.1 s of silence
    assert abs(sound[-1]) < 0.05  # and is let go


def test_a_note_that_rings_shorter_ends_in_silence(notes):
    sound = notes.play("organ", 60.0, 3.0, 8000)
    assert len(sound) == 24000
    assert np.abs(sound[8000:11000]).max() > 0.05
    assert not sound[13000:].any()


def test_bad_input(notes, tmp_path):
    with pytest.raises(UnknownNameError, match="did you mean 'organ'"):
        notes.play("organs", 60, 1.0, 8000)
    with pytest.raises(ParameterError, match=r"organ has notes from MIDI 36 to 72.*got 85 for 1 s"):
        notes.play("organ", 85.0, 1.0, 8000)
    with pytest.raises(ParameterError, match="for 0 s"):
        notes.play("organ", 60.0, 0.0, 8000)
    for midi, seconds in ((float("nan"), 1.0), (60.0, float("inf")), (60.0, float("nan")), (60.0, 1e-6)):
        with pytest.raises(ParameterError, match="plays an octave beyond"):
            notes.play("organ", midi, seconds, 8000)
    with pytest.raises(DatasetError, match="notes"):
        Notes(tmp_path)
    folder = write_notes(tmp_path / "broken", {"organ": (60,)})
    (folder / "organ" / "60.wav").write_bytes(b"no sound")
    with pytest.raises(AudioReadError, match=r"60\.wav"):
        Notes(folder).play("organ", 60, 1.0, 8000)


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("organ/60.wav,organ,x,60,100000", "must be from 0 to 127; got 100000 for organ/60.wav"),
        ("organ/60.wav,organ,x,60,-1", "must be from 0 to 127"),
        ("../other.wav,organ,x,60,61", "leads out of"),
        (",organ,x,60,61", "names no file"),
    ],
)
def test_strange_rows(tmp_path, row, why):
    folder = write_notes(tmp_path, {"organ": (60,)})
    (folder / "notes.csv").write_text((folder / "notes.csv").read_text() + row + "\n")
    with pytest.raises(DatasetError, match=why):
        Notes(folder)


def test_the_digest_knows_recordings(tmp_path):
    before = Notes(write_notes(tmp_path, {"organ": (60,)})).digest
    assert Notes(tmp_path).digest == before
    write_notes(tmp_path, {"organ": (60,)}, seconds=2.0)
    assert Notes(tmp_path).digest != before
