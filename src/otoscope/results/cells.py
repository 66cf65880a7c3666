"""Rows as a table of groups by clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from otoscope.core.errors import ParameterError
from otoscope.results.read import Results, pandas

MAX_CELLS = 20_000_000


@dataclass(frozen=True, eq=False)
class Groups:
    """Rows grouped by the texts of the columns ``by``: the sorted ``names`` of the groups, and the group ``of`` each row."""

    by: tuple[str, ...]
    names: tuple[tuple[str, ...], ...]
    of: np.ndarray

    def __len__(self) -> int:
        return len(self.names)

    def count(self, chosen: np.ndarray) -> np.ndarray:
        """Number of chosen rows in each group, ``(group,)``."""
        return np.bincount(self.of[chosen], minlength=len(self))

    def coarser(self, by: Sequence[str]) -> tuple[np.ndarray, tuple[tuple[str, ...], ...]]:
        """The coarser group of each group by fewer columns, ``(group,)`` int, and the sorted names of these."""
        chosen = [self.by.index(name) for name in by]
        short = [tuple(name[i] for i in chosen) for name in self.names]
        places = {name: place for place, name in enumerate(sorted(set(short)))}
        return np.array([places[name] for name in short], np.int64), tuple(places)


def group_rows(results: Results, by: Sequence[str]) -> Groups:
    """Group rows by the texts of some columns."""
    labels = {name: results.labels(name) for name in by}
    codes = pandas().DataFrame({name: column.codes for name, column in labels.items()})
    of = codes.groupby(list(by), sort=True).ngroup().to_numpy()
    distinct = codes.iloc[np.unique(of, return_index=True)[1]].itertuples(index=False)
    names = (tuple(labels[name].names[c] for name, c in zip(by, row, strict=True)) for row in distinct)
    return Groups(tuple(by), tuple(names), of)


@dataclass(frozen=True, eq=False)
class Cells:
    """The rows that did not fail (``ok``) as a table of groups by clips; ``clip`` is the index of each row into ``clips``.

    With ``complete``, a clip counts in a group only if none of its rows there failed, so that means over conditions cover the same
    conditions for every clip.
    """

    groups: Groups
    clips: tuple[str, ...]
    clip: np.ndarray
    ok: np.ndarray
    complete: bool = False

    def values(self, of_rows: np.ndarray) -> np.ndarray:
        """Means over the rows of each group and clip (over seeds, for example), ``(group, clip)``; NaN without rows."""
        counted = self.ok & np.isfinite(of_rows)
        place = self.groups.of * len(self.clips) + self.clip
        size = len(self.groups) * len(self.clips)
        number = np.bincount(place[counted], minlength=size)
        total = np.bincount(place[counted], weights=of_rows[counted], minlength=size)
        if self.complete:
            number[place[~self.ok]] = 0
        mean = np.where(number > 0, total / np.maximum(number, 1), np.nan)
        return mean.reshape(len(self.groups), len(self.clips))


def cells_of(results: Results, by: Sequence[str], complete: bool = False) -> Cells:
    """Groups by clips; ``complete`` as in `Cells`. More than 20 million cells are refused."""
    groups, clips = group_rows(results, by), results.labels("clip")
    if len(groups) * len(clips.names) > MAX_CELLS:
        raise ParameterError(
            f"{', '.join(by)} make {len(groups)} lines of {len(clips.names)} clips, too many for a leaderboard; name fewer columns"
        )
    return Cells(groups, clips.names, clips.codes, ~results.failed, complete)
