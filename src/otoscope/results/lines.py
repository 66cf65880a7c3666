"""Lines of a leaderboard: names, roles, means with intervals and marks, chance levels, costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from otoscope.core import registry
from otoscope.results.cells import Cells
from otoscope.results.compare import Agreement, ClusterBootstrap, Value, agreements, significance
from otoscope.results.metrics import Metric, chance_of, domain_name, values_of
from otoscope.results.read import Results
from otoscope.results.select import LeaderboardOptions, Selection, constant, means, sources_of

NAMED = ("method", "domain", "mask")
COSTS = ("seconds", "attribution_seconds")


@dataclass(frozen=True)
class Line:
    """One line of a leaderboard.

    Parameters
    ----------
    panel : int
        Index of its panel; lines are compared within a panel.
    name, chosen : mapping of str to str
        The texts that identify the line, and those chosen for it (or the only ones it has).
    role : {"", "control", "oracle"}
        Controls do not use the classifier; oracles know the ground truth and are neither marked nor tested.
    clips : int
        Number of clips behind the numbers.
    rows, failed : int
        Number of rows, and of failed ones, over all masks and clips.
    seconds : float
        Time per clip including its attribution; NaN if not measured.
    values : tuple of Value
        One for each metric.
    score : float in [0, 1]
        audiointerp's score on the clips on which the mask was chosen; NaN unless it was chosen by that score.

    Examples
    --------
    >>> line = make_leaderboard(read_results("study")).lines[0]
    >>> line.labels, line.clips
    ({'method': 'lime', 'domain': 'mel', 'mask': 'positive'}, 2)
    """

    panel: int
    name: Mapping[str, str]
    chosen: Mapping[str, str]
    role: str
    clips: int
    rows: int
    failed: int
    seconds: float
    values: tuple[Value, ...]
    score: float = float("nan")

    @property
    def labels(self) -> dict[str, str]:
        """All texts of the line by column."""
        return {**self.name, **self.chosen}

    @property
    def domain(self) -> str:
        """Its domain without settings."""
        return domain_name(self.labels.get("domain", ""))


def role_of(method: str) -> str:
    """Role of a method, as rows write it: ``control`` (does not use the classifier), ``oracle`` (knows the truth) or empty."""
    name = method.partition(",")[0].strip()
    kind = name.partition(":")[0]
    if kind in ("oracle", "control"):  # of the study itself: oracle:ratio, control:ones
        return kind
    controls = {entry.name for entry in registry.entries("method") if entry.family == "control"}
    return "control" if name in controls else ""


class LineMaker:
    """Computes the lines of each panel.

    ``cells`` are the rows grouped by panel, line and what is chosen; ``panel`` are the columns of a panel.
    """

    def __init__(
        self,
        results: Results,
        cells: Cells,
        panel: Sequence[str],
        metrics: tuple[Metric, ...],
        selection: Selection,
        options: LeaderboardOptions,
    ):
        self.options, self.metrics, self.score, by = options, metrics, selection.score, options.by
        self.line_of, self.names = cells.groups.coarser([*panel, *by])
        self.panels = sorted({name[: len(panel)] for name in self.names})
        self.panel_of = np.array([self.panels.index(name[: len(panel)]) for name in self.names])
        shown = selection.shown[self.panel_of]

        def values(of_rows: np.ndarray) -> np.ndarray:
            return np.where(shown, cells.values(of_rows)[selection.groups], np.nan)

        self.values = {m.name: values(values_of(results, m.name)) for m in metrics}
        known = {m.name: chance_of(results, m.name) for m in metrics}
        self.chance = {name: values(found) for name, found in known.items() if found is not None}
        self.counted = np.isfinite(values(np.zeros(len(results))))
        self.source = np.unique(sources_of(results, cells), return_inverse=True)[1]
        costs = [results.numbers(name) for name in COSTS if name in results.columns and results.numeric(name)]
        self.seconds = means(values(np.sum(costs, 0) if costs else np.full(len(results), np.nan)))
        groups = [cells.groups.names[group] for group in selection.groups]
        self.domains = [name[cells.groups.by.index("domain")] for name in groups]
        free = {name: cells.groups.by.index(name) for name in NAMED if name not in by}
        only = {name: constant(cells, self.line_of, name) for name in free}
        decided = self.counted.any(1)
        self.chosen = [  # nothing was chosen if all rows failed
            {name: texts[i] if decided[line] or only[name][line] else "" for name, i in free.items()}
            for line, texts in enumerate(groups)
        ]
        self.rows = np.bincount(self.line_of, weights=cells.groups.count(np.ones(len(cells.ok), bool))).astype(int)
        self.failed = np.bincount(self.line_of, weights=cells.groups.count(~cells.ok)).astype(int)

    def panel(self, place: int) -> tuple[list[Line], list[Agreement]]:
        """All lines of a panel, and how its metrics agree."""
        mine = np.flatnonzero(self.panel_of == place)
        here = np.flatnonzero(self.counted[mine].any(0))
        here = here if len(here) else np.arange(1)  # all rows failed
        about = [self._about(int(i)) for i in mine]
        entered = np.array([line["role"] != "oracle" for line in about])
        domains = [domain_name(self.domains[i]) for i in mine]
        bootstrap = ClusterBootstrap(self.options.level, self.options.draws, self.source[here])
        some = {name: values[np.ix_(mine, here)] for name, values in self.values.items()}
        columns = []
        for m in self.metrics:
            within = None if m.across else np.array(domains)
            found = significance(some[m.name], m.higher_is_better, entered, bootstrap, within)
            columns.append([replace(v, chance=c) for v, c in zip(found, self._chance(m.name, mine), strict=True)])
        lines = [Line(**each, values=tuple(column[k] for column in columns)) for k, each in enumerate(about)]
        return lines, agreements(place, self.metrics, some, entered, domains, bootstrap)

    def _about(self, i: int) -> dict[str, Any]:
        """A line without its values."""
        place = int(self.panel_of[i])
        name = dict(zip(self.options.by, self.names[i][len(self.panels[place]) :], strict=True))
        return {
            "panel": place,
            "name": name,
            "chosen": self.chosen[i],
            "role": role_of(name.get("method") or self.chosen[i].get("method", "")),
            "clips": int(self.counted[i].sum()),
            "rows": int(self.rows[i]),
            "failed": int(self.failed[i]),
            "seconds": float(self.seconds[i]),
            "score": float(self.score[i]),
        }

    def _chance(self, name: str, mine: np.ndarray) -> list[float]:
        """Chance level of each line: the mean over the clips of all lines of its panel and domain."""
        if name not in self.chance:
            return [float("nan")] * len(mine)
        domains = np.array([self.domains[i] for i in mine])
        found = {
            d: float(means(self.chance[name][mine[domains == d]].reshape(1, -1))[0]) for d in set(domains.tolist())
        }
        return [found[d] for d in domains.tolist()]
