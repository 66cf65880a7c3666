"""Rows by what they have in common, and the values of each such group, clip by clip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from otoscope.core.errors import ParameterError
from otoscope.results.read import Rows, failed

MOST_CELLS = 20_000_000


@dataclass(frozen=True, eq=False)
class Groups:
    """Rows by the words of some columns.

    Parameters
    ----------
    by : tuple of str
        The columns.
    names : tuple of tuple of str
        The words of each group, sorted.
    of : ndarray (row,), int
        The group of each row.
    """

    by: tuple[str, ...]
    names: tuple[tuple[str, ...], ...]
    of: np.ndarray

    def __len__(self) -> int:
        return len(self.names)

    def count(self, chosen: np.ndarray) -> np.ndarray:
        """How many of the rows that are chosen each group has, ``(group,)``."""
        return np.bincount(self.of[chosen], minlength=len(self))

    def coarser(self, by: Sequence[str]) -> tuple[np.ndarray, tuple[tuple[str, ...], ...]]:
        """For each group its place among the names that some of its columns make, and these names, sorted."""
        chosen = [self.by.index(name) for name in by]
        short = [tuple(name[i] for i in chosen) for name in self.names]
        places = {name: place for place, name in enumerate(sorted(set(short)))}
        return np.array([places[name] for name in short], np.int64), tuple(places)


def group_rows(rows: Rows, by: Sequence[str]) -> Groups:
    """The groups that the words of some columns make.

    Raises
    ------
    UnknownNameError
        For a column that is not there.
    """
    columns = [rows.words(name) for name in by]
    shape = tuple(len(column.names) for column in columns)
    code = np.zeros(len(rows), np.int64)
    for column, size in zip(
        columns, shape, strict=True
    ):  # dense after each column, so that no product of sizes overflows
        _, code = np.unique(code * size + column.codes, return_inverse=True)
    first = np.full(int(code.max(initial=-1)) + 1, -1, np.int64)
    first[code[::-1]] = np.arange(len(rows))[::-1]
    names = tuple(tuple(column.names[column.codes[row]] for column in columns) for row in first)
    return Groups(tuple(by), names, code)


@dataclass(frozen=True, eq=False)
class Cells:
    """The rows that did not fail, as a table of groups and clips.

    Parameters
    ----------
    groups : Groups
    clips : tuple of str
        Sorted.
    clip : ndarray (row,), int
    ok : ndarray (row,), bool
    whole : bool
        A clip counts in a group only where none of its rows there failed: else means of several conditions would be of others.
    """

    groups: Groups
    clips: tuple[str, ...]
    clip: np.ndarray
    ok: np.ndarray
    whole: bool = False

    def values(self, of_rows: np.ndarray) -> np.ndarray:
        """Means over the rows of each group and clip (seeds, say), ``(group, clip)``; NaN where there is none."""
        counted = self.ok & np.isfinite(of_rows)
        place = self.groups.of[counted] * len(self.clips) + self.clip[counted]
        size = len(self.groups) * len(self.clips)
        number = np.bincount(place, minlength=size)
        total = np.bincount(place, weights=of_rows[counted], minlength=size)
        if self.whole:
            lost = self.groups.of[~self.ok] * len(self.clips) + self.clip[~self.ok]
            number[lost] = 0
        with np.errstate(invalid="ignore"):
            return np.where(number > 0, total / np.maximum(number, 1), np.nan).reshape(
                len(self.groups), len(self.clips)
            )


def cells_of(rows: Rows, by: Sequence[str], whole: bool = False) -> Cells:
    """Groups by clips; ``atomic_write`` as in `Cells`.

    Raises
    ------
    ParameterError
        For so many groups that no table can hold them.
    """
    groups, clips = group_rows(rows, by), rows.words("clip")
    if len(groups) * len(clips.names) > MOST_CELLS:
        raise ParameterError(
            f"{', '.join(by)} make {len(groups)} lines of {len(clips.names)} clips, too many for a table; name fewer columns"
        )
    return Cells(groups, clips.names, clips.codes, ~failed(rows), whole)
