"""Rows from Parquet files: what is kept, what is counted once, what is refused."""

import json
import math
import os
import sys

import numpy as np
import pytest

from otoscope.core.errors import MissingExtraError, OtoscopeError, ParameterError, UnknownNameError
from otoscope.report.leaderboard_captions import caption
from otoscope.results import LeaderboardOptions, make_leaderboard
from otoscope.results.read import read_results
from result_rows import fail, make_rows, write_rows, write_study

pa = pytest.importorskip("pyarrow")
SMALL = {"clips": 4, "masks": {"positive": 0.0}, "conditions": {"clean": 0.0}, "classifiers": {"mel": 0.0}}


@pytest.fixture
def rows():
    return make_rows(**SMALL)


def test_a_folder_gives_its_results_and_what_it_says_of_itself(tmp_path, rows):
    found = read_results(write_study(tmp_path / "s", rows, made="today"))
    assert len(found) == 20
    assert found.about == {"title": "A made-up study", "made": "today"}
    assert found.notes == ()
    assert found.row(3) == pytest.approx({**rows[3]}, nan_ok=True)


def test_columns_come_as_words_and_as_numbers(tmp_path, rows):
    rows[0]["correct"], rows[1]["correct"], rows[2]["kept"] = None, True, None
    rows[3]["extra"], rows[4]["list"] = "a word", [1, 2]
    found = read_results(write_rows(tmp_path / "a.parquet", rows))
    assert found.labels("correct").each()[:3] == ["", "yes", "yes"]
    assert found.labels("seed").names == ("0",)
    assert found.labels("extra").each()[3:5] == ["a word", ""]
    assert found.labels("list").each()[4] == "[1, 2]"
    assert found.labels("original").names == ("0.9",)
    assert math.isnan(found.numbers("kept")[2])
    np.testing.assert_array_equal(found.numbers("correct")[:6], [np.nan, 1, 1, 1, 0, 1])
    assert list(found.labels("clip").names) == sorted({row["clip"] for row in rows})
    assert {"extra", "list"} <= set(found.columns)
    assert {"extra", "list", "clip"}.isdisjoint(found.measured())


def test_words_may_come_as_a_dictionary(tmp_path, rows):
    import pyarrow.parquet as parquet

    table = parquet.read_table(write_rows(tmp_path / "a.parquet", rows))
    place = table.column_names.index("method")
    parquet.write_table(table.set_column(place, "method", table["method"].dictionary_encode()), tmp_path / "b.parquet")
    assert read_results(tmp_path / "b.parquet").labels("method").each() == [row["method"] for row in rows]


def test_columns_that_are_not_there_or_hold_no_numbers(tmp_path, rows):
    found = read_results(write_rows(tmp_path / "a.parquet", rows))
    with pytest.raises(UnknownNameError, match="did you mean 'sparseness'"):
        found.numbers("sparsenes")
    with pytest.raises(ParameterError, match="'clip' is not numeric"):
        found.numbers("clip")


def test_taking_rows_keeps_their_order(tmp_path, rows):
    found = read_results(write_rows(tmp_path / "a.parquet", rows))
    assert found.take(np.array([5, 2])).labels("key").each() == [rows[5]["key"], rows[2]["key"]]
    assert len(found.take(found.labels("method").codes == 0)) == 4


def test_parts_of_a_study_that_has_not_ended(tmp_path, rows):
    write_rows(tmp_path / "s" / "parts" / "1.parquet", rows[:7])
    write_rows(tmp_path / "s" / "parts" / "2.parquet", rows[7:])
    found = read_results(tmp_path / "s")
    assert len(found) == 20
    assert "is unfinished" in found.notes[0]


def test_files_with_other_columns_go_together(tmp_path, rows):
    first = write_rows(tmp_path / "a.parquet", rows[:5])
    more = [{**row, "own": 1.5} for row in rows[5:]]
    found = read_results([first, write_rows(tmp_path / "b.parquet", more)])
    np.testing.assert_array_equal(np.isnan(found.numbers("own")), [True] * 5 + [False] * 15)


def test_a_key_counts_once_and_success_wins(tmp_path, rows):
    lost = fail(rows, lambda row: row["clip"] == "1-002-A.wav")
    first, second = write_rows(tmp_path / "a.parquet", lost), write_rows(tmp_path / "b.parquet", rows[:10])
    found = read_results([first, second])
    assert len(found) == 20
    assert found.failed.sum() == 3  # of five, two are mended by the second file
    assert found.notes == ("10 duplicate rows were dropped.",)


def test_rows_without_a_key_are_all_kept(tmp_path, rows):
    for row in rows:
        row["key"] = ""
    path = write_rows(tmp_path / "a.parquet", rows)
    assert len(read_results([path, write_rows(tmp_path / "b.parquet", rows)])) == 40
    assert len(read_results([path, path])) == 20  # the same file is read once


def test_only_ok_is_no_failure(tmp_path, rows):
    rows[0]["status"], rows[1]["status"] = "failed", "odd"
    assert read_results(write_rows(tmp_path / "a.parquet", rows)).failed.tolist()[:3] == [True, True, False]


# --- bad input ------------------------------------------------------------------------------------------------------


def test_a_truncated_file_is_named(tmp_path, rows):
    path = write_rows(tmp_path / "cut.parquet", rows)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(OtoscopeError, match=r"cut\.parquet is damaged or not a Parquet file"):
        read_results(path)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"clip,method\n", bytes(100)])
def test_a_foreign_file_is_named(tmp_path, content):
    (tmp_path / "x.parquet").write_bytes(content)
    with pytest.raises(OtoscopeError, match=r"x\.parquet is damaged or not a Parquet file"):
        read_results(tmp_path / "x.parquet")


def test_what_is_damaged_inside_is_named(tmp_path, rows):
    path = write_rows(tmp_path / "a.parquet", rows)
    content = bytearray(path.read_bytes())
    content[4:400] = bytes(396)
    path.write_bytes(bytes(content))
    with pytest.raises(OtoscopeError, match=r"a\.parquet"):
        read_results(path).numbers("kept")


def test_a_file_of_something_else_is_named(tmp_path):
    path = write_rows(tmp_path / "x.parquet", [{"clip": "a", "colour": "red"}])
    with pytest.raises(
        OtoscopeError, match="is not a file of results: it lacks the columns condition, classifier, method"
    ):
        read_results(path)


def test_columns_that_contradict_each_other(tmp_path, rows):
    first = write_rows(tmp_path / "a.parquet", rows)
    second = write_rows(tmp_path / "b.parquet", [{**row, "kept": "much"} for row in rows])
    with pytest.raises(OtoscopeError, match=r"b\.parquet does not fit .*a\.parquet"):
        read_results([first, second])


def test_places_without_results(tmp_path, rows):
    with pytest.raises(OtoscopeError, match="nowhere does not exist"):
        read_results(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(OtoscopeError, match=r"holds no results; expected results\.parquet or parts"):
        read_results(tmp_path / "empty")
    with pytest.raises(ParameterError, match="no results given"):
        read_results([])
    names = {name: pa.array([], pa.string()) for name in rows[0]}
    import pyarrow.parquet as parquet

    parquet.write_table(pa.table(names), tmp_path / "none.parquet")
    with pytest.raises(OtoscopeError, match="hold no rows"):
        read_results(tmp_path / "none.parquet")


def test_a_damaged_word_of_the_study_is_done_without(tmp_path, rows):
    folder = write_study(tmp_path / "s", rows)
    (folder / "study.json").write_text("{")
    found = read_results(folder)
    assert found.about == {}
    assert "study.json is damaged" in found.notes[0]


def test_without_pyarrow_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"\.\[study\]"):
        read_results(tmp_path)


pytest.importorskip("pyarrow")
SMALL = {"clips": 4, "masks": {"positive": 0.0}, "conditions": {"clean": 0.0}, "classifiers": {"mel": 0.0}}


def parts(folder, rows, listed=("a.parquet", "b.parquet")):
    """Two parts of ten rows each, and a stale one whose rows have other keys."""
    write_rows(folder / "parts" / "a.parquet", rows[:10])
    write_rows(folder / "parts" / "b.parquet", rows[10:])
    write_rows(folder / "parts" / "stale.parquet", [{**row, "key": f"old {row['key']}"} for row in rows])
    (folder / "parts.json").write_text(json.dumps(listed))
    return folder


def test_stale_parts_do_not_count(tmp_path, rows):
    found = read_results(parts(tmp_path / "s", rows))
    assert len(found) == 20
    assert not any("missing" in note for note in found.notes)


def test_missing_and_damaged_parts_are_told(tmp_path, rows):
    folder = parts(tmp_path / "s", rows, ["a.parquet", "b.parquet", "c.parquet"])
    file = folder / "parts" / "b.parquet"
    file.write_bytes(file.read_bytes()[:-30])
    found = read_results(folder)
    assert len(found) == 10
    assert "2 of 3 parts are missing or damaged: run the study again" in found.notes[0]
    assert found.notes[0] in caption(make_leaderboard(found, LeaderboardOptions(metrics=("faithfulness",))))


def test_parts_with_other_columns_are_left_out(tmp_path, rows):
    folder = parts(tmp_path / "s", rows, ["a.parquet", "b.parquet", "old.parquet"])
    write_rows(folder / "parts" / "old.parquet", [{**row, "key": "x" + row["key"], "gone": 1.0} for row in rows])
    found = read_results(folder)
    assert len(found) == 20
    assert "gone" not in found.columns
    assert "1 of 3 parts have different columns" in found.notes[0]


def test_a_study_that_has_just_begun(tmp_path):
    folder = tmp_path / "s"
    (folder / "parts").mkdir(parents=True)
    (folder / "parts.json").write_text(json.dumps(["a.parquet"]))
    with pytest.raises(OtoscopeError, match="without rows; run it first"):
        read_results(folder)


def test_results_that_are_cut_off_are_read_from_the_parts(tmp_path, rows):
    folder = parts(write_study(tmp_path / "s", rows), rows)
    whole = folder / "results.parquet"
    whole.write_bytes(whole.read_bytes()[:-30])
    os.utime(whole)
    found = read_results(folder)
    assert len(found) == 20
    assert "results.parquet is damaged: its 2 parts were read." in found.notes[-1]


def test_results_that_are_older_than_the_study_as_it_stands(tmp_path, rows):
    folder = parts(write_study(tmp_path / "s", rows[:5]), rows)
    os.utime(folder / "results.parquet", (0, 0))
    assert len(read_results(folder)) == 20
    os.utime(folder / "results.parquet", (4e9, 4e9))
    assert len(read_results(folder)) == 5
    os.utime(folder / "results.parquet", (0, 0))
    for file in (folder / "parts").iterdir():
        file.unlink()
    assert len(read_results(folder)) == 5  # nothing else is there


def test_nothing_whole_is_an_error(tmp_path, rows):
    folder = parts(tmp_path / "s", rows)
    for file in (folder / "parts").iterdir():
        file.write_bytes(b"PAR1")
    with pytest.raises(OtoscopeError, match=r"a\.parquet is damaged"):
        read_results(folder)


@pytest.mark.parametrize("text", ["{", "{}", "[1]"])
def test_a_damaged_list_of_parts(tmp_path, rows, text):
    folder = parts(tmp_path / "s", rows)
    (folder / "parts.json").write_text(text)
    found = read_results(folder)
    assert len(found) == 40
    assert "parts.json is damaged; all parts were read." in found.notes[0]


def test_names_of_parts_stay_in_their_folder(tmp_path, rows):
    folder = parts(tmp_path / "s", rows, ["../../a.parquet", "parts/b.parquet"])
    write_rows(tmp_path / "a.parquet", [{**row, "clip": "foreign"} for row in rows])
    assert "foreign" not in read_results(folder).labels("clip").names


@pytest.mark.parametrize(("text", "rows_of", "damaged"), [("[]", 0, False), ('[{"a": 1}]', 1, False), ("{", 0, True)])
def test_what_explanations_depend_on(tmp_path, rows, text, rows_of, damaged):
    folder = write_study(tmp_path / "s", rows)
    (folder / "sanity.json").write_text(text)
    found = read_results(folder)
    assert len(found.sanity) == rows_of
    assert any("sanity.json is damaged" in note for note in found.notes) is damaged
