"""Many files into folders: what fails is told, what works is whole."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch

import otoscope
from otoscope.audio import FileSource, write_wav
from otoscope.core.errors import AudioReadError, DeviceMemoryError, UnknownNameError, WriteError
from otoscope.explanation.many import explain_files
from otoscope.explanation.request import make_request
from worlds import RATE, BandEnergy, band_energy, tone


def request(batch_size=16, target=None):
    return make_request("input_x_gradient", "mel", "positive", target, 0, batch_size)


@pytest.fixture
def wav(tmp_path):
    def make(name, hz=1000, seconds=0.1):
        return write_wav(tmp_path / name, tone(hz, seconds)[None], RATE)

    return make


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_outcomes_come_in_order(wav, tmp_path, batch_size):
    files = [wav("a.wav", 3000, 0.2), tmp_path / "gone.wav", wav("b.wav"), wav("c.wav", 3000), wav("d.wav")]
    outcomes = list(explain_files(files, band_energy(), request(batch_size), tmp_path / "out"))
    assert [o.file for o in outcomes] == [str(f) for f in files]
    assert [o.error is None for o in outcomes] == [True, False, True, True, True]
    assert isinstance(outcomes[1].error, AudioReadError)
    assert [o.row["target"]["label"] for o in outcomes if o.row] == ["decoy", "tone", "decoy", "tone"]
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"a", "b", "c", "d"}


def test_they_are_written_batch_by_batch(wav, tmp_path):
    """What was done before an interrupt is on the disk."""
    outcomes = explain_files([wav("a.wav"), wav("b.wav")], band_energy(), request(1), tmp_path / "out")
    next(outcomes)
    assert (tmp_path / "out" / "a" / "report.html").is_file()
    assert not (tmp_path / "out" / "b").exists()
    outcomes.close()


def test_the_same_file_in_two_batches_and_in_one(wav, tmp_path):
    a = wav("a.wav")
    for size in (1, 3):
        rows = [o.row for o in explain_files([a, a, a], band_energy(), request(size), tmp_path / str(size))]
        assert [Path(r["files"]["kept"]).parent.name for r in rows] == ["a", "a-2", "a-3"]
        assert len({Path(r["files"]["kept"]).read_bytes() for r in rows}) == 1


@pytest.mark.parametrize(
    ("names", "folders"),
    [
        (["a.wav", "a.flac", "a.mp3"], ["a", "a-2", "a-3"]),
        (["a.wav", "a-2.wav", "a.wav"], ["a", "a-2", "a-3"]),
        (["a.wav", "a.flac", "a-2.wav"], ["a", "a-3", "a-2"]),
        (["a-2.wav", "a.wav", "a.wav", "a-2.wav"], ["a-2", "a", "a-3", "a-2-2"]),
        (["..wav", "...wav", "x/..", ""], ["sound", "sound-2", "sound-3", "sound-4"]),
        (["b.tar.gz", ".hidden", "c"], ["b.tar", ".hidden", "c"]),
    ],
)
def test_no_two_files_share_a_folder_and_none_leaves_it(names, folders):
    from otoscope.explanation.many import _folders

    assert _folders(names, Path("out")) == [Path("out") / f for f in folders]


class Picky(BandEnergy):
    """Has no memory for more than one clip, or fails on clips of 0.2 s."""

    def __init__(self, act):
        super().__init__()
        self.act = act

    def forward(self, waveform):
        self.act(waveform)
        return super().forward(waveform)


def picky(act):
    return otoscope.wrap(Picky(act), sample_rate=RATE, labels=["tone", "decoy", "nothing"], name="picky", check=False)


def test_only_the_sound_that_is_to_blame_fails(wav, tmp_path):
    def act(waveform):
        if waveform.shape[1] == 1600:
            raise ValueError("1600 is my bad number")

    files = [wav("a.wav"), wav("b.wav", seconds=0.2), wav("c.wav")]
    outcomes = list(explain_files(files, picky(act), request(), tmp_path / "out"))
    assert [o.error is None for o in outcomes] == [True, False, True]
    assert "1600 is my bad number" in str(outcomes[1].error)


def test_too_large_a_batch_is_tried_again_one_by_one(wav, tmp_path):
    def act(waveform):
        if len(waveform) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")

    files = [wav("a.wav"), wav("b.wav")]
    assert all(o.error is None for o in explain_files(files, picky(act), request(), tmp_path / "out"))


def test_no_memory_at_all_is_told_for_each(wav, tmp_path):
    def act(waveform):
        raise torch.OutOfMemoryError("CUDA out of memory")

    outcomes = list(explain_files([wav("a.wav"), wav("b.wav")], picky(act), request(), tmp_path / "out"))
    assert all(isinstance(o.error, DeviceMemoryError) for o in outcomes)
    assert not (tmp_path / "out").exists()


def test_a_target_that_is_not_there_fails_each(wav, tmp_path):
    outcomes = list(explain_files([wav("a.wav")], band_energy(), request(target="x"), tmp_path / "out"))
    assert isinstance(outcomes[0].error, UnknownNameError)


def test_files_are_let_go_of_even_when_the_reader_stops(wav, tmp_path, monkeypatch):
    closed, close = [], FileSource.close

    def watched(self):
        closed.append(self.source)
        close(self)

    monkeypatch.setattr(FileSource, "close", watched)
    path = wav("long.wav", seconds=61.0)
    outcomes = explain_files([path], band_energy(), request(), tmp_path / "out")
    next(outcomes)
    outcomes.close()
    assert str(path) in closed


def test_no_input_is_overwritten_by_another_ones_results(tmp_path, monkeypatch):
    import numpy as np
    import soundfile

    from otoscope.core.errors import WriteError
    from otoscope.explanation.many import explain_files
    from otoscope.explanation.request import make_request
    from worlds import RATE, band_energy, tone_and_decoy

    (tmp_path / "dog").mkdir()
    for name in ("dog.wav", "dog/kept.wav"):
        soundfile.write(tmp_path / name, tone_and_decoy(0.2), RATE, subtype="FLOAT")
    before = (tmp_path / "dog" / "kept.wav").read_bytes()
    request = make_request("input_x_gradient", "mel", "positive", 0, 0, 4)
    files = [tmp_path / "dog.wav", tmp_path / "dog" / "kept.wav"]
    with pytest.raises(WriteError, match="one of the sounds to be explained"):
        list(explain_files(files, band_energy(), request, tmp_path))
    assert (tmp_path / "dog" / "kept.wav").read_bytes() == before
    assert np.isfinite(soundfile.read(files[1])[0]).all()


def test_several_requests_have_a_folder_each_and_one_page(wav, tmp_path):
    asked = [request(), dataclasses.replace(request(), seed=1)]
    outcomes = list(explain_files([wav("a.wav"), wav("b.wav")], band_energy(), asked, tmp_path / "out"))
    assert [o.error for o in outcomes] == [None] * 4
    (first, second) = sorted(p.name for p in (tmp_path / "out" / "a").iterdir() if p.is_dir())
    assert second == f"{first.removesuffix('-1')}-2"
    for stem in "ab":
        page = (tmp_path / "out" / stem / "comparison.html").read_text()
        assert f"{first}/report.html" in page
        assert f"{second}/report.html" in page


def test_another_explanation_is_not_replaced_without_a_word(wav, tmp_path):
    file, out = wav("a.wav"), tmp_path / "out"
    list(explain_files([file], band_energy(), request(), out))
    kept = (out / "a" / "explanation.json").read_bytes()
    list(explain_files([file], band_energy(), request(), out))  # the same again
    other = request(target="decoy")
    with pytest.raises(WriteError, match=r"another explanation is there .*--overwrite"):
        list(explain_files([file], band_energy(), other, out))
    assert (out / "a" / "explanation.json").read_bytes() != b""
    assert json.loads(kept)["target"]["asked"] is None
    list(explain_files([file], band_energy(), other, out, overwrite=True))
    assert json.loads((out / "a" / "explanation.json").read_text())["target"]["asked"] == "decoy"


def test_another_sound_of_the_same_name_is_not_replaced(wav, tmp_path):
    for folder in "xy":
        (tmp_path / folder).mkdir()
    first, second = wav("x/a.wav"), wav("y/a.wav", hz=2000)
    list(explain_files([first], band_energy(), request(), tmp_path / "out"))
    with pytest.raises(WriteError, match="another explanation is there"):
        list(explain_files([second], band_energy(), request(), tmp_path / "out"))
