"""A session again."""

from __future__ import annotations

import json

import pytest

from otoscope.core.errors import OtoscopeError
from otoscope.prototypes import Session, delete, replay
from otoscope.prototypes.session_file import EDITS, weights_digest


@pytest.fixture
def session(tones, tmp_path):
    model, clips = tones
    with Session(model, clips, tmp_path / "s", test=clips) as made:
        made.apply({"edit": "delete", "ids": ["p1", "p6"]})
        made.apply({"edit": "tune", "epochs": 2, "lr": 0.01})
        made.apply({"edit": "add", "clip": "low-3.wav", "name": "hum"})
        made.undo()
        made.redo()
        made.apply({"edit": "merge", "ids": ["p3", "p7"]})
        made.undo()
        made.evaluate_test()
        made.apply({"edit": "rename", "id": "p7", "name": "a low hum"})
        yield made


def test_the_same_weights_come_out(tones, session):
    model, clips = tones
    said = []
    for path in (session.folder, session.folder / EDITS):
        made = replay(model, clips, path, said.append)
        assert weights_digest(made) == weights_digest(session.current.classifier)
    assert said[:2] == ["line 2: delete: 4 prototypes", "line 4: tune: 4 prototypes"]
    for file in session.folder.glob("tuned-*"):
        file.unlink()  # they are not read
    assert weights_digest(replay(model, clips, session.folder)) == weights_digest(made)


def test_what_is_refused(tones, session, tmp_path):
    model, clips = tones
    with pytest.raises(
        OtoscopeError, match="is missing or empty; give the folder of a session, which `otoscope studio` writes"
    ):
        replay(model, clips, tmp_path / "nowhere")
    with pytest.raises(OtoscopeError, match="is the session of another model"):
        replay(delete(model, ["p1"]), clips, session.folder)
    path = tmp_path / "changed.jsonl"
    rows = [json.loads(line) for line in (session.folder / EDITS).read_text().splitlines()]
    rows[3]["lr"] = 0.02
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(OtoscopeError, match=r"line 4 \(tune\) gives other weights than it did in the session"):
        replay(model, clips, path)
    path.write_text("".join(json.dumps(row) + "\n" for row in [rows[0], {"edit": "undo"}]))
    with pytest.raises(OtoscopeError, match="line 2: there is nothing to undo"):
        replay(model, clips, path)
    path.write_text("".join(json.dumps(row) + "\n" for row in [rows[0], {"edit": "dance"}]))
    with pytest.raises(OtoscopeError, match="unknown edit 'dance'"):
        replay(model, clips, path)
    path.write_text("".join(json.dumps(row) + "\n" for row in [rows[0], {"edit": "add", "clip": "low-3.wav"}]))
    with pytest.raises(OtoscopeError, match="line 2 is damaged"):
        replay(model, clips, path)
