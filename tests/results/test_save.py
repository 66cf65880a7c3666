"""Tables as files."""

import pytest

from otoscope.core.errors import ParameterError, UnknownNameError
from otoscope.results import Ask, as_text, make_table, save_table
from otoscope.results.write import comma_separated, latex, markdown
from result_rows import make_rows


@pytest.fixture
def table(study):
    return make_table(study(make_rows(clips=4, conditions={"clean": 0.0})), Ask(metrics=("faithfulness",)))


def test_all_forms(table, tmp_path):
    paths = save_table(table, tmp_path / "out")
    assert list(paths) == ["md", "latex", "csv", "html"]
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"table.md", "table.tex", "table.csv", "table.html"}
    for form, make in (("md", markdown), ("latex", latex), ("csv", comma_separated)):
        with open(paths[form], encoding="utf-8") as file:
            assert file.read() == make(table) == as_text(table, form)


def test_some_forms(table, tmp_path):
    assert list(save_table(table, tmp_path / "out", ["csv"])) == ["csv"]
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["table.csv"]


def test_bad_forms(table, tmp_path):
    with pytest.raises(UnknownNameError, match="did you mean 'latex'"):
        save_table(table, tmp_path / "out", ["latx"])
    with pytest.raises(UnknownNameError, match="form of a table"):
        as_text(table, "pdf")
    with pytest.raises(ParameterError, match="name one with --out"):
        as_text(table, "html")
    with pytest.raises(ParameterError, match="make lines by method,domain,mask"):
        as_text(table, "csv", pivot=True)
    assert not (tmp_path / "out").exists()
