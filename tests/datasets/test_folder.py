"""Anybody's clips: folders, tables, labels, folds that are dealt, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otoscope.core.errors import OtoscopeError
from otoscope.datasets import DatasetError, Example, load_dataset
from otoscope.datasets.folder import NO_FOLD, NO_INDEX, _dealt


def found(data):
    return {e.path.name: (e.label, e.fold) for e in data.examples}


def test_a_folder_a_class(tmp_path, put):
    for i in range(6):
        put(f"dog/{i}.wav")
        put(f"cat/deep/{i}.flac")
    put("_ignored/x.wav")
    put(".hidden/x.wav")
    (tmp_path / "dog" / "notes.txt").write_text("no sound")
    data = load_dataset("folder,folds=3", tmp_path)
    assert data.labels == ("cat", "dog")
    assert len(data) == 12
    assert data.fold_names() == [1, 2, 3]
    for fold in (1, 2, 3):
        assert sorted(e.label for e in data.folds([fold]).examples) == ["cat", "cat", "dog", "dog"]
    assert [e.fold for e in load_dataset("folder,folds=3", tmp_path).examples] == [e.fold for e in data.examples]


def test_folders_of_a_split(tmp_path, put):
    for split in ("Train", "val", "test"):
        put(f"{split}/dog/{split}.wav")
    data = load_dataset("folder", tmp_path)
    assert found(data) == {"Train.wav": ("dog", "train"), "val.wav": ("dog", "validation"), "test.wav": ("dog", "test")}


TABLE = ["filename,category,split,source,start,end", "a.wav,dog,train,s1,,", "b.wav,cat,valid,s2,0.001,0.005",
         "b.wav,cat,valid,s2,0.005,", "c.wav,dog,test,s3,0,"]  # fmt: skip


@pytest.mark.parametrize("name", ["metadata.csv", "manifest.csv"])
def test_a_table(tmp_path, put, table, name):
    for file in ("a.wav", "b.wav", "c.wav", "d.wav"):
        put(file)
    table(name, *TABLE)
    data = load_dataset("folder", tmp_path)
    assert [(e.path.name, e.label, e.index, e.fold, e.source, e.start_s, e.stop_s) for e in data.examples] == [
        ("a.wav", "dog", 1, "train", "s1", 0.0, None),
        ("b.wav", "cat", 0, "validation", "s2", 0.001, 0.005),
        ("b.wav", "cat", 0, "validation", "s2", 0.005, None),
        ("c.wav", "dog", 1, "test", "s3", 0.0, None),
    ]
    assert [len(p) for p in data.split("test")] == [1, 2, 1]


def test_a_table_by_its_name_or_path(tmp_path, put, table):
    put("a.wav")
    file = table("my.tsv", "path\tclass\tfold", "a.wav\tdog, big\t2")
    for data in (load_dataset("folder,table=my.tsv", tmp_path), load_dataset("folder", file)):
        assert found(data) == {"a.wav": ("dog, big", 2)}


def test_labels_in_their_order(tmp_path, put, table):
    put("a.wav")
    table("metadata.csv", "file,label,fold", "a.wav,dog,1")
    table("labels.txt", "zebra", "dog", "", "ant")
    data = load_dataset("folder,labels=labels.txt", tmp_path)
    assert data.labels == ("zebra", "dog", "ant")
    assert data.examples[0].index == 1


@pytest.mark.parametrize(
    ("lines", "match"),
    [
        (["cat"], "1 classes that labels.txt does not name, the first is 'dog'"),
        (["dog", "cat", "dog"], "labels.txt names 1 labels more than once, the first is 'dog'"),
        ([""], "is empty"),
    ],
)
def test_bad_labels(tmp_path, put, table, lines, match):
    put("a.wav")
    table("metadata.csv", "file,label,fold", "a.wav,dog,1")
    table("labels.txt", *lines)
    with pytest.raises(DatasetError, match=match):
        load_dataset("folder,labels=labels.txt", tmp_path)


def test_labels_that_are_not_there_or_outside(tmp_path, put, table):
    put("a.wav")
    table("metadata.csv", "file,label,fold", "a.wav,dog,1")
    with pytest.raises(DatasetError, match="cannot be read"):
        load_dataset("folder,labels=no.txt", tmp_path)
    with pytest.raises(DatasetError, match="leads out"):
        load_dataset("folder,labels=../labels.txt", tmp_path)


@pytest.mark.parametrize(
    ("text", "fold"),
    [("1", 1), ("1.0", 1), ("12.", 12), ("03", 3), ("1.5", "1.5"), ("Dev", "validation"), ("x-1", "x-1")],
)
def test_folds_as_they_are_written(tmp_path, put, table, text, fold):
    put("a.wav")
    table("metadata.csv", "File,LABEL,Fold,,", f"a.wav,dog,{text},,")
    assert found(load_dataset("folder", tmp_path)) == {"a.wav": ("dog", fold)}


def test_an_empty_folder_and_none(tmp_path):
    with pytest.raises(DatasetError, match="holds no clips"):
        load_dataset("folder", tmp_path)
    with pytest.raises(DatasetError, match="is not there"):
        load_dataset("folder", tmp_path / "no")
    with pytest.raises(OtoscopeError, match="needs the folder"):
        load_dataset("folder", "")


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 30)), min_size=1, max_size=60), st.integers(2, 6))
def test_dealt_folds_keep_sources_together_and_are_even(tmp_path_factory, clips, folds):
    where = tmp_path_factory.getbasetemp()
    all_found = [
        Example(where / f"{i}.wav", f"c{label}", NO_INDEX, NO_FOLD, f"s{source}")
        for i, (label, source) in enumerate(clips)
    ]
    sources = {f.source for f in all_found}
    if len(sources) < folds:
        with pytest.raises(DatasetError, match="too few"):
            _dealt(all_found, folds, where)
        return
    dealt = _dealt(all_found, folds, where)
    places = {}
    for clip in dealt:
        assert places.setdefault(clip.source, clip.fold) == clip.fold
    counts = [list(places.values()).count(fold) for fold in range(1, folds + 1)]
    assert max(counts) - min(counts) <= 1
