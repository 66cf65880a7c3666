"""The group of rows that speaks for each line of a table, chosen on other clips than those that are reported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from otoscope.core.errors import OtoscopeError, ParameterError, UnknownNameError
from otoscope.study.tables.choose import best_of_each, choosing_half, geometric_score, mean_rank
from otoscope.study.tables.columns import SEVEN, Metric, metrics_of, values_of
from otoscope.study.tables.groups import Cells
from otoscope.study.tables.marks import means
from otoscope.study.tables.read import Rows

RANK, SCORE = "rank", "score"


@dataclass(frozen=True)
class Choice:
    """How the masks were chosen.

    Parameters
    ----------
    columns : tuple of str
        What was chosen: mask, domain, method.
    how : str
        ``rank``, ``score`` or a metric.
    metrics : tuple of str
        By which.
    clips : int
        On how many clips; the numbers of the table are of the others.
    seed : int or None
    same_clips : bool
        Whether they were chosen on all clips, of which the numbers are too.
    """

    columns: tuple[str, ...]
    how: str
    metrics: tuple[str, ...]
    clips: int
    seed: int | None
    same_clips: bool = False


@dataclass(frozen=True)
class Way:
    """How to choose.

    Parameters
    ----------
    how : str
        ``rank`` (mean place over the metrics), ``score`` (audiointerp's geometric mean) or a metric.
    seed : int, optional
        Draws the half of the clips; without one, every second clip.
    same_clips : bool
        Choose on all clips, of which the numbers are then too, as audiointerp does: they come out too good.
    """

    how: str = RANK
    seed: int | None = None
    same_clips: bool = False


@dataclass(frozen=True, eq=False)
class Picked:
    """What was chosen.

    Parameters
    ----------
    groups : ndarray (line,), int
        The group of rows that speaks for each line.
    shown : ndarray (clip,), bool
        The clips that are reported.
    choice : Choice or None
        None where each line has one group.
    score : ndarray (line,)
        audiointerp's score of what was chosen, on the clips on which it was; NaN where it was chosen in another way.
    """

    groups: np.ndarray
    shown: np.ndarray
    choice: Choice | None
    score: np.ndarray


def pick(rows: Rows, cells: Cells, line_by: Sequence[str], metrics: Sequence[Metric], way: Way) -> Picked:
    """The group of rows that speaks for each line.

    Parameters
    ----------
    rows : Rows
    cells : Cells
        Of groups by the columns that make a line, and those that are to be chosen.
    line_by : sequence of str
        The columns that make a line.
    metrics : sequence of Metric
        Those that are shown, by which is chosen where the results hold none of audiointerp's seven.
    way : Way

    Returns
    -------
    Picked

    Raises
    ------
    OtoscopeError
        If there is one clip alone, or nothing to choose by.
    """
    line_of, names = cells.groups.coarser(line_by)
    known, everyone = metrics_of(rows), np.ones(len(cells.clips), bool)
    if way.how not in (RANK, SCORE, *known):
        raise UnknownNameError("way to choose masks", way.how, [RANK, SCORE, *known])
    if len(names) == len(line_of):
        return Picked(np.argsort(line_of), everyone, None, np.full(len(names), np.nan))
    free = tuple(name for name in cells.groups.by if name not in line_by)
    if len(cells.clips) < 2 and not way.same_clips:
        raise OtoscopeError(
            f"there is one clip, so the {' and '.join(free)} of each line cannot be chosen on other clips than those that are "
            f"shown; make lines by {' and '.join(free)} too, or name one"
        )
    seen = everyone if way.same_clips else choosing_half(len(cells.clips), way.seed)
    by = _choosing(rows, known, metrics, way.how)
    found = {m.name: means(cells.values(values_of(rows, m.name))[:, seen]) for m in by}
    found = {name: mean for name, mean in found.items() if np.isfinite(mean).any()} or found
    higher = np.array([bool(known[name].higher_is_better) for name in found])
    goodness = _goodness(np.stack(list(found.values()), 1), higher, line_of, way.how)
    groups = best_of_each(goodness, line_of)
    choice = Choice(free, way.how, tuple(found), int(seen.sum()), way.seed, way.same_clips)
    score = goodness[groups] if way.how == SCORE else np.full(len(names), np.nan)
    return Picked(groups, everyone if way.same_clips else ~seen, choice, score)


def _goodness(seen: np.ndarray, higher: np.ndarray, line_of: np.ndarray, how: str) -> np.ndarray:
    """How good each group is among those of its line, ``(group,)``, by its means ``(group, metric)``."""
    if how == SCORE:
        return geometric_score(seen, higher)
    if how != RANK:
        return np.asarray(np.where(higher[0], 1.0, -1.0) * seen[:, 0])
    goodness = np.zeros(len(line_of))
    order = np.argsort(line_of, kind="stable")
    for mine in np.split(order, np.cumsum(np.bincount(line_of))[:-1]):
        goodness[mine] = -mean_rank(seen[mine], higher)
    return goodness


def _choosing(rows: Rows, known: Mapping[str, Metric], metrics: Sequence[Metric], how: str) -> list[Metric]:
    """The metrics by which is chosen: the one that is named, audiointerp's seven, or those that are shown."""
    if how not in (RANK, SCORE):
        if known[how].higher_is_better is None:
            raise ParameterError(f"masks cannot be chosen by {how!r}: nobody knows whether more of it is better")
        return [known[how]]
    seven = [known[name] for name in SEVEN if name in known and np.isfinite(values_of(rows, name)).any()]
    found = seven or [m for m in metrics if m.higher_is_better is not None and not m.truth]
    if not found:
        raise OtoscopeError("masks cannot be chosen: no metric says what is better; name masks as lines, or choose one")
    return found
