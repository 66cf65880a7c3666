"""Names of classes, from whatever a user has them in, and matched between a data set and a classifier."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otoscope.classifiers.labels import class_numbers, label_names, read_labels
from otoscope.core.errors import ParameterError
from training.autoencoder_worlds import ear


def test_capitals_spaces_and_underscores_do_not_count():
    assert class_numbers(["Sea  waves", "dog"], ear(("dog", "sea_waves"))) == [1, 0]


def test_a_class_that_is_not_known_is_named_unless_it_may_be_missing():
    classifier = ear(("dog", "cat"))
    assert class_numbers(["dog", "owl"], classifier, optional=True) == []
    with pytest.raises(ParameterError, match="has no class 'owl' of the data set"):
        class_numbers(["dog", "owl"], classifier)


NAMES = ["low", "Male speech, man speaking", "high"]


@pytest.mark.parametrize(
    "labels",
    [
        NAMES,
        tuple(NAMES),
        dict(enumerate(NAMES)),
        {str(i): n for i, n in enumerate(NAMES)},
        {n: i for i, n in enumerate(NAMES)},
        {n: str(i) for i, n in reversed(list(enumerate(NAMES)))},
        {2: "high", 0: "low", 1: NAMES[1]},
    ],
)
def test_labels_come_in_the_order_of_their_numbers(labels):
    assert label_names(labels) == NAMES


@given(st.permutations(range(12)))
def test_a_mapping_in_any_order_means_the_same(order):
    assert label_names({f"class {i}": i for i in order}) == [f"class {i}" for i in range(12)]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", json.dumps(NAMES)),
        ("a.json", json.dumps({str(i): n for i, n in enumerate(NAMES)})),
        ("config.json", json.dumps({"model_type": "ast", "id2label": {"1": NAMES[1], "0": "low", "2": "high"}})),
        ("config.json", json.dumps({"label2id": {"high": 2, "low": 0, NAMES[1]: 1}})),
        ("a.csv", 'index,mid,display_name\n2,/m/3,high\n0,/m/1,low\n1,/m/2,"Male speech, man speaking"\n'),
        ("a.csv", 'label\nlow\n"Male speech, man speaking"\nhigh\n'),
        ("a.csv", '\ufefflow\n"Male speech, man speaking"\nhigh\n'),
        ("a.tsv", "id\tname\n0\tlow\n1\tMale speech, man speaking\n2\thigh\n"),
        ("a.txt", "low\n\nMale speech, man speaking \r\nhigh\n"),
    ],
)
def test_files_of_labels(tmp_path, name, text):
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    assert read_labels(file) == NAMES
    assert label_names(file) == NAMES
    assert label_names(f"@{file}") == NAMES


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ({"low", "high"}, "a set has none; pass a list"),
        (frozenset({"low"}), "a frozenset has none"),
        ("low", r"the text 'low'; for one class pass \['low'\], for a file '@low'"),
        ({0: "a", 2: "b"}, "number the classes from 0 to 1, each once; got 0, 2"),
        ({"a": 0, "b": 0}, "each once"),
        ({"a": "b"}, "must map numbers to names, or names to numbers; got 'a': 'b'"),
        (["a", "a"], "must be different"),
        (["a", " "], "not empty"),
        (True, "whole number or a list"),
        (0, "at least one class"),
        (b"ab", "whole number or a list"),
        (Path("nowhere.txt"), "nowhere.txt cannot be read"),
        ("@nowhere.txt", "nowhere.txt cannot be read"),
    ],
)
def test_labels_of_which_nobody_knows_the_order_are_refused(labels, words):
    with pytest.raises(ParameterError, match=words):
        label_names(labels)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.json", b"{", "not valid JSON"),
        ("a.json", b"3", "must hold a list"),
        ("a.csv", b"a,b\n1,2\n", "no column of labels; its header must name one of display_name"),
        ("a.csv", b"index,label\n0\n", "fewer columns"),
        ("a.csv", b"index,label\n0,a\n0,b\n", "each once"),
        ("a.txt", b"\xff\xfe\xff", "not UTF-8 text"),
    ],
)
def test_files_that_hold_no_labels_are_refused(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ParameterError, match=words):
        read_labels(tmp_path / name)
