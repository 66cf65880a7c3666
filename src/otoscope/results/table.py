"""From rows to a table: one line a method and domain, its mask chosen on other clips, with intervals, tests and failures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from otoscope.core.errors import OtoscopeError, ParameterError, UnknownNameError
from otoscope.core.jsonable import to_jsonable
from otoscope.results.agree import Agreement
from otoscope.results.columns import Metric, choose_metrics
from otoscope.results.failures import Failure, list_failures
from otoscope.results.groups import Cells, cells_of
from otoscope.results.lines import NAMED, Line, Work
from otoscope.results.pick import RANK, Choice, Way, pick
from otoscope.results.read import Rows, failed
from otoscope.results.roles import role_of

PANEL = ("condition", "classifier")


@dataclass(frozen=True)
class Ask:
    """What a table shall show.

    Parameters
    ----------
    metrics : tuple of str
        As `choose_metrics` takes them; empty for the usual ones.
    by : tuple of str
        Columns that make a line; where method, domain or mask is not among them, the best one is chosen.
    only : mapping of str to tuple of str
        Words of a column to which the rows are limited.
    pool : tuple of {"condition", "classifier"}
        What makes no panels of its own: its rows are taken together, a clip that is there under several conditions by its mean.
    sort : str
        A metric, ``seconds`` or ``name``; empty for the first metric by which domains can be compared, else the first.
        By a metric that hangs on the grid, lines are sorted domain by domain.
    choose : str
        How masks are chosen: ``rank`` (mean place over the metrics), ``score`` (audiointerp's geometric mean) or a metric.
    seed : int or None
        Draws the half of the clips on which masks are chosen; None takes every second clip of each panel.
    same_clips : bool
        Choose masks on the clips that are reported, as audiointerp does: the numbers come out too good.
    level : float in (0, 1)
        Of the intervals.
    draws : int
        How often clips are drawn anew.
    """

    metrics: tuple[str, ...] = ()
    by: tuple[str, ...] = ("method", "domain")
    only: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    pool: tuple[str, ...] = ()
    sort: str = ""
    choose: str = RANK
    seed: int | None = None
    same_clips: bool = False
    level: float = 0.95
    draws: int = 1000


@dataclass(frozen=True)
class Table:
    """A table of results.

    Parameters
    ----------
    title : str
    by : tuple of str
    choice : Choice or None
        None where nothing had to be chosen: then the numbers are of all clips.
    panels : tuple of mapping
        Condition and classifier of each.
    metrics : tuple of Metric
    lines : tuple of Line
        Sorted within their panel.
    failures : tuple of Failure
    agreements : tuple of Agreement
        Of each metric with each one of truth.
    clips, of_clips, rows, failed : int
        Counts of what the table rests on: clips that are reported in some panel, of all that did not fail everywhere.
    panel_clips : tuple of int
        How many are reported in each panel.
    sources : int
        From how many sources the reported clips come; 0 where each is its own.
    level : float
    draws : int
    sort : str
    notes : tuple of str
        What a reader must know of how the rows were read.
    about : mapping
        What the study says of itself.
    sanity : tuple of mapping
        Whether the explanations depend on what they should: one a classifier, method and domain, as the study wrote it.
    pooled : mapping of str to tuple of str
        The conditions or classifiers that were taken together.
    """

    title: str
    by: tuple[str, ...]
    choice: Choice | None
    panels: tuple[Mapping[str, str], ...]
    metrics: tuple[Metric, ...]
    lines: tuple[Line, ...]
    failures: tuple[Failure, ...]
    agreements: tuple[Agreement, ...]
    clips: int
    of_clips: int
    rows: int
    failed: int
    panel_clips: tuple[int, ...]
    sources: int
    level: float
    draws: int
    sort: str
    notes: tuple[str, ...]
    about: Mapping[str, Any]
    sanity: tuple[Mapping[str, Any], ...] = ()
    pooled: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def of_panel(self, panel: int) -> list[Line]:
        """Its lines, in order."""
        return [line for line in self.lines if line.panel == panel]

    def as_plain(self) -> dict[str, Any]:
        """All of it as JSON can hold it."""
        out: dict[str, Any] = to_jsonable(asdict(self))
        for line, written in zip(self.lines, out["lines"], strict=True):
            for value, number in zip(line.values, written["values"], strict=True):
                number["alike"] = bool(value.alike)
        return out


def make_table(rows: Rows, ask: Ask | None = None) -> Table:
    """Summarise rows.

    Parameters
    ----------
    rows : Rows
    ask : Ask, optional

    Raises
    ------
    OtoscopeError
        For columns, words or metrics that are not there, or where masks would have to be chosen on a single clip.
    """
    ask = Ask() if ask is None else ask
    _check(ask)
    rows = select(rows, ask.only)
    metrics = choose_metrics(rows, ask.metrics)
    panel = [name for name in PANEL if name not in (*ask.by, *ask.pool)]
    free = [name for name in NAMED if name not in ask.by]
    cells = cells_of(rows, [*panel, *ask.by, *free], whole=bool(ask.pool))
    picked = pick(rows, cells, panel, ask.by, metrics, Way(ask.choose, ask.seed, ask.same_clips))
    line_of, names = cells.groups.coarser([*panel, *ask.by])
    sort = _sort_by(ask.sort, metrics)
    panels = sorted({name[: len(panel)] for name in names})
    panel_of_line = np.array([panels.index(name[: len(panel)]) for name in names])
    work = Work(rows, cells, (line_of, panel_of_line), ask.by, metrics, picked)
    about = _about(cells, line_of, names, panels, ask.by, work.chosen)
    lines: list[Line] = []
    found: list[Agreement] = []
    for place in range(len(panels)):
        mine = np.flatnonzero(panel_of_line == place)
        some, agreed = work.panel(mine, [about[i] for i in mine], ask.level, ask.draws)
        lines += sorted(some, key=lambda line: _order(line, sort, metrics))
        found += agreed
    return Table(
        title=str(rows.about.get("title") or "Results"),
        by=ask.by,
        choice=picked.choice,
        panels=tuple(dict(zip(panel, words, strict=True)) for words in panels),
        metrics=metrics,
        lines=tuple(lines),
        failures=list_failures(rows),
        agreements=tuple(found),
        **_counts(cells, work, panel_of_line),
        rows=len(rows),
        failed=int(failed(rows).sum()),
        level=ask.level,
        draws=ask.draws,
        sort=sort,
        notes=rows.notes,
        about=rows.about,
        sanity=tuple(row for row in rows.sanity if _asked(row, ask.only)),
        pooled={name: rows.words(name).names for name in ask.pool},
    )


def _counts(cells: Cells, work: Work, panel_of_line: np.ndarray) -> dict[str, Any]:
    """Clips and sources on which the table rests."""
    each = [work.counted[panel_of_line == place].any(0) for place in range(int(panel_of_line.max()) + 1)]
    reported = np.flatnonzero(np.any(each, 0))
    sources = len(np.unique(work.source[reported]))
    return {
        "clips": len(reported),
        "of_clips": len(np.unique(cells.clip[cells.ok])),
        "panel_clips": tuple(int(clips.sum()) for clips in each),
        "sources": sources if sources < len(reported) else 0,
    }


def _asked(row: Mapping[str, Any], only: Mapping[str, Sequence[str]]) -> bool:
    return all(str(row[column]) in words for column, words in only.items() if column in row)


def select(rows: Rows, only: Mapping[str, Sequence[str]]) -> Rows:
    """The rows that have one of the given words in each of the given columns.

    Raises
    ------
    UnknownNameError
        For a column or a word that is not there.
    OtoscopeError
        If no row has them all.
    """
    chosen = np.ones(len(rows), bool)
    for column, wanted in only.items():
        words = rows.words(column)
        for word in wanted:
            if word not in words.names:
                raise UnknownNameError(f"{column} of the results", word, words.names)
        chosen &= np.array([name in wanted for name in words.names])[words.codes]
    if not chosen.any():
        asked = "; ".join(f"{column} {', '.join(wanted)}" for column, wanted in only.items())
        raise OtoscopeError(f"no row of the results has {asked} together; leave one out")
    return rows if chosen.all() else rows.take(chosen)


def _check(ask: Ask) -> None:
    if not ask.by or len(set(ask.by)) < len(ask.by):
        raise ParameterError(f"a line is made by different columns; got {', '.join(ask.by) or 'none'}")
    for name in ask.pool:
        if name not in PANEL:
            raise UnknownNameError("what can be pooled", name, PANEL)
        if name in ask.by:
            raise ParameterError(f"{name} cannot make lines and be pooled")
    if not 0 < ask.level < 1:
        raise ParameterError(f"the level of intervals lies between 0 and 1; got {ask.level!r}")
    if not 1 <= ask.draws <= 1_000_000:
        raise ParameterError(f"clips are drawn anew 1 to 1000000 times; got {ask.draws!r}")
    if ask.seed is not None and ask.seed < 0:
        raise ParameterError(f"a seed is at least 0; got {ask.seed!r}")


def _sort_by(sort: str, metrics: Sequence[Metric]) -> str:
    known = [*(m.name for m in metrics), "seconds", "name"]
    if sort and sort not in known:
        raise UnknownNameError("order of the table", sort, known)
    return sort or next((m.name for m in metrics if m.across), metrics[0].name)


def _order(line: Line, sort: str, metrics: Sequence[Metric]) -> tuple[Any, ...]:
    """A key to sort by: best first; by a metric that hangs on the grid, domain by domain."""
    if sort == "name":
        return tuple(line.name.values())
    key, higher, domain = line.seconds, False, ""
    for metric, value in zip(metrics, line.values, strict=True):
        if metric.name == sort:
            key, higher = value.mean, metric.higher_is_better is not False
            domain = "" if metric.across else line.domain
    missing = bool(np.isnan(key))
    return (domain, missing, 0.0 if missing else -key if higher else key, *line.name.values())


def _about(
    cells: Cells,
    line_of: np.ndarray,
    names: Sequence[tuple[str, ...]],
    panels: Sequence[tuple[str, ...]],
    by: Sequence[str],
    chosen: Sequence[Mapping[str, str]],
) -> list[dict[str, Any]]:
    """What is known of each line without its numbers: panel, name, role, rows and failures."""
    width = len(panels[0])
    total = np.bincount(line_of, weights=cells.groups.count(np.ones(len(cells.ok), bool)))
    lost = np.bincount(line_of, weights=cells.groups.count(~cells.ok))
    out = []
    for i, words in enumerate(names):
        name = dict(zip(by, words[width:], strict=True))
        role = role_of(name.get("method") or chosen[i].get("method", ""))
        place = panels.index(words[:width])
        out.append({"panel": place, "name": name, "role": role, "rows": int(total[i]), "failed": int(lost[i])})
    return out
