"""Engines: killed, resumed, side by side."""

import os

import pytest

from otoscope.studies import run_study
from otoscope.studies.worker import Worker
from study_worlds import rows_of


def test_killed_and_run_again_nothing_is_lost_or_doubled(done, tmp_path, monkeypatch):
    recipe, out, _, _ = done
    stopped = recipe.replace(out=str(tmp_path / "stopped"))
    original, calls = Worker.rows, []

    def fuse(self, *arguments):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return original(self, *arguments)

    monkeypatch.setattr(Worker, "rows", fuse)
    with pytest.raises(KeyboardInterrupt):
        run_study(stopped, "cpu")
    assert len(list((tmp_path / "stopped" / "parts").iterdir())) == 3
    run_study(stopped, "cpu")
    assert [r["key"] for r in rows_of(tmp_path / "stopped")] == [r["key"] for r in rows_of(out)]


def test_workers_give_the_same_rows(done, tmp_path, monkeypatch):
    recipe, out, _, _ = done
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join([os.path.dirname(os.path.dirname(__file__)), os.environ.get("PYTHONPATH", "")])
    )
    run_study(recipe.replace(out=str(tmp_path / "many"), workers=2), "cpu")
    a, b = rows_of(out), rows_of(tmp_path / "many")
    assert [r["key"] for r in a] == [r["key"] for r in b]
    assert [r["kept"] for r in a] == pytest.approx([r["kept"] for r in b], abs=1e-6)


def test_a_worker_that_dies_is_replaced_and_its_rows_are_redone(done, tmp_path, monkeypatch):
    recipe, out, _, _ = done
    tests = os.path.dirname(os.path.dirname(__file__))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([tests, os.environ.get("PYTHONPATH", "")]))
    fuse = tmp_path / "fuse"
    fuse.write_text("")
    monkeypatch.setenv("OTOSCOPE_TEST_FUSE", str(fuse))
    deadly = recipe.classifiers["ears"].replace(model="worlds:mortal")
    run_study(recipe.replace(classifiers={"ears": deadly}, out=str(tmp_path / "many"), workers=1), "cpu")
    assert not fuse.exists()
    assert [r["kept"] for r in rows_of(tmp_path / "many")] == pytest.approx([r["kept"] for r in rows_of(out)], abs=1e-6)
