"""A study from its recipe to its rows: finished, refused, estimated."""

import json
import shutil

import pytest

from otoscope.core.errors import OtoscopeError, ParameterError, UnknownNameError, UnsupportedError
from otoscope.studies import load_study, run_study
from otoscope.studies.worker import Worker
from study_worlds import rows_of


def test_there_is_a_row_of_everything_and_each_key_once(done):
    _, out, about, _ = done
    rows = rows_of(out)
    assert len(rows) == about["rows"] == (4 + 2) * 3 * 3  # clips of both conditions, methods in domains, masks
    assert about["failed"] == 0
    assert len({row["key"] for row in rows}) == len(rows)
    assert {row["status"] for row in rows} == {"ok"}
    cues = [row for row in rows if row["condition"] == "cue"]
    assert {row["label"] for row in cues} == {"tone"}
    assert {row["target_label"] for row in cues} == {"decoy"}
    assert all(row["correct"] for row in rows if row["condition"] == "clean")


def test_a_finished_study_computes_nothing_again(done, monkeypatch):
    recipe, out, _, _ = done
    before = {f: f.stat().st_mtime_ns for f in (out / "parts").iterdir()}
    monkeypatch.setattr(Worker, "rows", lambda *a: pytest.fail("computed again"))
    run_study(recipe, "cpu")
    assert {f: f.stat().st_mtime_ns for f in (out / "parts").iterdir()} == before


def test_another_recipe_is_refused_unless_it_extends(done, tmp_path):
    recipe, out, _, _ = done
    copy = tmp_path / "copy"
    shutil.copytree(out, copy)
    more = recipe.replace(out=str(copy), masks=(*recipe.masks, "positive"))
    with pytest.raises(OtoscopeError, match="another recipe"):
        run_study(more, "cpu")
    about = run_study(more, "cpu", extend=True)
    assert about["rows"] == 6 * 3 * 4


def test_a_dry_run_writes_nothing_and_counts_passes(grid, tmp_path):
    lines: list[str] = []
    found = run_study(load_study(grid, [f"out={tmp_path / 'out'}"]), "cpu", dry_run=True, log=lines.append)
    assert not (tmp_path / "out").exists()
    each = (1 + 12 + 10 + 1) * 2 + (8 + 12 + 10 + 1)  # method, masks as scored and heard, curves, top; of three pairs
    assert found["estimate"]["passes"] == 6 * (each + 1)
    assert found["estimate"]["rows"] == 54
    assert "54 rows" in lines[-1]


def test_a_folder_of_a_training_is_not_taken(grid, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "recipe.json").write_text(json.dumps({"name": "planted-tone", "task": "classifier"}))
    with pytest.raises(OtoscopeError, match=r"holds a study of another recipe.*give out=FOLDER"):
        run_study(load_study(grid, [f"out={tmp_path}"]), "cpu")
    assert json.loads((tmp_path / "recipe.json").read_text())["name"] == "planted-tone"


def test_a_folder_that_cannot_be_written_is_found_before_the_rehearsal(grid, tmp_path, monkeypatch):
    from otoscope.studies import run

    monkeypatch.setattr(run, "rehearse", lambda *_: pytest.fail("rehearsed"))
    (tmp_path / "file").write_text("")
    with pytest.raises(OtoscopeError, match="choose another folder"):
        run_study(load_study(grid, [f"out={tmp_path / 'file' / 'out'}"]), "cpu")


def test_what_cannot_be_is_said_before_anything_runs(grid, tmp_path):
    out = f"out={tmp_path / 'out'}"
    wrong = {
        "methods.rise.method=rice": (UnknownNameError, "rice"),
        "methods.gradient.domains=[nowhere]": (UnknownNameError, "nowhere"),
        "masks=[]": (ParameterError, "at least one mask"),
        "masks=['topk:3']": (ParameterError, "keep"),
        "data.folds=[9]": (ParameterError, "folds"),
        "data.files=[x.wav]": (UnknownNameError, "x.wav"),
        "conditions.cue.target=cat": (ParameterError, "cat"),
        "conditions.cue.plant=banana": (UnknownNameError, "banana"),
        "compat=[everything]": (UnknownNameError, "everything"),
        "classifiers.ears.model=nobody": (OtoscopeError, "nobody"),
        "chunk=0": (ParameterError, "chunk"),
        "masks=['topk:0.2','topk:0.20']": (ParameterError, "are the same"),
        "domains=[time,'time,ms=100']": (ParameterError, "are the same"),
        'data.noises="\\0"': (ParameterError, "cannot be the name"),
        "data.labels=/not/there": (ParameterError, "not there"),
        "methods.o={method: 'oracle:ratio'}": (ParameterError, "a known stem"),
        "conditions.cue.plant='tone,hz=300000'": (ParameterError, "Nyquist"),
        "methods.rise.scored_in=mel": (ParameterError, "needs the same grid"),
        "seed=-1": (ParameterError, "seed"),
        "methods.gradient.domains=[features]": (UnsupportedError, "features"),
    }
    for setting, (error, words) in wrong.items():
        with pytest.raises(error, match=words):
            run_study(load_study(grid, [out, setting]), "cpu")
        assert not (tmp_path / "out").exists(), setting


def test_the_record_is_plain_and_names_no_folder_of_this_machine(done, corpus):
    _, out, _, _ = done
    text = (out / "study.json").read_text()
    assert "NaN" not in text
    assert str(corpus) not in text
    assert json.loads(text)["classifiers"]["ears"]["title"] == "Ears"
