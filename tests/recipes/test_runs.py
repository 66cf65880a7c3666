"""The folder of a run: whose it is, and what is damaged."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest

from otoscope.core.errors import OtoscopeError, ParameterError
from otoscope.recipes.runs import ensure_same_recipe, made_here, out_folder, read_json, reserve


@dataclass
class Run:
    out: str
    settings: dict = field(default_factory=lambda: {"lr": 0.1, "folds": (1, 2)})

    def identity(self):
        return self.settings


def test_a_folder_belongs_to_the_recipe_that_began_in_it(tmp_path):
    run, other = Run(str(tmp_path / "run")), Run(str(tmp_path / "run"), {"lr": 0.2})
    out = out_folder(run)
    out.mkdir()
    reserve(out, run)
    ensure_same_recipe(out, other)  # nothing of the run is there yet
    (out / "last.ckpt").touch()
    ensure_same_recipe(out, run)
    with pytest.raises(OtoscopeError, match=r"holds a run of another recipe .* give out=FOLDER or move it away"):
        ensure_same_recipe(out, other)
    ensure_same_recipe(out, other, parts=("results.parquet",))


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "run").touch()
    with pytest.raises(ParameterError, match="is a file; give the study a folder of its own"):
        out_folder(Run(str(tmp_path / "run")), "study")


@pytest.mark.parametrize("text", ["", "[1]", "{", "[" * 100_000])
def test_damaged_records_are_named(tmp_path, text):
    (tmp_path / "recipe.json").write_text(text)
    with pytest.raises(OtoscopeError, match=r"recipe\.json is damaged"):
        read_json(tmp_path / "recipe.json")


def test_the_record_of_the_machine_is_plain():
    assert set(json.loads(json.dumps(made_here()))) == {"versions", "cpus", "machine"}
