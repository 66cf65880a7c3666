"""Engines: killed, resumed, side by side."""

import os

import pytest

from otoscope.studies import engines, run_study
from otoscope.studies.plan import Plan
from otoscope.studies.store import Jobs
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


def test_workers_give_the_same_rows_also_where_one_dies_and_is_replaced(done, tmp_path, monkeypatch):
    recipe, out, _, _ = done
    tests = os.path.dirname(os.path.dirname(__file__))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([tests, os.environ.get("PYTHONPATH", "")]))
    fuse = tmp_path / "fuse"
    fuse.write_text("")
    monkeypatch.setenv("OTOSCOPE_TEST_FUSE", str(fuse))
    deadly = recipe.classifiers["ears"].replace(model="worlds:mortal")
    run_study(recipe.replace(classifiers={"ears": deadly}, out=str(tmp_path / "many"), workers=2), "cpu")
    assert not fuse.exists()
    a, b = rows_of(out), rows_of(tmp_path / "many")
    assert [r["key"] for r in a] == [r["key"] for r in b]
    assert [r["kept"] for r in a] == pytest.approx([r["kept"] for r in b], abs=1e-6)


def test_a_worker_process_reports_its_passes(done, tmp_path, monkeypatch):
    recipe, _, _, _ = done
    (tmp_path / "other").mkdir()
    plan = Plan(recipe.replace(out=str(tmp_path / "other")), tmp_path / "other", "cpu")
    jobs = Jobs(plan)
    monkeypatch.setattr(engines, "_here", {"jobs": jobs, "worker": Worker(plan)})
    chunk, runs = next(iter(jobs.missing()))
    assert engines._work(chunk, [plan.runs.index(run) for run in runs]) > 0
