"""Recipes of the package are found by name, from any folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from otoscope.core.errors import OtoscopeError, ParameterError, UnknownNameError
from otoscope.recipes.find import LIBRARY, LIKE_TO_HEAR, STUDIES, about, find_recipe, is_in_library, recipe_names
from otoscope.training import load_recipe


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def named(name, *folders):
    return find_recipe(name, *folders).relative_to(LIBRARY).as_posix()


def test_names_and_last_parts():
    assert named("mn") == "mn.yaml"
    assert named("data/esc10") == named("esc10") == "data/esc10.yaml"
    assert named("esc10", LIKE_TO_HEAR) == "like-to-hear/esc10.yaml"
    assert named("mn", LIKE_TO_HEAR) == "like-to-hear/mn.yaml"
    assert named("first", STUDIES) == named("first") == "studies/first.yaml"
    assert named("passt-esc50") == "published/passt-esc50.yaml"
    assert named("tone") == "planted/tone.yaml"


def test_every_recipe_has_a_name_and_words():
    assert len(recipe_names()) > 40
    for name in recipe_names():
        assert named(name) == f"{name}.yaml"
        assert about(name)


def test_a_name_that_fits_several_is_refused():
    with pytest.raises(
        ParameterError, match=r"'tune' fits several recipes: like-to-hear/tune, published/like-to-hear/tune"
    ):
        find_recipe("tune")


def test_a_file_comes_first_and_a_folder_is_none():
    Path("mn").write_text("name: mine\n")
    assert load_recipe("mn").name == "mine"
    Path("esc10").mkdir()
    assert named("esc10") == "data/esc10.yaml"


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("mm", UnknownNameError, "unknown recipe 'mm'; did you mean 'mn'"),
        ("data/esc11", UnknownNameError, "did you mean 'data/esc10'"),
        (
            "recipes/mm.yaml",
            OtoscopeError,
            "cannot read the recipe recipes/mm.yaml: there is no such file; did you mean 'mn'",
        ),
        ("mn.yaml", OtoscopeError, "cannot read the recipe mn.yaml: there is no such file; did you mean 'mn'"),
        (Path("mn"), OtoscopeError, None),
        ("a\0b", OtoscopeError, None),
        ("", OtoscopeError, None),
    ],
)
def test_what_is_not_there_is_named_with_the_nearest(name, error, said):
    if name == Path("mn"):
        assert named(name) == "mn.yaml"
        return
    with pytest.raises(error, match=said):
        find_recipe(name)


def test_a_recipe_of_the_repository_is_still_found_with_a_warning():
    with pytest.warns(
        DeprecationWarning, match="recipes/data/esc10.yaml is in the package now and called 'data/esc10'"
    ):
        assert named("recipes/data/esc10.yaml") == "data/esc10.yaml"


def test_paths_of_the_package_belong_to_the_working_folder(tmp_path):
    recipe = load_recipe(["esc10-cnn", "esc10"])
    assert recipe.data.root == str(tmp_path / "data" / "esc50")
    assert recipe.teacher.model == str(tmp_path / "runs" / "mn" / "model")
    assert is_in_library(find_recipe("mn"))
    assert not is_in_library(tmp_path)


def test_ones_own_recipe_includes_one_of_the_package(tmp_path):
    (tmp_path / "own.yaml").write_text("include: [mn, data/esc10]\nname: own\ndata: {root: clips}\n")
    recipe = load_recipe(tmp_path / "own.yaml")
    assert (recipe.name, recipe.model.start, recipe.data.name) == ("own", "mn04_as", "esc50,esc10=true")
    assert recipe.data.root == str(tmp_path / "clips")
