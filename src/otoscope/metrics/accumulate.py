"""Metrics accumulated over clips: means, numbers of clips, and confidence intervals."""

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
        Mean over the clips with a value; NaN without any.
    n : int
        Number of clips with a value.
    missing : int
        Number of clips without one: NaN, or not given.
    low, high : float
        Interval of the mean; NaN if not requested, or with fewer than two values.
    """

    mean: float
    n: int
    missing: int
    low: float = math.nan
    high: float = math.nan


class Accumulator:
    """Metrics over clips. The order of clips does not matter, and accumulators can be merged.

    Examples
    --------
    >>> accumulator = Accumulator()
    >>> accumulator.update({"faithfulness": 0.5, "sparseness": 0.9})
    >>> accumulator.update({"faithfulness": 0.25, "sparseness": float("nan")})
    >>> accumulator.compute()["faithfulness"].mean
    0.375
    >>> accumulator.compute()["sparseness"].missing
    1
    """

    def __init__(self) -> None:
        self._rows: list[dict[str, float]] = []

    def __len__(self) -> int:
        """Number of clips."""
        return len(self._rows)

    def update(self, metrics: Mapping[str, float]) -> None:
        """Add the metrics of one clip.

        Parameters
        ----------
        metrics : mapping of str to float
            Name -> value, as from `measure`; NaN where a metric is undefined. Names may differ from clip to clip.

        Raises
        ------
        ParameterError
            If a value is not a number; nothing is added then.
        NonFiniteError
            If a value is infinite; nothing is added then.
        """
        row: dict[str, float] = {}
        for name, value in metrics.items():
            if not isinstance(value, Real | np.bool_):
                raise ParameterError(f"metrics over clips must be numbers, or NaN where undefined; {name} is {value!r}")
            if math.isinf(value):
                raise NonFiniteError(f"{name} is infinite, so it has no mean over clips; use NaN")
            row[name] = float(value)
        self._rows.append(row)

    def merge(self, other: Accumulator) -> Accumulator:
        """Add all clips of another accumulator, which is not changed, and return this one."""
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
            Confidence level of the intervals, such as 0.95; by default there are none.
        draws : int
            Number of resamples.
        seed : int
            Seed of the resampling.

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
        Source: efron1987better, by `otoscope.metrics.bootstrap`. Clips are sorted before they are resampled, so the
        intervals do not depend on their order.
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
