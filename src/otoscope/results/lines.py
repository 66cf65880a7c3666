"""The lines of a table: their words, means, intervals, marks, and what chance gets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from otoscope.results.agree import Agreement, agreements
from otoscope.results.columns import Metric, chance_of, domain_name, values_of
from otoscope.results.draw import Drawing
from otoscope.results.groups import Cells
from otoscope.results.halves import sources_of
from otoscope.results.marks import Value, marked, means
from otoscope.results.pick import Picked, fixed
from otoscope.results.read import Rows

NAMED = ("method", "domain", "mask")
COSTS = ("seconds", "attribution_seconds")


@dataclass(frozen=True)
class Line:
    """One line of a table.

    Parameters
    ----------
    panel : int
        To which of the table's panels it belongs; only lines of one panel are compared.
    name, chosen : mapping of str to str
        The words that make it, and those that were chosen for it on other clips, or are the only ones that it has.
    role : {"", "control", "oracle"}
        Controls know nothing of the classifier; oracles know the truth, and are neither marked nor tested.
    clips : int
        How many the numbers rest on.
    rows, failed : int
        Of all masks and clips.
    seconds : float
        For one clip, with its attribution; NaN where nobody measured it.
    values : tuple of Value
        One for each metric of the table.
    score : float in [0, 1]
        audiointerp's, on the clips on which the mask was chosen; NaN where it was not chosen by that.
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
    def domain(self) -> str:
        """Its domain without settings: metrics that hang on the grid are compared within it."""
        return domain_name({**self.name, **self.chosen}.get("domain", ""))


class Work:
    """What the lines of all panels are made of.

    Parameters
    ----------
    rows : Rows
    cells : Cells
    lines : (ndarray (group,), ndarray (line,)), int
        The line of each group, and the panel of each line.
    by : sequence of str
        The columns that make a line.
    metrics : tuple of Metric
    picked : Picked
    """

    def __init__(
        self,
        rows: Rows,
        cells: Cells,
        lines: tuple[np.ndarray, np.ndarray],
        by: Sequence[str],
        metrics: tuple[Metric, ...],
        picked: Picked,
    ):
        line_of, panel_of_line = lines
        self.metrics, self.score = metrics, picked.score
        shown = picked.shown[panel_of_line]

        def values(of_rows: np.ndarray) -> np.ndarray:
            return np.where(shown, cells.values(of_rows)[picked.groups], np.nan)

        self.values = {m.name: values(values_of(rows, m.name)) for m in metrics}
        known = {m.name: chance_of(rows, m.name) for m in metrics}
        self.chance = {name: values(found) for name, found in known.items() if found is not None}
        self.counted = np.isfinite(values(np.zeros(len(rows))))
        self.source = np.unique(sources_of(rows, cells), return_inverse=True)[1]
        costs = [rows.numbers(name) for name in COSTS if name in rows.columns and rows.numeric(name)]
        self.seconds = means(values(np.sum(costs, 0) if costs else np.full(len(rows), np.nan)))
        names, told = [cells.groups.names[group] for group in picked.groups], self.counted.any(1)
        self.domains = [name[cells.groups.by.index("domain")] for name in names]
        free = {name: cells.groups.by.index(name) for name in NAMED if name not in by}
        alone = {name: fixed(cells, line_of, name) for name in free}
        self.chosen = [  # nothing was chosen where all failed
            {name: words[i] if told[line] or alone[name][line] else "" for name, i in free.items()}
            for line, words in enumerate(names)
        ]

    def panel(
        self, mine: np.ndarray, about: Sequence[Mapping[str, Any]], level: float, draws: int
    ) -> tuple[list[Line], list[Agreement]]:
        """All lines of a panel, by number, and how its metrics agree; ``about`` is what is known of each line already."""
        here = np.flatnonzero(self.counted[mine].any(0))
        here = here if len(here) else np.arange(1)  # where all failed
        entered = np.array([line["role"] != "oracle" for line in about])
        domains = [domain_name(self.domains[i]) for i in mine]
        drawing = Drawing(level, draws, self.source[here])
        some = {name: values[np.ix_(mine, here)] for name, values in self.values.items()}
        columns = []
        for m in self.metrics:
            within = None if m.across else np.array(domains)
            made = marked(some[m.name], m.higher_is_better, entered, drawing, within)
            columns.append([replace(v, chance=c) for v, c in zip(made, self._chance(m.name, mine), strict=True)])
        lines = [
            Line(
                **about[k],
                chosen=self.chosen[i],
                clips=int(self.counted[i].sum()),
                seconds=float(self.seconds[i]),
                values=tuple(values[k] for values in columns),
                score=float(self.score[i]),
            )
            for k, i in enumerate(mine)
        ]
        return lines, agreements(about[0]["panel"], self.metrics, some, entered, domains, drawing)

    def _chance(self, name: str, mine: np.ndarray) -> list[float]:
        """What chance gets for each line: the mean over the clips of all lines of its panel and domain."""
        if name not in self.chance:
            return [float("nan")] * len(mine)
        domains = np.array([self.domains[i] for i in mine])
        found = {
            d: float(means(self.chance[name][mine[domains == d]].reshape(1, -1))[0]) for d in set(domains.tolist())
        }
        return [found[d] for d in domains.tolist()]
