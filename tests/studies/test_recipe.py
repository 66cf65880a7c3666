"""Recipes of studies."""

from pathlib import Path

import pytest

from otoscope.studies import load_study

RECIPES = sorted((Path(__file__).parents[2] / "recipes").rglob("studies/*.yaml"))


@pytest.mark.parametrize(
    "file", [f for f in RECIPES if f.stem not in ("methods", "truth", "planted")], ids=lambda f: f.stem
)
def test_every_shipped_study_is_a_recipe(file):
    recipe = load_study(file)
    assert recipe.classifiers
    assert recipe.methods
