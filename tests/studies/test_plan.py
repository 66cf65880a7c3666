"""The plan: which clips, targets, domains and entries."""

import pytest

from otoscope.core.errors import ParameterError, UnknownNameError
from otoscope.studies import load_study, run_study
from otoscope.studies.plan import Plan
from study_worlds import recipe_out


def test_numbers_that_names_could_be_are_told_apart_from_them(grid, tmp_path):
    text = (
        grid.read_text()
        .replace("  ears: {model", "  1: {model")
        .replace("domains: [", "  '1': {model: a}\ndomains: [", 1)
    )
    (tmp_path / "twice.yaml").write_text(text)
    with pytest.raises(ParameterError, match="classifiers names an entry twice"):
        load_study(tmp_path / "twice.yaml")
    named = grid.read_text().replace("  ears: {model", "  1: {title: Ears, model").replace(", title: Ears}", "}", 1)
    (tmp_path / "one.yaml").write_text(named)
    recipe = load_study(tmp_path / "one.yaml", ["classifiers.1.model=worlds:spectral"])
    assert list(recipe.classifiers) == ["1"]
    assert (recipe.classifiers["1"].model, recipe.classifiers["1"].title) == ("worlds:spectral", "Ears")


def test_mixtures_go_to_the_condition_of_their_level(mixed):
    _, about, rows = mixed
    assert about["failed"] == 0
    assert {(r["condition"], r["snr_db"]) for r in rows} == {("zero", 0.0), ("ten", 10.0)}


def test_clips_whose_sound_alone_nobody_knows_are_left_out(mixed):
    recipe, _, _ = mixed
    plan = Plan(recipe.replace(data=recipe.data.replace(alone=0.999)), recipe_out(recipe), "cpu")
    assert len(plan.clips_of("zero")) == 2
    sure = [plan._probability_alone("ears", plan.examples[i]) for i in plan.clips_of("zero")]
    assert len(plan.clips_of("zero", "ears")) == sum(p >= 0.999 for p in sure)


def test_the_transposed_map_is_asked_for_by_name(grid, tmp_path):
    settings = [
        "compat=[transposed_cam]",
        "methods.cam={method: grad_cam}",
        f"out={tmp_path / 'out'}",
        "classifiers.ears.model=worlds:spectral",
    ]
    recipe = load_study(grid, settings)
    plan = Plan(recipe, tmp_path / "out", "cpu")
    assert {a.method for a in plan.runs if a.name == "cam"} == {"grad_cam,transposed=True"}


def test_a_method_can_be_scored_in_another_domain_of_the_same_grid(grid, tmp_path):
    more = ["classifiers.ears.model=worlds:spectral", "target=predicted", "masks=[minmax]"]
    hidden = "methods={lime: {method: 'lime,samples=20', domains: ['superpixels,of=features,hidden=mean'], scored_in: features}}"
    recipe = load_study(grid, [*more, hidden, f"out={tmp_path / 'out'}"])
    recipe = recipe.replace(conditions={"clean": recipe.conditions["clean"]}, methods={"lime": recipe.methods["lime"]})
    about = run_study(recipe, "cpu")
    assert about["failed"] == 0
    wrong = {"lime": recipe.methods["lime"].replace(scored_in="mel")}
    with pytest.raises(ParameterError, match="needs the same grid"):
        run_study(recipe.replace(methods=wrong, out=str(tmp_path / "wrong")), "cpu")


def test_entries_whose_rows_could_not_be_told_apart_are_refused(grid, tmp_path):
    with pytest.raises(ParameterError, match="'gradient' and 'again'"):
        Plan(load_study(grid, ["methods.again={method: gradient, masks: [binary]}"]), tmp_path, "cpu")


def test_misspelled_classes_are_refused(grid, tmp_path):
    with pytest.raises(UnknownNameError, match="tnoe"):
        run_study(load_study(grid, ["conditions.cue.without=[tnoe]", f"out={tmp_path / 'x'}"]), "cpu")
