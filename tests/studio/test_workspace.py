"""Jobs and what is open."""

from __future__ import annotations

import threading

import pytest

from otoscope.core.errors import OtoscopeError, ParameterError, WriteError
from otoscope.datasets import load_dataset
from otoscope.studio import Workspace
from otoscope.studio.workspace import BackgroundJob, BusyError


def test_a_job_tells_how_far_it_is():
    go, at = threading.Event(), threading.Event()

    def work(job):
        job.step(3, 0.5)
        at.set()
        go.wait(10)

    job = BackgroundJob("counting", 5)
    job.start(work)
    at.wait(10)
    assert job.row() == {"name": "counting", "total": 5, "done": 3, "loss": 0.5, "state": "running", "error": ""}
    go.set()
    job.wait(10)
    assert job.state == "done"


def test_a_job_is_cancelled_or_fails_in_words(caplog):
    def until_told(job):
        while not job.step(1, 0.0):
            pass
        raise OtoscopeError("stopped")

    job = BackgroundJob("counting", 5)
    job.start(until_told)
    job.cancel()
    job.wait(10)
    assert (job.state, job.error) == ("cancelled", "")

    def ours(job):
        raise OtoscopeError("lower lr")

    def foreign(job):
        raise ZeroDivisionError("no")

    found = []
    for work in (ours, foreign):
        job = BackgroundJob("counting", 5)
        job.start(work)
        job.wait(10)
        found.append((job.state, job.error))
    assert found[0] == ("failed", "lower lr")
    assert found[1] == ("failed", "unexpected ZeroDivisionError: no; see the log of the studio in the terminal")
    assert "ZeroDivisionError" in caplog.text


def test_one_job_at_a_time(workspace):
    go = threading.Event()
    workspace.begin("the first", 1, lambda job: go.wait(10))
    assert workspace.busy
    with pytest.raises(BusyError, match="the first is running; wait for it or cancel it, then try again"):
        workspace.begin("the second", 1, lambda job: None)
    go.set()
    workspace.job.wait(10)
    assert workspace.begin("the second", 1, lambda job: None).name == "the second"


def test_what_is_opened_is_made_once(workspace):
    class Kept:
        closed = 0

        def close(self):
            self.closed += 1

    kept = workspace.opened("kept", lambda w: Kept())
    assert workspace.opened("kept", lambda w: Kept()) is kept
    assert workspace.counts() == {"training": 9, "validation": 9}
    workspace.close()
    workspace.close()
    assert kept.closed == 1


def test_what_cannot_be_opened(tones, tmp_path):
    model, folder = tones
    data = load_dataset("folder", folder)
    with pytest.raises(ParameterError, match="the studio needs training clips; give --data and --root"):
        Workspace(model, {"test": data}, tmp_path)
    with pytest.raises(ParameterError, match="clips are training, validation, test; got extra"):
        Workspace(model, {"training": data, "extra": data}, tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match="choose another folder"):
        Workspace(model, {"training": data}, tmp_path / "file" / "folder")


def test_a_job_that_ends_in_any_way_is_not_running_any_more(workspace):
    class Ends(BaseException):
        pass

    def work(job):
        raise Ends("somehow")

    job = workspace.begin("something", 1, work)
    job.wait(30)
    assert job.row()["state"] == "failed"
    assert "Ends" in job.row()["error"]
    assert not workspace.busy
