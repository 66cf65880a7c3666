"""`check_dataset`: each kind of thing that can be wrong is found, and named."""

from __future__ import annotations

import shutil

import pytest

from otoscope.datasets import DatasetError
from otoscope.datasets.check import KINDS, check_dataset

HEAD = "file,label,fold,source"


@pytest.fixture
def root(tmp_path, put, table):
    for name in "abc":
        put(f"{name}.wav")
    table("metadata.csv", HEAD, "a.wav,dog,1,s1", "b.wav,dog,2,s2", "c.wav,cat,3,s3")
    return tmp_path


def kinds(report):
    return [(f.kind, f.what) for f in report.findings]


def test_all_is_well(root):
    report = check_dataset("folder", root)
    assert (report.clips, report.findings, report.notes) == (3, (), ())
    assert report.as_dict()["ok"] is True


def test_missing_extra_and_damaged(root, put):
    (root / "a.wav").unlink()
    put("sub/more.wav")
    put(".hidden/x.wav")
    (root / "b.wav").write_bytes((root / "b.wav").read_bytes()[:60])
    (root / "c.wav").write_bytes(b"no sound at all")
    report = check_dataset("folder", root)
    assert kinds(report) == [
        ("missing", "a.wav"),
        ("extra", "sub/more.wav"),
        ("damaged", "b.wav"),
        ("damaged", "c.wav"),
    ]
    assert "cut short" in report.findings[2].why
    assert kinds(check_dataset("folder", root, quick=True)) == [("missing", "a.wav"), ("extra", "sub/more.wav")]
    assert all(f.kind in KINDS for f in report.findings)


def test_an_empty_file_is_damaged(root):
    (root / "a.wav").write_bytes(b"")
    assert kinds(check_dataset("folder", root)) == [("damaged", "a.wav")]


def test_clips_outside_their_files(root, table):
    rows = ["a.wav,dog,1,s1,0,0.01", "b.wav,dog,2,s2,0.005,0.02", "c.wav,cat,3,s3,0.05,"]  # each lasts 0.01 s
    table("metadata.csv", f"{HEAD},start,end", *rows)
    report = check_dataset("folder", root)
    assert kinds(report) == [("times", "b.wav"), ("times", "c.wav")]
    assert report.findings[0].why == "0.005 s to 0.02 s, but it lasts 0.010 s"


def test_label_files_that_cannot_be_used(root):
    (root / "a.txt").write_text("0\t0.005\tdog\n")
    (root / "b.txt").write_text("from the start\tto the end\tdog\n")
    report = check_dataset("folder", root)
    assert kinds(report) == [("labels", "b.wav")]
    assert "b.txt" in report.findings[0].why
    assert kinds(check_dataset("folder", root, quick=True)) == []


def test_transcripts_beside_the_clips_are_a_note(root):
    for name in "abc":
        (root / f"{name}.txt").write_text("the quick brown fox\n")
    report = check_dataset("folder", root)
    assert report.findings == ()
    assert "the files next to 3 clips are not label files" in report.notes[0]


def test_duplicates(root, table):
    shutil.copy(root / "a.wav", root / "d.wav")
    shutil.copy(root / "a.wav", root / "e.wav")
    rows = ["a.wav,dog,1,s1", "b.wav,dog,2,s2", "c.wav,cat,3,s3", "d.wav,dog,2,s4"]
    table("metadata.csv", HEAD, *rows, "e.wav,dog,1,s5")
    report = check_dataset("folder", root)
    assert kinds(report) == [("duplicate", "d.wav")]
    assert report.findings[0].why == "the same content as a.wav (dog, fold 1); here dog, fold 2"
    assert report.notes == ("1 clips have the same content as another one of their class and fold",)


def test_a_source_in_two_folds(root, table):
    table("metadata.csv", HEAD, "a.wav,dog,1,s1", "b.wav,dog,2,s1", "c.wav,cat,3,s3")
    assert kinds(check_dataset("folder", root, quick=True)) == [("split", "s1")]


def test_mixed_rates_are_a_note_where_any_rate_is_right(root, put):
    put("a.wav", rate=16000)
    report = check_dataset("folder", root)
    assert report.findings == ()
    assert report.notes == ("sample rates: 8000 Hz (2 files), 16000 Hz (1 files)",)


def test_a_table_that_cannot_be_used_is_a_finding(root, table):
    table("metadata.csv", "file", "a.wav")
    report = check_dataset("folder", root)
    assert kinds(report) == [("table", "folder")]
    assert "no column 'label'" in report.findings[0].why


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("esc50", "give the folder that holds esc50, or fetch it with: otoscope data get esc50 --dir "),
        ("folder", "give a folder of clips, or a table of them"),
        ("instruments", "give the folder that holds instruments; it has no known download"),
        ("scenes", "make scenes with: otoscope data get scenes --dir "),
    ],
)
def test_a_folder_that_is_not_there(tmp_path, name, advice):
    with pytest.raises(DatasetError, match=f"is not there; {advice}"):
        check_dataset(name, tmp_path / "no")


def test_a_release_has_its_rate_and_its_number(tmp_path, put):
    for take in range(3):
        put(f"recordings/1_ann_{take}.wav", rate=16000 if take == 1 else 8000)
    report = check_dataset("fsdd", tmp_path)
    assert kinds(report) == [("rate", "recordings/1_ann_1.wav"), ("count", "fsdd")]
    assert report.findings[0].why == "16000 Hz; the release has 8000 Hz"
    assert report.findings[1].why == "3 clips in 10 classes; the release has 3000 in 10"


def test_background_noise_is_not_extra(tmp_path, put, table):
    table("validation_list.txt", "yes/1b_nohash_0.wav")
    table("testing_list.txt", "yes/2c_nohash_0.wav")
    for name in ("yes/1b_nohash_0.wav", "yes/2c_nohash_0.wav", "_background_noise_/n.wav"):
        put(name, rate=16000)
    assert kinds(check_dataset("speech-commands", tmp_path)) == [("count", "speech-commands")]


def test_a_part_of_a_release_has_no_extra_files(tmp_path, put, table):
    head = "filename,fold,target,category,esc10,src_file,take"
    table("meta/esc50.csv", head, "a.wav,1,0,dog,True,a,A", "b.wav,1,5,cat,False,b,A")
    for name in ("a.wav", "b.wav", "c.wav"):
        put(f"audio/{name}", rate=44100)
    report = check_dataset("esc50,esc10=true", tmp_path)
    assert kinds(report) == [("extra", "audio/c.wav"), ("count", "esc50")]
    assert report.findings[1].why.endswith("has 400 in 10")


def test_the_real_data(shared):
    for spec, folder in (("esc50,esc10=true", "esc10"), ("fsdd", "fsdd"), ("instruments", "instruments")):
        assert check_dataset(spec, shared(folder), quick=True).findings == ()


@pytest.mark.slow
def test_every_real_recording(shared, tmp_path):
    report = check_dataset("fsdd", shared("fsdd"))
    assert report.notes == ("every file is that of the release (SHA-256)",)
    root = shutil.copytree(shared("fsdd") / "recordings", tmp_path / "recordings").parent
    one = root / "recordings" / "3_theo_12.wav"
    raw = bytearray(one.read_bytes())
    raw[-1] ^= 1
    one.write_bytes(raw)
    assert kinds(check_dataset("fsdd", root)) == [("damaged", "fsdd")]
