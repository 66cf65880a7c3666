"""Methods that switch units on and off: sample coalitions of units, run them, fit a linear model to the scores."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from otoscope.attribution.base import Problem
from otoscope.attribution.sampling import Draws, still
from otoscope.attribution.units import count, paint


class Coalitions(NamedTuple):
    """Which units are there in each sample, for all clips with the same number of units.

    Parameters
    ----------
    rows : Tensor (sample, unit), bool
        True where a unit is present.
    weights : Tensor (sample,), float64
        How much each sample counts in the fit.
    exact : bool
        These are all that there are, so the fit has no sampling error.
    """

    rows: Tensor
    weights: Tensor
    exact: bool


class Fit(NamedTuple):
    """A linear model for each clip, float64.

    Parameters
    ----------
    values, errors : Tensor (clip, unit)
        What each unit adds, and standard errors.
    fidelity : Tensor (clip,)
        R squared on the samples; 1 where the score never changes.
    """

    values: Tensor
    errors: Tensor
    fidelity: Tensor


FEW = 64  # coalitions: all are run though fewer might do

Draw = Callable[[int], Coalitions]
Fitter = Callable[[Coalitions, Tensor], Fit]
Scorer = Callable[[Tensor, Tensor], Tensor]


def can_be_all(units: int, samples: int, tolerance: float) -> bool:
    """Whether all coalitions of ``units`` are run: if they are few, or no more than the samples of a run without early stop."""
    return 2**units <= (samples if tolerance == 0 else min(samples, FEW))


def all_rows(units: int, device: torch.device | str = "cpu") -> Tensor:
    """All coalitions ``(2 ** units, units)``, each followed by its complement; the first is that of all units."""
    half = torch.arange(2 ** (units - 1), device=device)
    absent = (half[:, None] >> torch.arange(units, device=device)) & 1
    return torch.stack([absent == 0, absent == 1], 1).flatten(0, 1)


def explain_units(
    problem: Problem, labels: Tensor, draw: Draw, fit: Fitter, score: Scorer, tolerance: float
) -> tuple[Fit, Tensor]:
    """Fit a linear model of units to each clip's scores.

    Parameters
    ----------
    problem : Problem
        The inspected classifier, targets, seed and batch size.
    labels : Tensor (batch, freq, frame), int64
        From `units_of`.
    draw : callable
        Number of units -> `Coalitions`; it gives the same each time, whatever the other clips are.
    fit : callable
        ``fit(coalitions, scores (sample, clip))`` -> `Fit`.
    score : callable
        ``score(masks, clips)`` -> ``(any,)``, such as `Problem.score`.
    tolerance : float
        As in `Draws`.

    Returns
    -------
    Fit
        With as many units as the clip with the most; others have zeros behind their own.
    Tensor (batch,), int64
        Samples used.
    """
    counts = count(labels)
    kinds = {n: draw(n) for n in counts.unique().tolist()}
    limits = torch.tensor([len(kinds[n].rows) for n in counts.tolist()], device=labels.device)
    scores = torch.zeros(int(limits.max()), problem.batch, dtype=torch.float64, device=labels.device)
    table = _table(kinds).to(labels.device)
    kind = torch.searchsorted(torch.tensor(sorted(kinds), device=labels.device), counts)

    def fitted(clips: Tensor, n: int) -> Fit:
        return _fit_kinds(kinds, counts, fit, scores[:n], clips)

    def estimate(clips: Tensor, n: int) -> tuple[Tensor, Tensor]:
        values, errors, _ = fitted(clips, n)
        return values, errors.masked_fill(still(scores[:n, clips])[:, None] & errors.isfinite(), 0)

    draws = Draws(problem, limits, tolerance, estimate)
    for sample, clip in draws:
        masks = paint(labels[clip], table[kind[clip], sample])
        scores[sample, clip] = score(masks.float(), clip).double()
    return Fit(*draws.gather(fitted)), draws.used


def _table(kinds: dict[int, Coalitions]) -> Tensor:
    """Rows of all kinds, filled up with absent units and samples, ``(kind, sample, unit)``."""
    most = max(len(k.rows) for k in kinds.values())
    out = torch.zeros(len(kinds), most, max(kinds), dtype=torch.bool)
    for i, n in enumerate(sorted(kinds)):
        out[i, : len(kinds[n].rows), :n] = kinds[n].rows
    return out


def _fit_kinds(kinds: dict[int, Coalitions], counts: Tensor, fit: Fitter, scores: Tensor, clips: Tensor) -> Fit:
    """The fits of some clips by their first samples, those with the same number of units together."""
    values = torch.zeros(len(clips), max(kinds), dtype=torch.float64, device=scores.device)
    errors, fidelity = torch.zeros_like(values), torch.zeros_like(values[:, 0])
    for n, kind in kinds.items():
        mine = (counts[clips] == n).nonzero()[:, 0]
        if not len(mine):
            continue
        m = min(len(scores), len(kind.rows))
        found = fit(
            Coalitions(kind.rows[:m].to(scores.device), kind.weights[:m].to(scores.device), kind.exact),
            scores[:m, clips[mine]],
        )
        values[mine, :n], errors[mine, :n], fidelity[mine] = found
        if kind.exact:
            errors[mine] = 0.0 if m == len(kind.rows) else torch.inf
    return Fit(values, errors, fidelity)


def distinct(rows: Tensor) -> int:
    """Number of different coalitions: repeated ones add no information on the misfit of a linear model."""
    return len(rows.to(torch.uint8).unique(dim=0))


def weighted_r2(weights: Tensor, scores: Tensor, residuals: Tensor) -> Tensor:
    """Share of the weighted variance of scores ``(sample, clip)`` that is explained, ``(clip,)``; 1 if the scores do not vary."""
    centred = scores - (weights @ scores) / weights.sum()
    spread = weights @ centred.square()
    left = weights @ residuals.square()
    tiny = torch.finfo(scores.dtype).eps * (weights @ scores.square())
    return torch.where(spread > tiny, 1 - left / spread.clamp_min(1e-300), torch.ones_like(spread))
