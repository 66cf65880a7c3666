"""Sessions: edits that are kept, undone and continued."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys

import pytest
import torch

import otoscope
from otoscope.core.errors import OtoscopeError, ParameterError, UnknownNameError, UnsupportedError, WriteError
from otoscope.prototypes import Session, TuneSettings, accuracy, add, delete, list_prototypes, rename, tune
from otoscope.prototypes import session as module
from otoscope.prototypes.session_file import EDITS, weights_digest


def ids(version):
    return [p.id for p in list_prototypes(version.classifier)]


def same(a, b):
    return weights_digest(a) == weights_digest(b)


def lines(folder):
    return [json.loads(line) for line in (folder / EDITS).read_text().splitlines()]


TUNING = {"edit": "tune", "epochs": 2, "lr": 0.01}


def test_edits_are_those_of_the_functions(tones, tmp_path):
    model, clips = tones
    with Session(model, clips, tmp_path / "s") as session:
        assert session.current.number == 0
        session.apply({"edit": "delete", "ids": ["p1", "p6"]})
        session.apply({"edit": "rename", "id": "p2", "name": "whistle"})
        session.apply({"edit": "add", "clip": "low-3.wav", "name": "hum"})
        last = session.apply(TUNING)
        expected = rename(delete(model, ["p1", "p6"]), "p2", "whistle")
        expected = add(expected, clips.maps[9], 1, "p7", "hum", "low-3.wav")
        expected = tune(expected, clips, TuneSettings(epochs=2, lr=0.01))
        assert same(last.classifier, expected)
        assert ids(last) == ["p2", "p3", "p4", "p5", "p7"]
        assert [e["edit"] for e in session.history] == ["delete", "rename", "add", "tune"]
        assert [e["number"] for e in session.history] == [1, 2, 3, 5]  # line 4 says that the tuning began
    written = lines(tmp_path / "s")
    assert written[0]["weights"] == weights_digest(model)
    assert [line.get("edit") for line in written[1:]] == ["delete", "rename", "add", "begin tune", "tune"]
    assert written[5]["result"] == weights_digest(expected)


def test_undo_and_redo_without_end(tones, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "KEPT", 3)
    model, clips = tones
    with Session(model, clips, tmp_path / "s") as session:
        seen = [session.current]
        for n in range(12):
            seen.append(session.apply({"edit": "rename", "id": "p2", "name": f"name {n}"}))
        session.apply({"edit": "delete", "ids": ["p5"]})
        for version in reversed(seen):
            assert same(session.undo().classifier, version.classifier)
        assert session.current.number == 0
        with pytest.raises(ParameterError, match="there is no edit to undo"):
            session.undo()
        for version in seen[1:]:
            assert same(session.redo().classifier, version.classifier)
        assert ids(session.redo()) == ["p1", "p2", "p3", "p4", "p6"]
        with pytest.raises(ParameterError, match="there is no edit to redo"):
            session.redo()
        session.undo()
        session.apply({"edit": "delete", "ids": ["p3"]})  # another way: what was undone is gone
        assert not session.can_redo
        assert ids(session.version(session.history[3]["number"])) == ["p1", "p2", "p3", "p4", "p5", "p6"]
        with pytest.raises(ParameterError, match=r"version 13 is not in the history"):
            session.version(13)


def test_a_session_is_continued_where_it_was(tones, tmp_path):
    model, clips = tones
    folder = tmp_path / "s"
    with Session(model, clips, folder) as session:
        session.apply({"edit": "delete", "ids": ["p1"]})
        session.apply(TUNING)
        session.apply({"edit": "add", "clip": "high-1.wav"})
        session.undo()
        expected = session.current.classifier
    with Session(model, clips, folder) as again:
        assert same(again.current.classifier, expected)
        assert again.can_redo
        assert ids(again.redo())[-1] == "p7"
        again.undo()
        assert ids(again.apply({"edit": "add", "clip": "high-2.wav"}))[-1] == "p8"  # an identity is never used twice


@pytest.mark.parametrize("damage", ["missing", "damaged", "another"])
def test_tuned_weights_that_were_lost_are_made_again(tones, tmp_path, damage):
    model, clips = tones
    folder = tmp_path / "s"
    with Session(model, clips, folder) as session:
        session.apply(TUNING)
        first = weights_digest(session.current.classifier)
        session.apply({"edit": "delete", "ids": ["p1"]})
        session.apply(TUNING)
        expected = weights_digest(session.current.classifier)
    kept, other = folder / "tuned-2.safetensors", folder / "tuned-5.safetensors"
    assert kept.is_file()
    {
        "missing": kept.unlink,
        "damaged": lambda: kept.write_bytes(b"x"),
        "another": lambda: kept.write_bytes(other.read_bytes()),
    }[damage]()
    with Session(model, clips, folder) as again:
        assert weights_digest(again.version(2).classifier) == first
        assert weights_digest(again.current.classifier) == expected


def test_a_last_line_without_its_end_counts_if_it_is_whole(tones, tmp_path):
    """As some editors leave it."""
    model, clips = tones
    folder = tmp_path / "s"
    with Session(model, clips, folder) as session:
        session.apply({"edit": "delete", "ids": ["p1"]})
    content = (folder / EDITS).read_bytes()
    (folder / EDITS).write_bytes(content.rstrip(b"\n"))
    with Session(model, clips, folder) as again:
        assert ids(again.current) == ["p2", "p3", "p4", "p5", "p6"]
        again.undo()
    assert (folder / EDITS).read_bytes().startswith(content)
    other = b'{"mine": 1}\n{"not": "a session"}'
    (folder / EDITS).write_bytes(other)
    with pytest.raises(OtoscopeError, match="is not a session of prototypes"):
        Session(model, clips, folder)
    assert (folder / EDITS).read_bytes() == other


def test_a_crash_in_the_middle_of_a_line_loses_that_line_alone(tones, tmp_path):
    model, clips = tones
    folder = tmp_path / "s"
    with Session(model, clips, folder) as session:
        session.apply({"edit": "delete", "ids": ["p1"]})
    with (folder / EDITS).open("a") as file:
        file.write('{"edit": "delete", "ids": ["p')
    with Session(model, clips, folder) as again:
        assert ids(again.current) == ["p2", "p3", "p4", "p5", "p6"]
        again.apply({"edit": "delete", "ids": ["p3"]})
    with Session(model, clips, folder) as again:
        assert ids(again.current) == ["p2", "p4", "p5", "p6"]


def test_a_tuning_that_was_killed_is_told(tones, tmp_path):
    model, clips = tones
    folder = tmp_path / "s"
    with Session(model, clips, folder) as session, pytest.raises(OtoscopeError, match="the tuning was stopped"):
        session.apply(TUNING, lambda epoch, loss: True)
    with Session(model, clips, folder) as session:
        assert session.interrupted is None  # it was stopped by hand
        assert session.current.number == 0
    with (folder / EDITS).open("a") as file:
        file.write('{"edit": "begin tune", "epochs": 7}\n')
    with Session(model, clips, folder) as session:
        assert session.interrupted == {"epochs": 7}
        session.apply(TUNING)
        assert session.interrupted is None
        assert session.current.number == 5


@pytest.mark.parametrize(
    ("edit", "error", "said"),
    [
        ({"edit": "explode"}, UnknownNameError, "unknown edit 'explode'"),
        ({}, UnknownNameError, "unknown edit 'None'"),
        ({"edit": "delete", "ids": ["p3", "p4"]}, ParameterError, "class low would be left without"),
        ({"edit": "delete"}, ParameterError, "delete needs a list of ids of prototypes"),
        ({"edit": "delete", "ids": ["p1"], "force": True}, UnknownNameError, "unknown setting of delete 'force'"),
        ({"edit": "add", "clip": "../../etc/passwd"}, UnknownNameError, "unknown training clip"),
        ({"edit": "add"}, UnknownNameError, "unknown training clip 'None'"),
        ({"edit": "merge", "ids": {"p1": 1, "p2": 2}}, ParameterError, "merge needs a list of ids"),
        ({"edit": "delete", "ids": [{}]}, ParameterError, "delete needs a list of ids"),
        ({"edit": "delete", "ids": 5}, ParameterError, "delete needs a list of ids"),
        ({"edit": "rename", "id": [], "name": "x"}, ParameterError, "rename needs the id of a prototype and a name"),
        ({"edit": "add", "clip": "low-3.wav", "id": "../p"}, UnknownNameError, "unknown setting of add 'id'"),
        ({"edit": "add", "place": 99}, UnknownNameError, "unknown training clip"),
        ({"edit": "add", "place": True}, UnknownNameError, "unknown training clip"),
        ({"edit": "rename", "id": "p1", "name": ""}, ParameterError, "a name is a text of 1 to 80"),
        ({"edit": "tune", "epochs": 10**9}, ParameterError, "epochs must be int from 1 to 1000"),
    ],
)
def test_edits_that_are_not_possible_leave_no_line(tones, tmp_path, edit, error, said):
    model, clips = tones
    with Session(model, clips, tmp_path / "s") as session:
        with pytest.raises(error, match=said):
            session.apply(edit)
        assert session.number == 0
    assert len(lines(tmp_path / "s")) == 1


def test_validation_and_the_one_test(tones, tmp_path):
    model, clips = tones
    folder = tmp_path / "s"
    half = type(clips)(clips.examples[::2], clips.maps[::2], clips.targets[::2])
    with Session(model, clips, folder, validation=half, test=clips) as session:
        session.apply({"edit": "delete", "ids": ["p1", "p3"]})
        assert session.evaluate() == accuracy(session.current.classifier.network, half)
        assert session.evaluate(0) == accuracy(model.network, half)
        assert session.tested == []
        assert session.evaluate_test() == accuracy(session.current.classifier.network, clips)
        session.undo()
    with Session(model, clips, folder, validation=half, test=clips) as session:
        assert session.tested[0]["clips"] == 18
        with pytest.raises(ParameterError, match=r"the test clips were used after line 2; a second number"):
            session.evaluate_test()
    with Session(model, clips, tmp_path / "t") as session:
        with pytest.raises(ParameterError, match="there are no validation clips"):
            session.evaluate()
        with pytest.raises(ParameterError, match="there are no test clips"):
            session.evaluate_test()


def test_clips_of_one_name_are_told_apart_by_their_place(tones, tmp_path):
    model, clips = tones
    same = [
        dataclasses.replace(e, path=e.path.with_name("1.wav")) if i in (4, 9, 15) else e
        for i, e in enumerate(clips.examples)
    ]
    twice = type(clips)(tuple(same), clips.maps, clips.targets)
    with Session(model, twice, tmp_path / "s") as session:
        with pytest.raises(
            ParameterError, match=r"3 training clips are called '1\.wav'; give the place of one in the list"
        ):
            session.apply({"edit": "add", "clip": "1.wav"})
        made = session.apply({"edit": "add", "clip": "1.wav", "place": 15}).classifier
        torch.testing.assert_close(made.network.prototypes.maps[-1], clips.maps[15])
        assert made.network.out.weight[:, -1].argmax() == clips.targets[15] == 2
        with pytest.raises(UnknownNameError, match=r"unknown training clip '1\.wav \(3\)'"):
            session.apply({"edit": "add", "clip": "1.wav", "place": 3})


def test_a_thousand_edits_are_opened_again(tones, tmp_path, monkeypatch):
    model, clips = tones
    with Session(model, clips, tmp_path / "s") as session:
        session.apply({"edit": "rename", "id": "p1", "name": "a name"})
        digest = weights_digest(session.current.classifier)
    line = json.dumps({"edit": "rename", "id": "p1", "name": "a name", "result": digest}) + "\n"
    with (tmp_path / "s" / EDITS).open("a") as file:
        file.write(1200 * line)
    made = rename(model, "p1", "a name")
    monkeypatch.setattr(module, "make_edit", lambda before, line, training: made)
    with Session(model, clips, tmp_path / "s") as session:
        assert session.number == 1201
        assert weights_digest(session.current.classifier) == digest


def test_a_file_that_was_changed_is_not_believed(tones, tmp_path):
    model, clips = tones
    folder = tmp_path / "s"
    with Session(model, clips, folder) as session:
        session.apply({"edit": "delete", "ids": ["p1"]})
    text = (folder / EDITS).read_text()
    (folder / EDITS).write_text(text.replace('["p1"]', '["p3"]'))
    with (
        Session(model, clips, folder) as session,
        pytest.raises(OtoscopeError, match=r"line 2 \(delete\) gives other weights"),
    ):
        _ = session.current
    (folder / EDITS).write_text(text.replace(', "result"', ', "outcome"'))
    with pytest.raises(OtoscopeError, match="line 2 is damaged"):
        Session(model, clips, folder)


def test_validation_and_test_clips_stay_the_same(tones, tmp_path):
    model, clips = tones
    parts = [type(clips)(clips.examples[i::2], clips.maps[i::2], clips.targets[i::2]) for i in (0, 1)]
    Session(model, clips, tmp_path / "s", validation=parts[0], test=parts[1]).close()
    Session(model, clips, tmp_path / "s", validation=parts[0]).close()
    with pytest.raises(
        OtoscopeError, match="was made with other validation clips; give the same folds, or a new folder"
    ):
        Session(model, clips, tmp_path / "s", validation=parts[1], test=parts[0])


def test_a_disk_that_is_full_loses_the_edit_and_nothing_else(tones, tmp_path, monkeypatch):
    model, clips = tones
    folder = tmp_path / "s"
    with Session(model, clips, folder) as session:
        session.apply({"edit": "delete", "ids": ["p1"]})

        def full(_number):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(WriteError, match="No space left on device; the edit was not made"):
            session.apply({"edit": "delete", "ids": ["p3"]})
        monkeypatch.undo()
        assert session.number == 1
        session.apply({"edit": "rename", "id": "p3", "name": "still here"})
    with Session(model, clips, folder) as session:
        assert [line["edit"] for line in session.history] == ["delete", "rename"]


def test_networks_that_cannot_be_edited(tones, tmp_path):
    model, clips = tones
    network = model.network
    wrapped = otoscope.Classifier(network, sample_rate=8000, labels=model.labels, frontend=model.frontend)
    both = otoscope.Classifier(
        network, sample_rate=8000, labels=model.labels, frontend=model.frontend, multilabel=True, config=model.config
    )
    with pytest.raises(UnsupportedError, match="was wrapped, and only you know how to build it"):
        Session(wrapped, clips, tmp_path / "s")
    with pytest.raises(UnsupportedError, match="classes that exclude one another"):
        Session(both, clips, tmp_path / "s")
    broken = delete(model, ["p1"])
    broken.network.encoder.conv1.bias.data[0] = float("nan")
    with pytest.raises(UnsupportedError, match="hold NaN or infinity"):
        Session(broken, clips, tmp_path / "s")


def test_sessions_of_others_are_refused(tones, tmp_path):
    model, clips = tones
    folder = tmp_path / "s"
    Session(model, clips, folder).close()
    with pytest.raises(OtoscopeError, match="is the session of another model"):
        Session(delete(model, ["p1"]), clips, folder)
    fewer = type(clips)(clips.examples[1:], clips.maps[1:], clips.targets[1:])
    with pytest.raises(OtoscopeError, match="was made with other training clips; give the same data set and folds"):
        Session(model, fewer, folder)
    changed = type(clips)(clips.examples, clips.maps + 0.1, clips.targets)
    with pytest.raises(OtoscopeError, match="were files moved or changed"):
        Session(model, changed, folder)
    Session(model, clips, folder).close()  # a refused one is not left open


def test_a_session_that_is_open_elsewhere(tones, tmp_path):
    model, clips = tones
    folder = tmp_path / "s"
    with Session(model, clips, folder):
        program = f"import fcntl; fcntl.flock(open({str(folder / EDITS)!r}, 'a'), fcntl.LOCK_EX | fcntl.LOCK_NB)"
        found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        assert "BlockingIOError" in found.stderr
        with pytest.raises(
            OtoscopeError, match="is open in another process; close that studio, or choose another folder"
        ):
            Session(model, clips, folder)


def test_an_edit_is_on_disk_before_it_is_told(tones, tmp_path):
    model, clips = tones
    with Session(model, clips, tmp_path / "s") as session:
        session.apply({"edit": "delete", "ids": ["p1"]})
        assert lines(tmp_path / "s")[1]["ids"] == ["p1"]
        torch.testing.assert_close(
            session.current.classifier.network.prototypes.maps, model.network.prototypes.maps[1:]
        )
