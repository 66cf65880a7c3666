"""`otoscope train`: what is wrong with a recipe is said in one line."""

from __future__ import annotations


def test_a_missing_recipe(otoscope):
    run = otoscope("train", "missing.yaml")
    assert run.code == 2
    assert "missing.yaml" in run.error


def test_a_recipe_that_is_none(otoscope, tmp_path):
    for i, content in enumerate((b"", b"[1, 2]", b"a: [", b"\xff\xfe\x00", b"nonsense: 3\n")):
        recipe = tmp_path / f"{i}.yaml"
        recipe.write_bytes(content)
        run = otoscope("train", recipe)
        assert run.code == 2, content
        assert run.error.startswith("otoscope: ")


def test_a_folder_is_no_recipe(otoscope, tmp_path):
    assert otoscope("train", tmp_path).code == 2


def test_no_recipe(otoscope):
    run = otoscope("train")
    assert run.code == 2
    assert "RECIPE" in run.err


def test_an_override_that_is_none(otoscope, tmp_path):
    (tmp_path / "r.yaml").write_text("{}")
    for override in ("optimiser", "optimiser.epochs=[", "=3", "nonsense=1"):
        run = otoscope("train", tmp_path / "r.yaml", override)
        assert run.code == 2, override
        assert run.error.startswith("otoscope: ")
