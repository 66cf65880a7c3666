"""A data set: named clips with a class, a fold and a source."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import TypeVar

import numpy as np

from otoscope.core.errors import OtoscopeError, ParameterError

T = TypeVar("T")

Fold = int | str
OFFICIAL = ("train", "validation", "test")
"""Names of the folds of a data set that comes with its split."""


class DatasetError(OtoscopeError, FileNotFoundError):
    """A data set folder that is missing, incomplete or contradicts itself.

    Examples
    --------
    >>> load_dataset("esc50", "nowhere")
    Traceback (most recent call last):
    ...
    otoscope.datasets.records.DatasetError: nowhere is not there; give the folder that holds esc50, or fetch it ...
    """


@dataclass(frozen=True)
class Example:
    """One labelled clip.

    Parameters
    ----------
    path : Path
        The sound file.
    label : str
        Name of the class.
    index : int
        Of the class, in the data set's labels.
    fold : int or str
        The fold that it belongs to.
    source : str
        Name of the recording that it was cut from, or of who speaks; clips of one source belong in one fold.
    start_s, stop_s : float, s
        The part of the file that is meant; None: to its end.

    Examples
    --------
    >>> import pathlib
    >>> Example(pathlib.Path("bark.wav"), label="dog", index=0, fold=1, source="garden").stop_s is None  # to its end
    True
    """

    path: Path
    label: str
    index: int
    fold: Fold
    source: str
    start_s: float = 0.0
    stop_s: float | None = None


@dataclass(frozen=True)
class Dataset:
    """Labelled clips.

    Parameters
    ----------
    name : str
        Name for messages and records.
    labels : tuple of str
        Names of the classes, in the order of their indices.
    examples : tuple of Example
        The clips.
    licence : str
        Licence of the clips; empty if not recorded.
    citation : str
        Keys of ``docs/references.bib``.
    validation : mapping of fold to fold
        Which fold is for validation when a fold is for the test; for those not named, the next one in order.

    Examples
    --------
    >>> data = load_dataset("scenes,clips=4,seconds=0.1,sample_rate=8000,kinds=rain+bell,folds=2", "toy")
    >>> len(data), data.labels, data.fold_names()
    (4, ('rain', 'bell'), [1, 2])
    >>> train, validation, test = data.split(test=1, validation="")
    >>> len(train), len(validation), len(test)
    (2, 0, 2)
    """

    name: str
    labels: tuple[str, ...]
    examples: tuple[Example, ...]
    licence: str = ""
    citation: str = ""
    validation: Mapping[Fold, Fold] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.examples)

    def fold_names(self) -> list[Fold]:
        """Names of the folds: numbers rising, then train, validation, test, then other names by the alphabet."""
        return sorted({e.fold for e in self.examples}, key=_rank)

    def folds(self, wanted: Iterable[Fold]) -> Dataset:
        """The part that lies in these folds.

        Raises
        ------
        ParameterError
            For a fold that does not exist.
        """
        chosen, known = set(wanted), self.fold_names()
        unknown = sorted(chosen - set(known), key=_rank)
        if unknown:
            raise ParameterError(f"{self.name} has folds {known}; got {unknown}")
        return dataclasses.replace(self, examples=tuple(e for e in self.examples if e.fold in chosen))

    def next_fold(self, test: Sequence[Fold]) -> Fold:
        """The fold for validation when ``test`` are for the test.

        That is what ``validation`` names for the last of them, else the fold ``"validation"`` of a data set that comes
        with its split, else the next one in order (the first follows the last) that is not a test fold.

        Raises
        ------
        ParameterError
            For a fold that does not exist, or where no two other folds are left, one of them to train on.
        """
        self.folds(test)
        names = self.fold_names()
        free = [n for n in names if n not in test]
        if not test or len(free) < 2:
            raise ParameterError(
                f"{self.name} has folds {names}; with {list(test)} for the test, two others are needed, one for validation "
                "and one to train on; name the folds, or go without validation"
            )
        given = self.validation.get(test[-1], "validation" if set(names) <= set(OFFICIAL) else None)
        if given in free:
            return given
        start = names.index(test[-1])
        return next(n for n in names[start + 1 :] + names[:start] if n in free)

    def split(self, test: Fold, validation: Fold | None = None) -> tuple[Dataset, Dataset, Dataset]:
        """The parts to train on, to validate with, and to test on.

        Parameters
        ----------
        test : int or str
            A fold.
        validation : int or str, optional
            Another fold; by default `next_fold`. An empty string: none, and the second part is empty.

        Returns
        -------
        train, validation, test : Dataset

        Raises
        ------
        ParameterError
            For folds that do not exist or are one, nothing left to train on, or a source on two sides.
        """
        held = self.next_fold([test]) if validation is None else validation
        if held == test:
            raise ParameterError(f"fold {test!r} cannot serve both validation and test; {self.fold_names()} exist")
        sides = {test} if held == "" else {test, held}
        self.folds(sides)
        rest = [n for n in self.fold_names() if n not in sides]
        if not rest:
            raise ParameterError(
                f"{self.name} has folds {self.fold_names()}; none is left to train on with {held!r} for validation and "
                f"{test!r} for the test"
            )
        parts = (self.folds(rest), self.folds(sides - {test}), self.folds([test]))
        self.check_apart(parts)
        return parts

    def parts(self, validation: Sequence[Fold] = (), test: Sequence[Fold] = ()) -> dict[str, Dataset]:
        """Clips for training (all folds that are not named), and for validation and test if folds are named for them.

        Raises
        ------
        ParameterError
            For folds that do not exist or are named twice, nothing left to train on, or a source on two sides.
        """
        if shared := sorted(set(validation) & set(test), key=_rank):
            raise ParameterError(f"fold {shared[0]!r} cannot serve both validation and test; {self.fold_names()} exist")
        rest = [name for name in self.fold_names() if name not in (*validation, *test)]
        if not rest:
            raise ParameterError(
                f"{self.name} has folds {self.fold_names()}; none is left to train on; name fewer for validation and test"
            )
        chosen = {"training": self.folds(rest)}
        for name, folds in (("validation", validation), ("test", test)):
            if folds:
                chosen[name] = self.folds(folds)
        self.check_apart(list(chosen.values()))
        return chosen

    def check_apart(self, parts: Sequence[Dataset]) -> None:
        """Make sure that no source has clips in two of the parts.

        Raises
        ------
        ParameterError
            That names one.
        """
        for a, b in combinations(parts, 2):
            places = {e.source: e for e in a.examples}
            shared = sorted({e.source for e in b.examples} & set(places))
            if shared:
                one, other = places[shared[0]], next(e for e in b.examples if e.source == shared[0])
                raise ParameterError(
                    f"{self.name}: clips of one source lie on two sides of the split, {len(shared)} times; the first is "
                    f"{shared[0]!r}: {one.path.name} in fold {one.fold!r}, {other.path.name} in fold {other.fold!r}; "
                    "keep the folds of a source together"
                )


def _rank(fold: Fold) -> tuple[int, float, str]:
    if isinstance(fold, int):
        return 0, fold, ""
    if fold in OFFICIAL:
        return 1, OFFICIAL.index(fold), ""
    return 2, 0, fold


def spread(items: Sequence[T], most: int) -> list[T]:
    """At most so many of a sequence, evenly over all of it.

    Examples
    --------
    >>> spread(range(10), 4)
    [0, 3, 6, 9]
    """
    chosen = np.unique(np.linspace(0, len(items) - 1, min(most, len(items))).round().astype(int))
    return [items[i] for i in chosen]
