"""The group of rows that speaks for each line of a table, chosen on other clips than those that are reported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from otoscope.core.errors import OtoscopeError, ParameterError, UnknownNameError
from otoscope.results.choose import best_of_each, geometric_score, mean_rank
from otoscope.results.columns import SEVEN, SHAPES, Metric, domain_name, metrics_of, values_of
from otoscope.results.groups import Cells
from otoscope.results.halves import split_panels
from otoscope.results.marks import means
from otoscope.results.read import Rows

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
    clips : tuple of tuple of str
        On which clips in each panel; the numbers of the panel are of its others.
    seed : int or None
    same_clips : bool
        Whether they were chosen on all clips, of which the numbers are too.
    blind : tuple of int
        For how many lines of each panel no clip could choose: the first by name stands for them.
    """

    columns: tuple[str, ...]
    how: str
    metrics: tuple[str, ...]
    clips: tuple[tuple[str, ...], ...]
    seed: int | None
    same_clips: bool = False
    blind: tuple[int, ...] = ()


@dataclass(frozen=True)
class Way:
    """How to choose.

    Parameters
    ----------
    how : str
        ``rank`` (mean place over the metrics), ``score`` (audiointerp's geometric mean) or a metric.
    seed : int, optional
        Draws the half of each panel's clips; without one, every second clip.
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
    shown : ndarray (panel, clip), bool
        The clips that are reported in each panel.
    choice : Choice or None
        None where each line has one group.
    score : ndarray (line,)
        audiointerp's score of what was chosen, on the clips on which it was; NaN where it was chosen in another way.
    """

    groups: np.ndarray
    shown: np.ndarray
    choice: Choice | None
    score: np.ndarray


def pick(
    rows: Rows, cells: Cells, panel: Sequence[str], by: Sequence[str], metrics: Sequence[Metric], way: Way
) -> Picked:
    """The group of rows that speaks for each line.

    Parameters
    ----------
    rows : Rows
    cells : Cells
        Of groups by the columns that make a panel and a line, and those that are to be chosen.
    panel, by : sequence of str
        The columns that make a panel, and those that make a line in it.
    metrics : sequence of Metric
        Those that are shown, by which is chosen where the results hold none of audiointerp's seven.
    way : Way

    Returns
    -------
    Picked

    Raises
    ------
    OtoscopeError
        If no panel has two clips, or there is nothing to choose by.
    """
    panel_of, panels = cells.groups.coarser(panel)
    line_of, names = cells.groups.coarser([*panel, *by])
    known, everyone = metrics_of(rows), np.ones((len(panels), len(cells.clips)), bool)
    if way.how not in (RANK, SCORE, *known):
        raise UnknownNameError("way to choose masks", way.how, [RANK, SCORE, *known])
    unscored = np.full(len(names), np.nan)
    if len(names) == len(line_of):
        return Picked(np.argsort(line_of), everyone, None, unscored)
    varying = [name for name in cells.groups.by if name not in (*panel, *by) and not fixed(cells, line_of, name).all()]
    seen = everyone if way.same_clips else split_panels(rows, cells, panel_of, way.seed)
    if not seen.any():
        if not cells.ok.any():
            raise OtoscopeError(_nothing(rows))
        raise OtoscopeError(_too_few(varying, len(cells.clips)))
    by_metrics = _choosing(rows, known, metrics, way.how, _domains_compete(cells, line_of))
    found = _means(rows, cells, by_metrics, seen[panel_of])
    higher = np.array([bool(known[name].higher_is_better) for name in found])
    goodness = _goodness(np.stack(list(found.values()), 1), higher, line_of, way.how)
    groups = best_of_each(goodness, line_of)
    told = np.any([np.isfinite(mean) for mean in found.values()], 0)
    blind = np.bincount(line_of, told) == 0
    blind &= np.bincount(line_of, cells.groups.count(cells.ok)) > 0  # where all failed there was nothing to choose
    blind_of = np.bincount(panel_of[groups], blind, len(panels)).astype(int)
    clips = tuple(tuple(name for name, on in zip(cells.clips, half, strict=True) if on) for half in seen)
    choice = Choice(tuple(varying), way.how, tuple(found), clips, way.seed, way.same_clips, tuple(blind_of.tolist()))
    return Picked(
        groups, everyone if way.same_clips else ~seen, choice, goodness[groups] if way.how == SCORE else unscored
    )


def fixed(cells: Cells, line_of: np.ndarray, column: str) -> np.ndarray:
    """The lines in which all groups have one word of a column, ``(line,)`` bool."""
    i = cells.groups.by.index(column)
    pairs = {(int(line), name[i]) for line, name in zip(line_of, cells.groups.names, strict=True)}
    return np.bincount([line for line, _ in pairs], minlength=int(line_of.max()) + 1) == 1


def _nothing(rows: Rows) -> str:
    """What to say where every row failed."""
    said = rows.words("error") if "error" in rows.columns else None
    reason = "" if said is None else said.names[int(np.bincount(said.codes).argmax())]
    return f"all {len(rows)} rows failed, so there is nothing to compare{': ' + reason if reason else ''}"


def _too_few(columns: Sequence[str], clips: int) -> str:
    what = " and ".join(columns)
    there = "there is one clip" if clips == 1 else "each panel has one clip, or clips of one source"
    return (
        f"{there}, so the {what} of each line cannot be chosen on other clips than those that are shown; make lines by {what} "
        "too, or name one"
    )


def _means(rows: Rows, cells: Cells, by: Sequence[Metric], seen: np.ndarray) -> dict[str, np.ndarray]:
    """Means of each group over the clips that choose, ``(group,)`` by metric; of the metrics that say something."""
    found = {m.name: means(np.where(seen, cells.values(values_of(rows, m.name)), np.nan)) for m in by}
    return {name: mean for name, mean in found.items() if np.isfinite(mean).any()} or found


def _domains_compete(cells: Cells, line_of: np.ndarray) -> bool:
    """Whether a line has groups of several domains, among which is chosen."""
    i = cells.groups.by.index("domain")
    pairs = {(int(line), domain_name(name[i])) for line, name in zip(line_of, cells.groups.names, strict=True)}
    return len(pairs) > len({line for line, _ in pairs})


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


def _choosing(
    rows: Rows, known: Mapping[str, Metric], metrics: Sequence[Metric], how: str, across: bool
) -> list[Metric]:
    """The metrics by which is chosen: the one that is named, audiointerp's seven, or those that are shown.

    Where domains compete (``across``), the seven are those of the written sound, and none hangs on the grid.
    """
    if how not in (RANK, SCORE):
        if known[how].higher_is_better is None:
            raise ParameterError(f"masks cannot be chosen by {how!r}: nobody knows whether more of it is better")
        return [known[how]]
    names = [f"heard_{name}" for name in SEVEN if name not in SHAPES] if across else SEVEN
    seven = [known[name] for name in names if name in known and np.isfinite(values_of(rows, name)).any()]
    found = seven or [m for m in metrics if m.higher_is_better is not None and not m.truth and (m.across or not across)]
    if not found and across:
        raise OtoscopeError(
            "domains cannot be chosen: no metric compares them, as those of the written sound (heard_*) do; make lines by "
            "domain too, or name a metric to choose by"
        )
    if not found:
        raise OtoscopeError("masks cannot be chosen: no metric says what is better; name masks as lines, or choose one")
    return found
