"""Recipes of studies."""

import pytest

from otoscope.recipes.find import LIBRARY
from otoscope.studies import load_study

RECIPES = sorted(LIBRARY.rglob("studies/*.yaml"))


@pytest.mark.parametrize(
    "file",
    [f for f in RECIPES if f.stem not in ("masks", "methods", "truth", "planted", "sounds")],
    ids=lambda f: f.stem,
)
def test_every_shipped_study_is_a_recipe(file):
    recipe = load_study(file)
    assert recipe.classifiers
    assert recipe.methods
