"""Tables of clips, as CSV and Parquet, and what is wrong with bad ones."""

from __future__ import annotations

import pytest

from otoscope.core.errors import ParameterError
from otoscope.datasets import DatasetError, load_dataset


def found(data):
    return {e.path.name: (e.label, e.fold) for e in data.examples}


def test_a_parquet_table(tmp_path, put):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    put("a.wav")
    put("b.wav")
    columns = {"file": ["a.wav", "b.wav"], "label": ["dog", "cat"], "fold": [1, 2], "end": [None, 0.005]}
    parquet.write_table(pyarrow.table(columns), tmp_path / "metadata.parquet")
    data = load_dataset("folder", tmp_path)
    assert found(data) == {"a.wav": ("dog", 1), "b.wav": ("cat", 2)}
    assert [e.stop_s for e in data.examples] == [None, 0.005]
    (tmp_path / "metadata.parquet").write_bytes(b"no parquet")
    with pytest.raises(DatasetError, match="cannot be read as Parquet"):
        load_dataset("folder", tmp_path)


def test_an_absolute_path_is_meant(tmp_path, put, table):
    away = put("a.wav", root=tmp_path / "away")
    table("metadata.csv", "file,label,fold", f"{away},dog,1", root=tmp_path / "here")
    assert load_dataset("folder", tmp_path / "here").examples[0].path == away


@pytest.mark.parametrize(
    ("lines", "error", "match"),
    [
        (["file,label"], DatasetError, "lists no clips"),
        (
            ["file,fold", "a.wav,1"],
            DatasetError,
            r"no column 'label' \(or class, category\); it has \['file', 'fold'\]",
        ),
        (["label,fold", "dog,1"], DatasetError, "no column 'file'"),
        (["file,label", "../a.wav,dog"], DatasetError, r"'\.\./a\.wav' leads out of"),
        (["file,label", "x/../../a.wav,dog"], DatasetError, "leads out of"),
        (["file,label", "..\\a.wav,dog"], DatasetError, "leads out of"),
        (["file,label", ",dog"], DatasetError, "names no file"),
        (["file,label", "a.wav,"], DatasetError, "'a.wav' has no label"),
        (["file,label,fold", "a.wav,dog,1", "a.wav,dog,1"], DatasetError, "1 clips have more than one row"),
        (["file,label,fold", "a.wav,dog,1", "a.wav,cat,2"], DatasetError, "more than one row"),
        (["file,label,fold", "a.wav,dog,1", "b.wav,cat,"], DatasetError, r"1 clips have no fold, the first is b\.wav"),
        (["file,label,start", "a.wav,dog,soon"], ParameterError, "start of 'a.wav' must be seconds"),
        (["file,label,start", "a.wav,dog,-1"], ParameterError, "got '-1'"),
        (["file,label,end", "a.wav,dog,inf"], ParameterError, "end of 'a.wav'"),
        (["file,label,start,end", "a.wav,dog,2,1"], ParameterError, "ends at 1 s, but starts at 2 s"),
        (["file,label", "a.wav,dog,more"], DatasetError, "more or fewer cells"),
        (["file,label", "a.wav"], DatasetError, "more or fewer cells"),
        (["file,label,fold", "missing.wav,dog,1"], DatasetError, r"1 of 1 clips .* the first is missing\.wav"),
        (["file,label", "a.wav,dog"], DatasetError, "1 sources, too few for 5 folds"),
        (["file,label,label,fold", "a.wav,dog,cat,1"], DatasetError, "more than one column 'label'"),
        (["file,Label, label", "a.wav,dog,cat"], DatasetError, "more than one column 'label'"),
        (["file,label", f"{'x' * 300}.wav,dog"], DatasetError, r"begins with 'x{40}' is too long \(304 characters\)"),
        (["file,label", f"{'x/' * 2000}a.wav,dog"], DatasetError, "is too long"),
        *(
            (["file,label,fold", f"a.wav,dog,{fold}"], ParameterError, "a fold is a number or a name")
            for fold in ("../../evil1", "..", "a/b", "a\\b", "a\x07b", "a\x7fb", "x" * 101)
        ),
    ],
)
def test_bad_tables(tmp_path, put, table, lines, error, match):
    put("a.wav")
    put("b.wav")
    table("metadata.csv", *lines)
    with pytest.raises(error, match=match):
        load_dataset("folder", tmp_path)


def test_a_parquet_table_with_a_column_twice(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    columns = pyarrow.Table.from_arrays([pyarrow.array(["a"])] * 3, names=["file", "label", "label"])
    parquet.write_table(columns, tmp_path / "metadata.parquet")
    with pytest.raises(DatasetError, match="more than one column 'label'"):
        load_dataset("folder", tmp_path)


def test_a_table_that_is_no_text(tmp_path):
    (tmp_path / "metadata.csv").write_bytes(b"file,label\n\xff\xfe\x00,x\n")
    with pytest.raises(DatasetError, match="cannot be read as CSV in UTF-8"):
        load_dataset("folder", tmp_path)
