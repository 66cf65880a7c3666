from pathlib import Path

import pytest

from otoscope.autoencoders import AutoencoderConfig
from otoscope.core import registry
from otoscope.core.errors import OtoscopeError, ParameterError, UnknownNameError
from otoscope.recipes.find import LIBRARY
from otoscope.recipes.read import read_content
from otoscope.training import load_recipe
from otoscope.training.autoencoder.settings import AutoencoderRecipe
from otoscope.training.autoencoder.task import SHAPES
from otoscope.training.classifier.task import architecture_of

SHIPPED = LIBRARY / "esc10-mn.yaml"


def write(tmp_path, text):
    file = tmp_path / "r.yaml"
    file.write_text(text)
    return file


RECIPES = sorted(SHIPPED.parent.rglob("*.yaml"))


def test_the_shipped_recipe_holds_out_fold_1():
    recipe = load_recipe(SHIPPED)
    assert recipe.data.test == (1,)
    assert recipe.data.name == "esc50,esc10=true"
    assert Path(recipe.data.root).is_absolute()


@pytest.mark.parametrize("file", RECIPES, ids=lambda f: str(f.relative_to(SHIPPED.parent)))
def test_every_shipped_recipe_is_a_recipe_for_a_network_and_data_that_exist(file):
    if "classifiers" in read_content(file) or file.parent.name == "studies":
        pytest.skip("a recipe of a study")
    recipe = load_recipe(file)
    if isinstance(recipe, AutoencoderRecipe):
        settings = recipe.autoencoder
        known = {"random", *registry.names("autoencoder")}
        assert settings.start in known or Path(settings.start).is_absolute()  # a folder that another run writes
        assert AutoencoderConfig.from_dict({**SHAPES[settings.shape].as_dict(), **settings.settings})
        assert (recipe.task == "tune") == (recipe.classifier.model in registry.names("classifier"))
    else:
        assert registry.parse("architecture", recipe.model.architecture)
    entry, _ = registry.parse("dataset", recipe.data.name)
    assert entry.name == recipe.data.name.split(",")[0]
    for architecture, settings in recipe.data.settings.items():
        assert registry.parse("architecture", ",".join([architecture, settings]))


@pytest.mark.parametrize("data", sorted((SHIPPED.parent / "data").glob("*.yaml")), ids=lambda f: f.stem)
@pytest.mark.parametrize("model", [f for f in RECIPES if f.parent == SHIPPED.parent], ids=lambda f: f.stem)
def test_every_network_goes_with_every_data_set(model, data):
    """As `otoscope train MODEL DATA` reads them; the settings fit the architecture."""
    recipe = load_recipe([model, data])
    entry, settings = architecture_of(recipe)
    assert entry.settings(settings) == settings


def test_a_recipe_on_top_wins_group_by_group(tmp_path):
    (tmp_path / "a.yaml").write_text("name: a\nseed: 1\noptimiser: {lr: 0.5, epochs: 4}")
    (tmp_path / "b.yaml").write_text("seed: 2\noptimiser: {epochs: 9}")
    recipe = load_recipe([tmp_path / "a.yaml", tmp_path / "b.yaml"])
    assert (recipe.name, recipe.seed, recipe.optimiser.lr, recipe.optimiser.epochs) == ("a", 2, 0.5, 9)


def test_what_is_included_lies_below_and_keeps_its_own_folder(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "data.yaml").write_text("seed: 5\ndata: {root: clips, seconds: 2}")
    recipe = load_recipe(write(tmp_path, "include: [deep/data.yaml]\nseed: 7\ndata: {seconds: 3}"))
    assert recipe.data.root == str(tmp_path / "deep" / "clips")
    assert (recipe.data.seconds, recipe.seed) == (3.0, 7)


def test_yaml_merges_are_no_repetition(tmp_path):
    text = "augment: &b {<<: &a {gain_db: 3, roll_s: 0.5}, gain_db: 4}\noptimiser: {epochs: 3}\nname: merged\n"
    recipe = load_recipe(write(tmp_path, text))
    assert (recipe.augment.gain_db, recipe.augment.roll_s) == (4, 0.5)
    again = "x: &a {k: 1}\n"
    with pytest.raises(UnknownNameError, match="'x'"):  # read, and only then refused
        load_recipe(write(tmp_path, again + "y: &b {<<: *a, k: 2}\nz: {<<: *b}\n"))


def test_a_recipe_that_includes_itself_is_refused(tmp_path):
    with pytest.raises(OtoscopeError, match="includes itself"):
        load_recipe(write(tmp_path, "include: [r.yaml]"))


def test_one_value_is_a_list_of_one(tmp_path):
    recipe = load_recipe(write(tmp_path, "data: {test: theo, validation: []}"), ["data.train=[1, b]"])
    assert (recipe.data.test, recipe.data.validation, recipe.data.train) == (("theo",), (), (1, "b"))


def test_paths_of_overrides_are_relative_to_the_working_folder(tmp_path, monkeypatch):
    (tmp_path / "deep").mkdir()
    file = write(tmp_path / "deep", "data: {root: there}")
    monkeypatch.chdir(tmp_path)
    assert load_recipe(file, ["data.root=here"]).data.root == str(tmp_path / "here")


def test_overrides_win_and_nest(tmp_path):
    recipe = load_recipe(
        write(tmp_path, "name: a\noptimiser: {lr: 1e-3, epochs: 5}"),
        ["optimiser.epochs=7", "seed=3", "teacher.logits=1"],
    )
    assert (recipe.optimiser.epochs, recipe.optimiser.lr, recipe.seed, recipe.teacher.logits) == (7, 1e-3, 3, 1.0)
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
        ("data: {train: {a: 1}}", [], ParameterError, "must be a list"),
        ("data: {test: [1.5]}", [], ParameterError, "a number or a name; got 1.5"),
        ("data: {test: [true]}", [], ParameterError, "a number or a name; got True"),
        ("data: {settings: mn}", [], ParameterError, "settings must be a group"),
        ("data: {seconds: 0}", [], ParameterError, r"seconds must lie in \[0.01, 600\]; got 0.0"),
        ("optimiser: {lr: -1}", [], ParameterError, "lr must lie in"),
        ("optimiser: {schedule: cosin}", [], UnknownNameError, "did you mean 'cosine'"),
        ("loggers: [tensorbord]", [], UnknownNameError, "did you mean 'tensorboard'"),
        ("folds: every", [], UnknownNameError, "unknown folds 'every'"),
        ("include: a.yaml", [], ParameterError, "include must be a list"),
        ("include: [nothing.yaml]", [], OtoscopeError, "cannot read the recipe .*nothing.yaml"),
        ("seed: true", [], ParameterError, "seed must be a int"),
        ("- a", [], OtoscopeError, "must be a mapping"),
        ("a: [", [], OtoscopeError, "not valid YAML"),
        ("seed: 1\nname: a\nseed: 2", [], OtoscopeError, "'seed' stands twice in one group.*line 3"),
        ("optimiser: {lr: 1, lr: 2}", [], OtoscopeError, "'lr' stands twice"),
        ("data: !!map [1, 2]", [], OtoscopeError, "not valid YAML"),
        ("name: a", ["seed"], ParameterError, "key=value"),
        ("name: a", ["name.x=1"], ParameterError, "not a group of settings"),
    ],
)
def test_bad_recipes(tmp_path, text, overrides, error, match):
    with pytest.raises(error, match=match):
        load_recipe(write(tmp_path, text), overrides)


def test_missing_recipe(tmp_path):
    with pytest.raises(OtoscopeError, match="cannot read the recipe"):
        load_recipe(tmp_path / "none.yaml")


# Recipes of autoencoders
