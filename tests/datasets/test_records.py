"""Folds and splits: known answers, and the law that no source lies on two sides."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otoscope.core.errors import OtoscopeError, ParameterError
from otoscope.datasets import Dataset, Example


def data(folds, sources=None, **more):
    sources = sources or [f"s{i}" for i in range(len(folds))]
    examples = [
        Example(Path(f"{i}.wav"), "a", 0, fold, source)
        for i, (fold, source) in enumerate(zip(folds, sources, strict=True))
    ]
    return Dataset("toy", ("a",), tuple(examples), **more)


def names(part):
    return [e.path.stem for e in part.examples]


def test_an_example_is_frozen_and_whole_by_default():
    example = Example(Path("a.wav"), "a", 0, 1, "s")
    assert (example.start_s, example.stop_s) == (0.0, None)
    with pytest.raises(AttributeError):
        example.fold = 2


@pytest.mark.parametrize(
    ("folds", "ordered"),
    [
        ([10, 2, 1, 2], [1, 2, 10]),
        (["test", "validation", "train"], ["train", "validation", "test"]),
        (["theo", "george", "test", 3], [3, "test", "george", "theo"]),
    ],
)
def test_fold_names_are_in_order(folds, ordered):
    assert data(folds).fold_names() == ordered


def test_folds_keep_all_but_the_examples():
    whole = data([1, 2, 3, 1], licence="CC0", citation="k", validation={1: 3})
    part = whole.folds([1])
    assert names(part) == ["0", "3"]
    assert (part.name, part.labels, part.licence, part.citation, part.validation) == ("toy", ("a",), "CC0", "k", {1: 3})


def test_an_unknown_fold_lists_those_that_exist():
    with pytest.raises(ParameterError, match=r"toy has folds \[1, 2, 'x'\]; got \[4, 'y'\]"):
        data([1, 2, "x"]).folds([1, "y", 4])


@pytest.mark.parametrize(
    ("folds", "test", "validation", "given_"),
    [
        ([1, 2, 3, 4, 5], 1, 2, {}),
        ([1, 2, 3, 4, 5], 5, 1, {}),
        ([1, 2, 3], 3, 2, {3: 2}),
        ([1, 2, 3], 3, 1, {3: 7}),  # one that does not exist is passed over
        (["train", "validation", "test"], "test", "validation", {}),
        (["george", "jackson", "theo"], "theo", "george", {}),
    ],
)
def test_the_fold_for_validation(folds, test, validation, given_):
    whole = data(folds, validation=given_)
    assert whole.next_fold([test]) == validation
    train, held, last = whole.split(test)
    assert {e.fold for e in held.examples} == {validation}
    assert {e.fold for e in last.examples} == {test}
    assert {e.fold for e in train.examples} == set(folds) - {test, validation}


def test_several_test_folds_are_never_for_validation():
    assert data([1, 2, 3, 4, 5]).next_fold([4, 5]) == 1
    assert data([1, 2, 3, 4, 5]).next_fold([5, 1]) == 2
    assert data([1, 2, 3, 4, 5]).next_fold([1, 2]) == 3


def test_a_given_validation_fold_or_none():
    whole = data([1, 2, 3, 4])
    assert [names(p) for p in whole.split(1, 4)] == [["1", "2"], ["3"], ["0"]]
    assert [names(p) for p in whole.split(1, "")] == [["1", "2", "3"], [], ["0"]]
    assert [names(p) for p in data(["train", "test"]).split("test", "")] == [["0"], [], ["1"]]


def test_splits_that_cannot_be():
    whole = data([1, 2, 3])
    with pytest.raises(ParameterError, match="fold 2 cannot serve both validation and test"):
        whole.split(2, 2)
    with pytest.raises(ParameterError, match=r"has folds \[1, 2, 3\]; got \[9\]"):
        whole.split(9)
    with pytest.raises(ParameterError, match=r"got \[8\]"):
        whole.split(1, 8)
    with pytest.raises(ParameterError, match="two others are needed"):
        data([1, 2]).split(1)
    with pytest.raises(ParameterError, match="none is left to train on"):
        data([1, 2]).split(1, 2)
    with pytest.raises(ParameterError, match="two others are needed"):
        whole.next_fold([])


def test_a_source_on_two_sides_is_named():
    whole = data([1, 2, 3, 1], ["x", "y", "rec-7", "rec-7"])
    with pytest.raises(ParameterError, match=r"'rec-7': 3\.wav in fold 1, 2\.wav in fold 3") as caught:
        whole.split(3)
    assert isinstance(caught.value, OtoscopeError)
    whole.split(2, "")[0].check_apart([whole.folds([2]), whole.folds([1])])


@given(
    places=st.lists(st.tuples(st.integers(1, 6), st.integers(0, 12)), min_size=3, max_size=40),
    test=st.integers(1, 6),
    apart=st.booleans(),
)
def test_the_parts_of_a_split_are_apart_or_refused(places, test, apart):
    """Every clip is in one part, no source in two; where that cannot be, there is an error."""
    sources = [f"{fold if apart else ''}-{source}" for fold, source in places]
    whole = data([fold for fold, _ in places], sources)
    enough = len(whole.fold_names()) >= 3 and test in whole.fold_names()
    if not enough or (not apart and _mixed(whole, test)):
        with pytest.raises(ParameterError, match="one source" if enough else "folds"):
            whole.split(test)
        return
    parts = whole.split(test)
    assert sorted(n for part in parts for n in names(part)) == sorted(names(whole))
    seen = [{e.source for e in part.examples} for part in parts]
    assert sum(map(len, seen)) == len(set.union(*seen))
    assert all(len(part) for part in parts)


def _mixed(whole, test):
    """Whether a source is on two sides, where the fold after the test fold is for validation."""
    order = whole.fold_names()
    held = order[(order.index(test) + 1) % len(order)]
    sides = {}
    for e in whole.examples:
        sides.setdefault(e.source, set()).add("test" if e.fold == test else "held" if e.fold == held else "train")
    return any(len(s) > 1 for s in sides.values())
