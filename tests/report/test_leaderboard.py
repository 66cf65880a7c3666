"""From results to what is printed and written."""

import pytest

from otoscope.core.errors import OtoscopeError, ParameterError, UnknownNameError
from otoscope.core.records import Clip
from otoscope.report.leaderboard import Output, as_text, save_leaderboard, tabulate
from otoscope.report.leaderboard_text import comma_separated, latex, markdown
from otoscope.results import LeaderboardOptions, make_leaderboard
from result_rows import make_rows, write_study

pytest.importorskip("pyarrow")


@pytest.fixture
def folder(tmp_path):
    return write_study(tmp_path / "study", make_rows(clips=6, conditions={"clean": 0.0}))


def test_it_is_only_printed(folder, tmp_path):
    done = tabulate([folder], LeaderboardOptions(metrics=("faithfulness",)))
    assert done.text == markdown(done.board)
    assert done.paths == {}
    assert tabulate([folder], output=Output(forms=("csv",))).text.startswith(
        "condition,classifier,method,domain,mask,role"
    )
    assert [p.name for p in tmp_path.iterdir()] == ["study"]


def test_it_is_written_too(folder, tmp_path):
    done = tabulate([folder], output=Output(tmp_path / "out", ("csv",)))
    assert done.text == markdown(done.board)
    assert list(done.paths) == ["csv"]
    assert (tmp_path / "out" / "table.csv").read_text() == comma_separated(done.board)


def rendering(calls):
    def make(folder, device):
        calls.append((folder, device))
        tone = [[0.1] * 800]
        return lambda row: {part: Clip(tone, 8000) for part in ("original", "kept", "removed")}

    return make


def test_clips_to_hear(folder, tmp_path):
    (folder / "recipe.json").write_text("{}")
    calls, told = [], []
    output = Output(tmp_path / "out", listen=True, device="cpu")
    done = tabulate([folder / "results.parquet"], output=output, log=told.append, render=rendering(calls))
    assert calls == [(folder, "cpu")]
    assert done.paths["listen"] == str(tmp_path / "out" / "listen" / "index.html")
    assert (tmp_path / "out" / "listen" / "index.html").is_file()
    assert 'href="listen/index.html#clip-1"' in (tmp_path / "out" / "table.html").read_text(encoding="utf-8")
    assert any("computing the sounds of" in line for line in told)


def test_without_a_folder_sounds_lie_beside_the_results(folder):
    (folder / "recipe.json").write_text("{}")
    done = tabulate([folder], output=Output(forms=("html",), listen=True), render=rendering([]))
    assert done.paths == {"html": str(folder / "table.html"), "listen": str(folder / "listen" / "index.html")}


def test_a_page_without_sounds_where_none_can_be_made(folder, tmp_path):
    (folder / "recipe.json").write_text("{}")
    told = []

    def never(folder, device):
        def render(row):
            raise OtoscopeError("gone")

        return render

    done = tabulate([folder], output=Output(tmp_path / "out", listen=True), log=told.append, render=never)
    assert "listen" not in done.paths
    assert "Example clips" not in (tmp_path / "out" / "table.html").read_text(encoding="utf-8")
    assert told[-1] == "no clip could be computed again: the page has no sounds"


def test_sounds_want_a_recipe_and_a_page(folder, tmp_path):
    with pytest.raises(ParameterError, match=r"no recipe\.json next to the results"):
        tabulate([folder], output=Output(tmp_path / "out", listen=True))
    with pytest.raises(ParameterError, match="add html to the formats; got md"):
        tabulate([folder], output=Output(tmp_path / "out", ("md",), listen=True))
    assert not (tmp_path / "out").exists()


def test_real_recipes_of_other_studies_are_refused(folder, tmp_path):
    (folder / "recipe.json").write_text('{"name": 3}')
    with pytest.raises(OtoscopeError):
        tabulate([folder], output=Output(tmp_path / "out", listen=True))


@pytest.fixture
def table(study):
    return make_leaderboard(
        study(make_rows(clips=4, conditions={"clean": 0.0})), LeaderboardOptions(metrics=("faithfulness",))
    )


def test_all_forms(table, tmp_path):
    paths = save_leaderboard(table, tmp_path / "out")
    assert list(paths) == ["md", "latex", "csv", "html"]
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"table.md", "table.tex", "table.csv", "table.html"}
    for form, make in (("md", markdown), ("latex", latex), ("csv", comma_separated)):
        with open(paths[form], encoding="utf-8") as file:
            assert file.read() == make(table) == as_text(table, form)


def test_some_forms(table, tmp_path):
    assert list(save_leaderboard(table, tmp_path / "out", ["csv"])) == ["csv"]
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["table.csv"]


def test_bad_forms(table, tmp_path):
    with pytest.raises(UnknownNameError, match="did you mean 'latex'"):
        save_leaderboard(table, tmp_path / "out", ["latx"])
    with pytest.raises(UnknownNameError, match="form of a table"):
        as_text(table, "pdf")
    with pytest.raises(ParameterError, match="name one with --out"):
        as_text(table, "html")
    with pytest.raises(ParameterError, match="make lines by method,domain,mask"):
        as_text(table, "csv", pivot=True)
    assert not (tmp_path / "out").exists()
