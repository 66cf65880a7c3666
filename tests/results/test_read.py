"""Rows from Parquet files: what is kept, what is counted once, what is refused."""

import math
import sys

import numpy as np
import pytest

from otoscope.core.errors import MissingExtraError, OtoscopeError, ParameterError, UnknownNameError
from otoscope.results.read import failed, read_rows
from result_rows import fail, make_rows, write_rows, write_study

pa = pytest.importorskip("pyarrow")
SMALL = {"clips": 4, "masks": {"positive": 0.0}, "conditions": {"clean": 0.0}, "classifiers": {"mel": 0.0}}


@pytest.fixture
def rows():
    return make_rows(**SMALL)


def test_a_folder_gives_its_results_and_what_it_says_of_itself(tmp_path, rows):
    found = read_rows(write_study(tmp_path / "s", rows, made="today"))
    assert len(found) == 20
    assert found.about == {"title": "A made-up study", "made": "today"}
    assert found.notes == ()
    assert found.row(3) == pytest.approx({**rows[3]}, nan_ok=True)


def test_columns_come_as_words_and_as_numbers(tmp_path, rows):
    rows[0]["correct"], rows[1]["correct"], rows[2]["kept"] = None, True, None
    rows[3]["extra"], rows[4]["list"] = "a word", [1, 2]
    found = read_rows(write_rows(tmp_path / "a.parquet", rows))
    assert found.words("correct").each()[:3] == ["", "yes", "yes"]
    assert found.words("seed").names == ("0",)
    assert found.words("extra").each()[3:5] == ["a word", ""]
    assert found.words("list").each()[4] == "[1, 2]"
    assert found.words("original").names == ("0.9",)
    assert math.isnan(found.numbers("kept")[2])
    np.testing.assert_array_equal(found.numbers("correct")[:6], [np.nan, 1, 1, 1, 0, 1])
    assert list(found.words("clip").names) == sorted({row["clip"] for row in rows})
    assert {"extra", "list"} <= set(found.columns)
    assert {"extra", "list", "clip"}.isdisjoint(found.measured())


def test_words_may_come_as_a_dictionary(tmp_path, rows):
    import pyarrow.parquet as parquet

    table = parquet.read_table(write_rows(tmp_path / "a.parquet", rows))
    place = table.column_names.index("method")
    parquet.write_table(table.set_column(place, "method", table["method"].dictionary_encode()), tmp_path / "b.parquet")
    assert read_rows(tmp_path / "b.parquet").words("method").each() == [row["method"] for row in rows]


def test_columns_that_are_not_there_or_hold_no_numbers(tmp_path, rows):
    found = read_rows(write_rows(tmp_path / "a.parquet", rows))
    with pytest.raises(UnknownNameError, match="did you mean 'sparseness'"):
        found.numbers("sparsenes")
    with pytest.raises(ParameterError, match="'clip' holds no numbers"):
        found.numbers("clip")


def test_taking_rows_keeps_their_order(tmp_path, rows):
    found = read_rows(write_rows(tmp_path / "a.parquet", rows))
    assert found.take(np.array([5, 2])).words("key").each() == [rows[5]["key"], rows[2]["key"]]
    assert len(found.take(found.words("method").codes == 0)) == 4


def test_parts_of_a_study_that_has_not_ended(tmp_path, rows):
    write_rows(tmp_path / "s" / "parts" / "1.parquet", rows[:7])
    write_rows(tmp_path / "s" / "parts" / "2.parquet", rows[7:])
    found = read_rows(tmp_path / "s")
    assert len(found) == 20
    assert "has not ended" in found.notes[0]


def test_files_with_other_columns_go_together(tmp_path, rows):
    first = write_rows(tmp_path / "a.parquet", rows[:5])
    more = [{**row, "own": 1.5} for row in rows[5:]]
    found = read_rows([first, write_rows(tmp_path / "b.parquet", more)])
    np.testing.assert_array_equal(np.isnan(found.numbers("own")), [True] * 5 + [False] * 15)


def test_a_key_counts_once_and_success_wins(tmp_path, rows):
    lost = fail(rows, lambda row: row["clip"] == "1-002-A.wav")
    first, second = write_rows(tmp_path / "a.parquet", lost), write_rows(tmp_path / "b.parquet", rows[:10])
    found = read_rows([first, second])
    assert len(found) == 20
    assert failed(found).sum() == 3  # of five, two are mended by the second file
    assert found.notes == ("10 rows were there twice and are counted once.",)


def test_rows_without_a_key_are_all_kept(tmp_path, rows):
    for row in rows:
        row["key"] = ""
    path = write_rows(tmp_path / "a.parquet", rows)
    assert len(read_rows([path, write_rows(tmp_path / "b.parquet", rows)])) == 40
    assert len(read_rows([path, path])) == 20  # the same file is read once


def test_only_ok_is_no_failure(tmp_path, rows):
    rows[0]["status"], rows[1]["status"] = "failed", "odd"
    assert failed(read_rows(write_rows(tmp_path / "a.parquet", rows))).tolist()[:3] == [True, True, False]


# --- bad input ------------------------------------------------------------------------------------------------------


def test_a_truncated_file_is_named(tmp_path, rows):
    path = write_rows(tmp_path / "cut.parquet", rows)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(OtoscopeError, match=r"cut\.parquet is damaged or no Parquet file"):
        read_rows(path)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"clip,method\n", bytes(100)])
def test_a_foreign_file_is_named(tmp_path, content):
    (tmp_path / "x.parquet").write_bytes(content)
    with pytest.raises(OtoscopeError, match=r"x\.parquet is damaged or no Parquet file"):
        read_rows(tmp_path / "x.parquet")


def test_what_is_damaged_inside_is_named(tmp_path, rows):
    path = write_rows(tmp_path / "a.parquet", rows)
    content = bytearray(path.read_bytes())
    content[4:400] = bytes(396)
    path.write_bytes(bytes(content))
    with pytest.raises(OtoscopeError, match=r"a\.parquet"):
        read_rows(path).numbers("kept")


def test_a_file_of_something_else_is_named(tmp_path):
    path = write_rows(tmp_path / "x.parquet", [{"clip": "a", "colour": "red"}])
    with pytest.raises(OtoscopeError, match="not of a study: it lacks the columns condition, classifier, method"):
        read_rows(path)


def test_columns_that_contradict_each_other(tmp_path, rows):
    first = write_rows(tmp_path / "a.parquet", rows)
    second = write_rows(tmp_path / "b.parquet", [{**row, "kept": "much"} for row in rows])
    with pytest.raises(OtoscopeError, match=r"b\.parquet does not fit to .*a\.parquet"):
        read_rows([first, second])


def test_places_without_results(tmp_path, rows):
    with pytest.raises(OtoscopeError, match="nowhere is not there"):
        read_rows(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(OtoscopeError, match=r"holds no results: results\.parquet or parts"):
        read_rows(tmp_path / "empty")
    with pytest.raises(ParameterError, match="no results are named"):
        read_rows([])
    names = {name: pa.array([], pa.string()) for name in rows[0]}
    import pyarrow.parquet as parquet

    parquet.write_table(pa.table(names), tmp_path / "none.parquet")
    with pytest.raises(OtoscopeError, match="hold no rows"):
        read_rows(tmp_path / "none.parquet")


def test_a_damaged_word_of_the_study_is_done_without(tmp_path, rows):
    folder = write_study(tmp_path / "s", rows)
    (folder / "study.json").write_text("{")
    found = read_rows(folder)
    assert found.about == {}
    assert "study.json is damaged" in found.notes[0]


def test_without_pyarrow_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"otoscope\[study\]"):
        read_rows(tmp_path)
