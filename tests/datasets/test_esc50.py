import csv

import pytest
import soundfile

from otoscope.core.errors import OtoscopeError, ParameterError
from otoscope.datasets import load_esc50


def make(root, rows, columns="filename,fold,target,category,esc10,src_file,take"):
    (root / "meta").mkdir()
    (root / "audio").mkdir()
    (root / "meta" / "esc50.csv").write_text("\n".join([columns, *rows]) + "\n")
    for row in rows:
        soundfile.write(root / "audio" / row.split(",")[0], [0.0, 0.1], 8000)
    return root


ROWS = ["1-a-A-5.wav,1,5,cat,False,a,A", "2-b-A-0.wav,2,0,dog,True,b,A", "2-b-B-0.wav,2,0,dog,True,b,B"]


def test_classes_are_in_the_order_of_their_numbers(tmp_path):
    data = load_esc50(make(tmp_path, ROWS))
    assert data.labels == ("dog", "cat")
    assert [e.index for e in data.examples] == [1, 0, 0]
    assert [e.fold for e in data.examples] == [1, 2, 2]
    assert data.examples[1].source == "b"


def test_esc10_is_the_marked_subset(tmp_path):
    data = load_esc50(make(tmp_path, ROWS), esc10=True)
    assert data.labels == ("dog",)
    assert len(data) == 2


def test_folds(tmp_path):
    data = load_esc50(make(tmp_path, ROWS))
    assert [e.path.name for e in data.folds([2]).examples] == ["2-b-A-0.wav", "2-b-B-0.wav"]
    assert data.folds([1]).labels == data.labels
    with pytest.raises(ParameterError, match=r"has folds \[1, 2\]; got \[7\]"):
        data.folds([7])


def test_missing_table(tmp_path):
    with pytest.raises(OtoscopeError, match=r"esc50\.csv is not there"):
        load_esc50(tmp_path)


def test_missing_clip_is_named(tmp_path):
    root = make(tmp_path, ROWS)
    (root / "audio" / "2-b-A-0.wav").unlink()
    with pytest.raises(OtoscopeError, match=r"1 of 3 clips .* the first is 2-b-A-0\.wav"):
        load_esc50(root)


def test_missing_column(tmp_path):
    with pytest.raises(OtoscopeError, match="lacks the columns"):
        load_esc50(make(tmp_path, ["a.wav,1"], "filename,fold"))


def test_broken_number(tmp_path):
    with pytest.raises(ParameterError, match="whole numbers"):
        load_esc50(make(tmp_path, ["a.wav,one,5,cat,True,a,A"]))


def test_the_real_esc10(shared):
    data = load_esc50(shared("esc10"), esc10=True)
    assert len(data) == 400
    assert data.labels[:3] == ("dog", "rooster", "rain")
    for fold in range(1, 6):
        part = data.folds([fold])
        assert len(part) == 80
        assert all(sum(e.index == i for e in part.examples) == 8 for i in range(10))
    apart: dict[str, int] = {}
    for e in data.examples:
        assert apart.setdefault(e.source, e.fold) == e.fold  # no recording on two sides
    table = shared("esc10") / "meta" / "esc50.csv"
    with table.open() as lines:
        assert next(csv.DictReader(lines))["category"] == "dog"
