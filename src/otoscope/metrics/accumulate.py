"""Metrics of many clips, gathered row by row: means, how many clips said something, and how sure the means are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Real
from typing import NamedTuple

import numpy as np

from otoscope.core.errors import NonFiniteError, ParameterError
from otoscope.metrics.statistics import DRAWS, bootstrap


class Summary(NamedTuple):
    """One metric over clips.

    Parameters
    ----------
    mean : float
        Over the clips that said something; NaN where none did.
    n : int
        How many clips said something.
    missing : int
        How many said nothing: their value was NaN, or they had none.
    low, high : float
        Interval of the mean; NaN where none was asked for, or fewer than two clips said something.
    """

    mean: float
    n: int
    missing: int
    low: float = math.nan
    high: float = math.nan


class Accumulator:
    """Rows of metrics, one a clip. The order of rows does not matter, and parts gathered apart can be merged.

    Examples
    --------
    >>> gathered = Accumulator()
    >>> gathered.update({"faithfulness": 0.5, "sparseness": 0.9})
    >>> gathered.update({"faithfulness": 0.25, "sparseness": float("nan")})
    >>> gathered.compute()["faithfulness"].mean
    0.375
    >>> gathered.compute()["sparseness"].missing
    1
    """

    def __init__(self) -> None:
        self._rows: list[dict[str, float]] = []

    def __len__(self) -> int:
        """How many clips were gathered."""
        return len(self._rows)

    def update(self, metrics: Mapping[str, float]) -> None:
        """Add the metrics of one clip.

        Parameters
        ----------
        metrics : mapping of str to float
            Name -> value, as from `measure`; NaN where a metric says nothing. Names may differ from clip to clip.

        Raises
        ------
        ParameterError
            If a value is no number; nothing is added then.
        NonFiniteError
            If a value is infinite; nothing is added then.
        """
        row: dict[str, float] = {}
        for name, value in metrics.items():
            if not isinstance(value, Real | np.bool_):
                raise ParameterError(f"metrics over clips are numbers, NaN where nothing is said; {name} is {value!r}")
            if math.isinf(value):
                raise NonFiniteError(f"{name} is infinite, so it has no mean over clips; use NaN")
            row[name] = float(value)
        self._rows.append(row)

    def merge(self, other: Accumulator) -> Accumulator:
        """Add all clips of another one, which stays as it is, and give back this one."""
        if not isinstance(other, Accumulator):
            raise ParameterError(f"an Accumulator merges with another; got {type(other).__name__}")
        self._rows += [dict(row) for row in other._rows]
        return self

    def reset(self) -> None:
        """Forget all clips."""
        self._rows = []

    def compute(self, level: float | None = None, draws: int = DRAWS, seed: int = 0) -> dict[str, Summary]:
        """Every metric over the clips so far.

        Parameters
        ----------
        level : float in (0, 1), optional
            Of the intervals, such as 0.95; without it there are none.
        draws : int
            How often the clips are drawn again.
        seed : int

        Returns
        -------
        dict of str to Summary
            By name, in order of the names.

        Raises
        ------
        ParameterError
            If the level or the draws are out of range.

        Notes
        -----
        Source: efron1987better, by `otoscope.metrics.bootstrap`. Clips are put into one order before they are drawn, so the
        same clips give the same intervals, whatever order they came in.
        """
        names = sorted({name for row in self._rows for name in row})
        table = np.array([[row.get(name, math.nan) for name in names] for row in self._rows]).reshape(
            len(self), len(names)
        )
        known = ~np.isnan(table)
        n = known.sum(0).tolist()
        means = [math.fsum(table[known[:, i], i]) / n[i] if n[i] else math.nan for i in range(len(names))]
        low = high = np.full(len(names), math.nan)
        if level is not None:
            _, low, high, _ = bootstrap(table[np.lexsort(table.T)] if names else table, level, draws, seed)
        return {
            name: Summary(means[i], n[i], len(table) - n[i], float(low[i]), float(high[i]))
            for i, name in enumerate(names)
        }
