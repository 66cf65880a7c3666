"""`otoscope study` passes on what it is given, and prints what came out."""

import pytest


@pytest.fixture
def calls(monkeypatch):
    """The study, replaced by notes of its arguments."""
    import otoscope.studies

    seen = {}

    def study(recipe, device, dry_run, extend, log):
        seen.update(recipe=recipe, device=device, dry_run=dry_run, extend=extend)
        log("a step")
        return {"folder": recipe.out, "rows": 12, "failed": 3}

    monkeypatch.setattr(otoscope.studies, "run_study", study)
    return seen


def test_recipe_overrides_and_options_go_through(otoscope, calls, tmp_path):
    more = tmp_path / "more.yaml"
    more.write_text("title: Another title\n")
    run = otoscope("study", "first", more, "out=here", "seed=7", "--device", "cpu", "--extend")
    assert run.code == 0
    assert (calls["recipe"].title, calls["recipe"].seed, calls["recipe"].out) == ("Another title", 7, "here")
    assert (calls["device"], calls["dry_run"], calls["extend"]) == ("cpu", False, True)
    assert run.out.splitlines() == ["12 rows, 3 failed: here/results.parquet"]
    assert run.errors == ["otoscope: a step"]


def test_json_and_dry_run(otoscope, calls):
    assert otoscope("study", "first", "out=here", "--json").json == {"folder": "here", "rows": 12, "failed": 3}
    assert otoscope("study", "first", "--dry-run").out == ""
    assert calls["dry_run"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["nowhere.yaml"], "cannot read the recipe nowhere.yaml"), (["first", "nonsense=1"], "nonsense")],
)
def test_bad_input_is_one_line(otoscope, arguments, said):
    run = otoscope("study", *arguments)
    assert run.code == 2
    assert said in run.error
    assert run.out == ""
