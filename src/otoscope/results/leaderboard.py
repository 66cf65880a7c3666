"""Leaderboards: one line per method and domain, with its mask chosen on held-out clips, intervals, tests and failures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from otoscope.core.errors import UnknownNameError
from otoscope.core.jsonable import to_jsonable
from otoscope.results.cells import cells_of
from otoscope.results.compare import Agreement
from otoscope.results.lines import NAMED, Line, LineMaker
from otoscope.results.metrics import Metric, choose_metrics
from otoscope.results.read import Results, pandas
from otoscope.results.select import PANEL, Choice, LeaderboardOptions, select_masks

FAILURE = ("condition", "classifier", "method", "domain")
CLIPS_OF_FAILURE = 5


@dataclass(frozen=True)
class Failure:
    """Rows that failed for one reason.

    Parameters
    ----------
    condition, classifier, method, domain : str
        The texts that the rows share.
    reason : str
        The error message.
    rows : int
        Number of rows.
    clips : tuple of str
        The first few of their clips.
    """

    condition: str
    classifier: str
    method: str
    domain: str
    reason: str
    rows: int
    clips: tuple[str, ...]


@dataclass(frozen=True)
class Leaderboard:
    """A table of results.

    Parameters
    ----------
    title : str
        Title of the study.
    by : tuple of str
        The columns that make a line.
    choice : Choice or None
        How masks were chosen; None if there was nothing to choose, in which case all clips are reported.
    panels : tuple of mapping
        Condition and classifier of each.
    metrics : tuple of Metric
        One for each value of a line.
    lines : tuple of Line
        Sorted within their panel.
    failures : tuple of Failure
        By reason, most rows first.
    agreements : tuple of Agreement
        Of each metric with each ground-truth metric.
    clips, of_clips, rows, failed : int
        Number of reported clips, of clips with any row that did not fail, of rows, and of failed rows.
    panel_clips : tuple of int
        Number of reported clips of each panel.
    sources : int
        Number of sources of the reported clips; 0 if each clip is its own.
    level : float
        Confidence level of the intervals.
    draws : int
        Number of bootstrap resamples.
    sort : str
        The metric, ``seconds`` or ``name``.
    notes : tuple of str
        Notes on how the rows were read.
    about : mapping
        Contents of ``study.json``.
    sanity : tuple of mapping
        Rows of ``sanity.json``: results of sanity checks per classifier, method and domain.
    pooled : mapping of str to tuple of str
        The conditions or classifiers that were pooled.

    Examples
    --------
    >>> board = make_leaderboard(read_results("study"))
    >>> [(line.name["method"], round(line.values[0].mean, 2)) for line in board.lines]
    [('lime', 0.7), ('gradient', 0.2)]
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
        """Lines of a panel, in order."""
        return [line for line in self.lines if line.panel == panel]

    @property
    def line_columns(self) -> list[str]:
        """The columns that name a line: those that make it, then those chosen for it."""
        return [*self.by, *(self.lines[0].chosen if self.lines else ())]

    def within_domains(self) -> list[Metric]:
        """The metrics that are compared within a domain only, if there are lines of several domains."""
        several = len({line.domain for line in self.lines if line.domain}) > 1
        return [m for m in self.metrics if several and not m.across and m.higher_is_better is not None]

    def chance_levels(self) -> list[tuple[int, str, list[float]]]:
        """Panel, domain, and chance level of each metric (NaN if unknown), where at least one is known."""
        found: dict[tuple[int, str], list[float]] = {}
        for line in self.lines:
            levels = [value.chance for value in line.values]
            if any(math.isfinite(level) for level in levels):
                found.setdefault((line.panel, line.labels.get("domain", "")), levels)
        return [(*key, found[key]) for key in sorted(found)]

    def title_of(self, column: str, text: str) -> str:
        """The study's title of a text of a column, or the text."""
        known = self.about.get(f"{column}s")
        found = known.get(text) if isinstance(known, dict) else None
        return str((found.get("title") if isinstance(found, dict) else found) or text)

    def panel_title(self, panel: int) -> str:
        """Titles of condition and classifier of a panel; empty for a single panel without a name."""
        return ", ".join(filter(None, (self.title_of(*item) for item in self.panels[panel].items())))

    def line_title(self, line: Line) -> str:
        """The study's title of a line's method if it differs from its name, else an empty text."""
        keys = ("name",) if line.labels.get("name") else ("method", "domain")
        for entry in self.titled_methods():
            if all(line.labels.get(key) and line.labels[key] == entry.get(key) for key in keys):
                return str(entry["title"])
        return ""

    def titled_methods(self) -> list[Mapping[str, Any]]:
        """Entries of the study's methods whose title differs from their name."""
        known = self.about.get("methods")
        entries = [entry for entry in known if isinstance(entry, dict)] if isinstance(known, list | tuple) else []
        return [entry for entry in entries if entry.get("title") and entry["title"] != entry.get("name")]

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON-able data."""
        out: dict[str, Any] = to_jsonable(asdict(self))
        for line, written in zip(self.lines, out["lines"], strict=True):
            for value, number in zip(line.values, written["values"], strict=True):
                number["alike"] = bool(value.alike)
        return out


def make_leaderboard(results: Results, options: LeaderboardOptions | None = None) -> Leaderboard:
    """Summarise results.

    Parameters
    ----------
    results : Results
        Rows of one or several studies.
    options : LeaderboardOptions, optional
        What to show; the defaults of `LeaderboardOptions` if None.

    Raises
    ------
    OtoscopeError
        For unknown columns, texts or metrics, or if masks would have to be chosen on a single clip.

    Examples
    --------
    >>> board = make_leaderboard(read_results("study"), LeaderboardOptions(metrics=("kept",)))
    >>> board.clips, [line.values[0].mark for line in board.lines]
    (2, ['best', 'second'])
    """
    options = options or LeaderboardOptions()
    options.check()
    results = results.where(options.only)
    metrics = choose_metrics(results, options.metrics)
    panel = [name for name in PANEL if name not in (*options.by, *options.pool)]
    free = [name for name in NAMED if name not in options.by]
    cells = cells_of(results, [*panel, *options.by, *free], complete=bool(options.pool))
    selection = select_masks(results, cells, panel, metrics, options)
    sort = _sort_by(options.sort, metrics)
    maker = LineMaker(results, cells, panel, metrics, selection, options)
    lines: list[Line] = []
    agreements: list[Agreement] = []
    for place in range(len(maker.panels)):
        some, agreed = maker.panel(place)
        lines += sorted(some, key=lambda line: _order(line, sort, metrics))
        agreements += agreed
    return Leaderboard(
        title=str(results.about.get("title") or "Results"),
        by=options.by,
        choice=selection.choice,
        panels=tuple(dict(zip(panel, texts, strict=True)) for texts in maker.panels),
        metrics=metrics,
        lines=tuple(lines),
        failures=list_failures(results),
        agreements=tuple(agreements),
        of_clips=len(np.unique(cells.clip[cells.ok])),
        **_reported(maker),
        rows=len(results),
        failed=int(results.failed.sum()),
        level=options.level,
        draws=options.draws,
        sort=sort,
        notes=results.notes,
        about=results.about,
        sanity=tuple(row for row in results.sanity if _requested(row, options.only)),
        pooled={name: results.labels(name).names for name in options.pool},
    )


def list_failures(results: Results) -> tuple[Failure, ...]:
    """Failures by reason, most rows first."""
    lost = results.take(results.failed)
    if not len(lost):
        return ()
    reason = "error" if "error" in lost.columns else "status"
    by = [*FAILURE, reason]
    frame = pandas().DataFrame({name: lost.labels(name).each() for name in (*by, "clip")})
    found = []
    for names, clips in frame.groupby(by, sort=True)["clip"]:
        some = tuple(sorted(set(clips))[:CLIPS_OF_FAILURE])
        about = dict(zip(FAILURE, names, strict=False))
        found.append(Failure(**about, reason=names[-1] or "no reason recorded", rows=len(clips), clips=some))
    return tuple(sorted(found, key=lambda failure: -failure.rows))


def _reported(maker: LineMaker) -> dict[str, Any]:
    """Counts of the clips and sources behind the numbers."""
    each = [maker.counted[maker.panel_of == place].any(0) for place in range(len(maker.panels))]
    reported = np.flatnonzero(np.any(each, 0))
    sources = len(np.unique(maker.source[reported]))
    return {
        "clips": len(reported),
        "panel_clips": tuple(int(clips.sum()) for clips in each),
        "sources": sources if sources < len(reported) else 0,
    }


def _requested(row: Mapping[str, Any], only: Mapping[str, Sequence[str]]) -> bool:
    return all(str(row[column]) in texts for column, texts in only.items() if column in row)


def _sort_by(sort: str, metrics: Sequence[Metric]) -> str:
    known = [*(m.name for m in metrics), "seconds", "name"]
    if sort and sort not in known:
        raise UnknownNameError("order of the table", sort, known)
    return sort or next((m.name for m in metrics if m.across), metrics[0].name)


def _order(line: Line, sort: str, metrics: Sequence[Metric]) -> tuple[Any, ...]:
    """Sort key: best first; by a metric that depends on the grid, domain by domain."""
    if sort == "name":
        return tuple(line.name.values())
    key, higher, domain = line.seconds, False, ""
    for metric, value in zip(metrics, line.values, strict=True):
        if metric.name == sort:
            key, higher = value.mean, metric.higher_is_better is not False
            domain = "" if metric.across else line.domain
    missing = bool(np.isnan(key))
    return (domain, missing, 0.0 if missing else -key if higher else key, *line.name.values())
