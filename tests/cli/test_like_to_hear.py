"""`otoscope like-to-hear` passes on what it is given, and prints what came out."""

from pathlib import Path

import pytest

from otoscope.core import registry

RECIPE = "esc10"


@pytest.fixture
def calls(monkeypatch):
    """The study and its pages, replaced by notes of what they were asked for."""
    import otoscope.studies

    seen = {}

    def study(recipe, device, log):
        seen.update(recipe=recipe, device=device)
        log("a step")
        return {"folder": recipe.out, "clips": 3}

    def pages(results, folder):
        seen.update(results=results, folder=folder)
        return {"summary": "MN: original 95.0 %", "tables": "t.md", "listening": "l.html", "plots": []}

    monkeypatch.setattr(otoscope.studies, "like_to_hear", study)
    entry = registry.Entry("view", "like-to-hear", pages, "")
    registry.get("view", "like-to-hear")
    monkeypatch.setitem(registry._entries, ("view", "like-to-hear"), entry)
    return seen


def test_recipe_overrides_and_device_go_through(otoscope, calls, tmp_path):
    more = tmp_path / "more.yaml"
    more.write_text("title: Another title\n")
    run = otoscope("like-to-hear", RECIPE, more, "out=here", "seed=7", "--device", "cpu")
    assert run.code == 0
    assert (calls["recipe"].title, calls["recipe"].seed, calls["recipe"].out) == ("Another title", 7, "here")
    assert calls["device"] == "cpu"
    assert calls["folder"] == "here"
    assert run.out.splitlines() == ["MN: original 95.0 %", "tables: t.md", "listening: l.html"]
    assert run.errors == ["otoscope: a step"]


def test_json(otoscope, calls):
    run = otoscope("like-to-hear", RECIPE, "--json")
    assert run.json == {"folder": "runs/like-to-hear", "clips": 3}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere.yaml"], "cannot read the recipe nowhere.yaml"),
        ([RECIPE, "nonsense=1"], "nonsense"),
        ([RECIPE, "tune.to={nobody: [control]}"], "nobody"),
        ([RECIPE, "data.root=nowhere"], "nowhere"),
        ([RECIPE, "data.root=nowhere", "out=file"], "out=|is a file"),
    ],
)
def test_bad_input_is_one_line(otoscope, arguments, said):
    Path("file").write_text("")
    run = otoscope("like-to-hear", *arguments)
    assert run.code == 2
    assert any(word in run.error for word in said.split("|"))
    assert run.out == ""
