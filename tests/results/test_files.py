"""Which files of a study's folder are read: what belongs to it as it stands now, and what is whole of that."""

import json
import os

import pytest

from otoscope.core.errors import OtoscopeError
from otoscope.results import Ask, make_table
from otoscope.results.read import read_rows
from otoscope.results.words import caption
from result_rows import make_rows, write_rows, write_study

pytest.importorskip("pyarrow")
SMALL = {"clips": 4, "masks": {"positive": 0.0}, "conditions": {"clean": 0.0}, "classifiers": {"mel": 0.0}}


@pytest.fixture
def rows():
    return make_rows(**SMALL)


def parts(folder, rows, listed=("a.parquet", "b.parquet")):
    """Two parts of ten rows each, and a stale one whose rows have other keys."""
    write_rows(folder / "parts" / "a.parquet", rows[:10])
    write_rows(folder / "parts" / "b.parquet", rows[10:])
    write_rows(folder / "parts" / "stale.parquet", [{**row, "key": f"old {row['key']}"} for row in rows])
    (folder / "parts.json").write_text(json.dumps(listed))
    return folder


def test_stale_parts_do_not_count(tmp_path, rows):
    found = read_rows(parts(tmp_path / "s", rows))
    assert len(found) == 20
    assert not any("missing" in note for note in found.notes)


def test_missing_and_damaged_parts_are_told(tmp_path, rows):
    folder = parts(tmp_path / "s", rows, ["a.parquet", "b.parquet", "c.parquet"])
    file = folder / "parts" / "b.parquet"
    file.write_bytes(file.read_bytes()[:-30])
    found = read_rows(folder)
    assert len(found) == 10
    assert "2 of 3 parts are missing or damaged: run the study again" in found.notes[0]
    assert found.notes[0] in caption(make_table(found, Ask(metrics=("faithfulness",))))


def test_parts_with_other_columns_are_left_out(tmp_path, rows):
    folder = parts(tmp_path / "s", rows, ["a.parquet", "b.parquet", "old.parquet"])
    write_rows(folder / "parts" / "old.parquet", [{**row, "key": "x" + row["key"], "gone": 1.0} for row in rows])
    found = read_rows(folder)
    assert len(found) == 20
    assert "gone" not in found.columns
    assert "1 of 3 parts have other columns than the rest" in found.notes[0]


def test_a_study_that_has_just_begun(tmp_path):
    folder = tmp_path / "s"
    (folder / "parts").mkdir(parents=True)
    (folder / "parts.json").write_text(json.dumps(["a.parquet"]))
    with pytest.raises(OtoscopeError, match="nothing is done yet; run it first"):
        read_rows(folder)


def test_results_that_are_cut_off_are_read_from_the_parts(tmp_path, rows):
    folder = parts(write_study(tmp_path / "s", rows), rows)
    whole = folder / "results.parquet"
    whole.write_bytes(whole.read_bytes()[:-30])
    os.utime(whole)
    found = read_rows(folder)
    assert len(found) == 20
    assert "results.parquet is damaged: its 2 parts were read." in found.notes[-1]


def test_results_that_are_older_than_the_study_as_it_stands(tmp_path, rows):
    folder = parts(write_study(tmp_path / "s", rows[:5]), rows)
    os.utime(folder / "results.parquet", (0, 0))
    assert len(read_rows(folder)) == 20
    os.utime(folder / "results.parquet", (4e9, 4e9))
    assert len(read_rows(folder)) == 5
    os.utime(folder / "results.parquet", (0, 0))
    for file in (folder / "parts").iterdir():
        file.unlink()
    assert len(read_rows(folder)) == 5  # nothing else is there


def test_nothing_whole_is_an_error(tmp_path, rows):
    folder = parts(tmp_path / "s", rows)
    for file in (folder / "parts").iterdir():
        file.write_bytes(b"PAR1")
    with pytest.raises(OtoscopeError, match=r"a\.parquet is damaged"):
        read_rows(folder)


@pytest.mark.parametrize("text", ["{", "{}", "[1]"])
def test_a_damaged_list_of_parts(tmp_path, rows, text):
    folder = parts(tmp_path / "s", rows)
    (folder / "parts.json").write_text(text)
    found = read_rows(folder)
    assert len(found) == 40
    assert "parts.json is damaged; all parts count." in found.notes[0]


def test_names_of_parts_stay_in_their_folder(tmp_path, rows):
    folder = parts(tmp_path / "s", rows, ["../../a.parquet", "parts/b.parquet"])
    write_rows(tmp_path / "a.parquet", [{**row, "clip": "foreign"} for row in rows])
    assert "foreign" not in read_rows(folder).words("clip").names


@pytest.mark.parametrize(("text", "rows_of", "damaged"), [("[]", 0, False), ('[{"a": 1}]', 1, False), ("{", 0, True)])
def test_what_explanations_depend_on(tmp_path, rows, text, rows_of, damaged):
    folder = write_study(tmp_path / "s", rows)
    (folder / "sanity.json").write_text(text)
    found = read_rows(folder)
    assert len(found.sanity) == rows_of
    assert any("sanity.json is damaged" in note for note in found.notes) is damaged
