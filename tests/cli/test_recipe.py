"""`otoscope recipe`: the recipes of the package, and the schema of a kind; recipes by name in the commands that take them."""

from __future__ import annotations

import pytest


def test_list(otoscope):
    run = otoscope("recipe", "list")
    assert run.code == 0
    assert "data/esc10" in run.out
    assert otoscope("recipe", "list", "--json").json["mn"].startswith("MN of width 0.4")


def test_show(otoscope):
    run = otoscope("recipe", "show", "first")
    assert run.code == 0
    assert "name: first" in run.out
    assert otoscope("recipe", "show", "frist").error.endswith("did you mean 'first'?")


@pytest.mark.parametrize("kind", ["train", "classifier", "pretrain", "tune", "study", "like-to-hear"])
def test_schema(otoscope, kind):
    schema = otoscope("recipe", "schema", kind).json
    assert schema["additionalProperties"] is False
    assert schema["properties"]["name"]["description"]


def test_an_unknown_kind_is_met_with_the_nearest(otoscope):
    run = otoscope("recipe", "schema", "studdy")
    assert run.code == 2
    assert run.error == "otoscope: unknown kind of recipe 'studdy'; did you mean 'study'?"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("train", "mn", "esc10", "data.root=nowhere"), "nowhere is not there"),
        (("train", "mn", "esc11"), "unknown recipe 'esc11'; did you mean 'esc10'"),
        (("train", "mn", "optimiser.epoch=1"), "unknown setting in optimiser 'epoch'; did you mean 'epochs'"),
        (("study", "first", "batch_size=0"), "batch_size must lie in"),
        (("study", "frist"), "did you mean 'first'?"),
        (("like-to-hear", "esc10", "data.root=nowhere"), "nowhere is not there"),
    ],
)
def test_names_work_in_an_empty_folder_and_errors_are_one_line(otoscope, arguments, said):
    run = otoscope(*arguments)
    assert run.code == 2
    assert said in run.error


def test_the_old_path_is_found_with_a_note(otoscope):
    run = otoscope("train", "recipes/mn.yaml", "recipes/data/esc10.yaml", "data.root=nowhere")
    assert run.code == 2
    assert run.errors[:2] == [
        "otoscope: recipes/mn.yaml is in the package now; its name is mn",
        "otoscope: recipes/data/esc10.yaml is in the package now; its name is data/esc10",
    ]
    assert "nowhere is not there" in run.errors[2]
