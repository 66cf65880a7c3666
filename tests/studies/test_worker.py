"""Rows of chunks: what they hold, and what failures become."""

import math
import shutil

import pytest

import otoscope
from otoscope.core.errors import OtoscopeError
from otoscope.studies import load_study, run_study, worker
from study_worlds import rows_of


def test_rows_hold_what_explain_says(done):
    """The same numbers by the front door: scores in the domain, as heard, and the metrics."""
    recipe, out, _, _ = done
    row = next(
        r for r in rows_of(out)
        if (r["condition"], r["domain"], r["mask"], r["method"]) == ("clean", "mel,bands=16,ms=100.0", "topk:0.3", "gradient")
    )  # fmt: skip
    path = f"{recipe.data.root}/audio/{row['clip']}"
    from worlds import band_energy

    made = otoscope.explain(
        path,
        band_energy(),
        method="gradient",
        domain="mel,bands=16,ms=100",
        mask="topk:0.3",
        target=row["target"],
        seed=3,
    )
    scores, heard = made.scores.of(row["target"]), made.heard.of(row["target"])
    assert [row[k] for k in ("original", "kept", "removed")] == pytest.approx(list(scores.values()), abs=1e-5)
    assert [row[f"heard_{k}"] for k in ("original", "kept", "removed")] == pytest.approx(list(heard.values()), abs=1e-5)
    metrics = made.metrics()
    for name, value in metrics.items():
        assert row[name] == pytest.approx(value, abs=1e-4, nan_ok=True), name


def test_size_of_batches_does_not_matter(done, tmp_path):
    recipe, out, _, _ = done
    other = recipe.replace(out=str(tmp_path / "other"), batch_size=1, chunk=4)
    run_study(other, "cpu")
    rows = {
        tuple(r[k] for k in ("clip", "condition", "method", "domain", "mask")): r for r in rows_of(tmp_path / "other")
    }
    for row in rows_of(out):
        twin = rows[tuple(row[k] for k in ("clip", "condition", "method", "domain", "mask"))]
        for name in ("kept", "removed", "heard_kept", "faithfulness", "deletion_auc"):
            assert row[name] == pytest.approx(twin[name], abs=1e-4), name


def test_a_clip_that_cannot_be_read_is_rows_of_failures(corpus, grid, tmp_path):
    root = tmp_path / "esc"
    shutil.copytree(corpus, root)
    (root / "audio" / "1-2.wav").write_bytes(b"RIFF no sound at all")
    recipe = load_study(grid, [f"out={tmp_path / 'out'}", f"data.root={root}"])
    about = run_study(recipe, "cpu")
    rows = rows_of(tmp_path / "out")
    bad = [r for r in rows if r["status"] == "failed"]
    assert about["failed"] == len(bad) == 2 * 3 * 3
    assert {r["clip"] for r in bad} == {"1-2.wav"}
    assert all("cannot read" in r["error"] and math.isnan(r["kept"]) for r in bad)
    assert len(rows) == 54


def test_a_clip_on_which_the_method_fails_is_a_failure_and_the_others_are_not(done, tmp_path, monkeypatch):
    recipe, _, _, _ = done

    class Fuse(worker.Pipeline):
        def _explained(self):
            if len(self.clips) > 1 or float(self.inspected.waveform[0, 0]) > 0:
                raise OtoscopeError("too much for me")
            return super()._explained()

    monkeypatch.setattr(worker, "Pipeline", Fuse)
    about = run_study(recipe.replace(out=str(tmp_path / "out")), "cpu")
    assert 0 < about["failed"] < about["rows"]


def test_any_error_of_a_method_is_a_row(done, tmp_path, monkeypatch):
    recipe, _, _, _ = done

    class Broken(worker.Pipeline):
        def _explained(self):
            raise ZeroDivisionError("a third party's")

    monkeypatch.setattr(worker, "Pipeline", Broken)
    about = run_study(recipe.replace(out=str(tmp_path / "out")), "cpu")
    assert about["failed"] == about["rows"]
    assert rows_of(tmp_path / "out")[0]["error"] == "ZeroDivisionError: a third party's"


def test_a_broken_clip_with_labels_beside_it_fails_alone(corpus, grid, tmp_path):
    root = tmp_path / "esc"
    shutil.copytree(corpus, root)
    (root / "audio" / "1-2.wav").write_bytes(b"RIFF no sound at all")
    (root / "audio" / "1-2.txt").write_text("0.1\t0.2\ttone\n")
    about = run_study(load_study(grid, [f"out={tmp_path / 'out'}", f"data.root={root}"]), "cpu")
    assert about["failed"] == 2 * 3 * 3
