from pathlib import Path

import pytest

from otoscope.core.errors import OtoscopeError, ParameterError, UnknownNameError
from otoscope.training import load_recipe

SHIPPED = Path(__file__).parents[2] / "recipes" / "esc10-mn.yaml"


def write(tmp_path, text):
    file = tmp_path / "r.yaml"
    file.write_text(text)
    return file


def test_the_shipped_recipe_holds_out_fold_1():
    recipe = load_recipe(SHIPPED)
    assert recipe.data.train_folds == (2, 3, 4, 5)
    assert recipe.data.test_folds == (1,)
    assert recipe.data.esc10
    assert Path(recipe.data.root).is_absolute()


def test_overrides_win_and_nest(tmp_path):
    recipe = load_recipe(
        write(tmp_path, "name: a\noptimiser: {lr: 1e-3, epochs: 5}"), ["optimiser.epochs=7", "seed=3", "model.width=1"]
    )
    assert (recipe.optimiser.epochs, recipe.optimiser.lr, recipe.seed, recipe.model.width) == (7, 1e-3, 3, 1.0)
    assert recipe.out == "runs/a"


def test_an_override_without_value_empties_a_text(tmp_path):
    recipe = load_recipe(write(tmp_path, "teacher: {model: mn04_as}"), ["teacher.model="])
    assert recipe.teacher.model == ""


def test_paths_are_relative_to_the_recipe(tmp_path):
    recipe = load_recipe(write(tmp_path, "data: {root: here}\nteacher: {weights: w.pt}"))
    assert recipe.data.root == str(tmp_path / "here")
    assert recipe.teacher.weights == str(tmp_path / "w.pt")


@pytest.mark.parametrize(
    ("text", "overrides", "error", "match"),
    [
        ("optimizer: {lr: 1}", [], UnknownNameError, "did you mean 'optimiser'"),
        ("optimiser: {learning: 1}", [], UnknownNameError, "unknown setting"),
        ("optimiser: {epochs: many}", [], ParameterError, "epochs must be a int; got 'many'"),
        ("optimiser: {lr: fast}", [], ParameterError, "lr must be a float"),
        ("optimiser: 3", [], ParameterError, "optimiser must be a group"),
        ("data: {train_folds: 2}", [], ParameterError, "must be a list"),
        ("seed: true", [], ParameterError, "seed must be a int"),
        ("- a", [], OtoscopeError, "must be a mapping"),
        ("a: [", [], OtoscopeError, "not valid YAML"),
        ("name: a", ["seed"], ParameterError, "key=value"),
        ("name: a", ["name.x=1"], ParameterError, "no group of settings"),
    ],
)
def test_bad_recipes(tmp_path, text, overrides, error, match):
    with pytest.raises(error, match=match):
        load_recipe(write(tmp_path, text), overrides)


def test_missing_recipe(tmp_path):
    with pytest.raises(OtoscopeError, match="cannot read the recipe"):
        load_recipe(tmp_path / "none.yaml")
