"""KernelSHAP: Shapley values of units, by weighted least squares on coalitions."""

from __future__ import annotations

import math
from functools import partial
from typing import Annotated

import torch
from torch import Tensor

from otoscope.attribution.background import BackgroundSource, PerClass, against, background_size
from otoscope.attribution.base import Problem, Result, Score
from otoscope.attribution.coalitions import (
    Coalitions,
    Fit,
    Scorer,
    all_rows,
    can_be_all,
    distinct,
    explain_units,
    weighted_r2,
)
from otoscope.attribution.sampling import Tolerance
from otoscope.attribution.units import BlocksFreq, BlocksTime, paint, sizes, units_of
from otoscope.core.registry import Range, register
from otoscope.core.runtime import generator
from otoscope.datasets.backgrounds import SILENCE


@register(
    "method", "kernel_shap", family="perturbation", mask="smallest", signed=True, complete=True, deterministic=False,
    cost="samples forward for each sound of the background",
    passes=lambda samples, background, per_class, **_: samples * background_size(background, per_class),
    source="lundberg2017shap, covert2021kernelshap",
)  # fmt: skip
def kernel_shap(
    problem: Problem,
    samples: Annotated[int, Range(4, 100000)] = 1000,
    score: Score = "logit",
    blocks_freq: BlocksFreq = None,
    blocks_time: BlocksTime = None,
    tolerance: Tolerance = 0.1,
    background: BackgroundSource = SILENCE,
    per_class: PerClass = 2,
) -> Result:
    """Shapley values of units, an absent unit being silent; they sum to the score of the clip minus that of silence.

    Parameters
    ----------
    problem : Problem
        The inspected classifier, targets, seed and batch size.
    samples : int
        Coalitions of units; all there are, where they are few. The whole clip and silence count as two. Where there
        are no more coalitions than 64, or than samples if no early stop is allowed, the values are exact.
    score : {"probability", "log_odds", "logit"}
        What of the target is shared out.
    blocks_freq, blocks_time : int, optional
        As in `units_of`.
    tolerance : float
        Above 0: a clip is done when the largest standard error of a unit is below this share of the largest value.
    background : str
        ``silence``, a folder of sounds or a table (see `otoscope.attribution.background`): what is heard where a
        unit is absent. A coalition's score is then the mean over these sounds, and the sum counts from their mean
        score.
    per_class : int
        Sounds of the background that are chosen of each class, at least 1.

    Returns
    -------
    Result
        The value of a unit is shared evenly by its cells, so that the sum over cells is the sum over units. With standard
        errors (see `fit_shapley`), the ``fidelity`` (R squared of the sum of present units' values) and the number of
        ``samples`` used for each clip.

    Notes
    -----
    Source: lundberg2017shap, theorem 2; covert2021kernelshap for pairs and for the sum as a constraint. The default
    tolerance was chosen on four ESC-10 clips (esc10-mn, at most 1024 samples), with means of 864 samples in the mel and 880
    in the time domain: values correlate with those of all samples, these among them, by 0.99; 0.2 saves little more.
    """
    labels = units_of(problem, blocks_freq, blocks_time)
    draw = partial(shapley_rows, samples, problem.seed, tolerance=tolerance)
    scored = _scorer(problem, score, background, per_class)
    found, used = explain_units(problem, labels, draw, fit_shapley, scored, tolerance)
    cells = sizes(labels).clamp_min(1)
    values, errors = (paint(labels, x / cells) for x in found[:2])
    return Result(values, errors, {"fidelity": found.fidelity, "samples": used})


def _scorer(problem: Problem, of: str, background: BackgroundSource, per_class: int) -> Scorer:
    """The score of masks on clips, its mean over the sounds of a background."""
    chosen = against(problem, background, per_class)

    def score(masks: Tensor, clips: Tensor) -> Tensor:
        total = torch.zeros(len(masks), dtype=torch.float64, device=masks.device)
        for i in range(chosen.n):
            with torch.no_grad():
                logits = chosen(masks, clips, torch.full_like(clips, i))
            problem.tick(len(masks))
            total += problem.score_of(logits, clips, of)
        return total / chosen.n

    return score


def shapley_rows(samples: int, seed: int, units: int, tolerance: float = 0.0) -> Coalitions:
    """All units, none, then pairs of a coalition and its complement: drawn by the Shapley kernel, or all there are.

    The first two have no weight: the fit passes through them.
    """
    samples = min(samples, 2**units)
    if can_be_all(units, samples, tolerance):
        rows = all_rows(units)
        present = rows.sum(1)
        weights = torch.tensor([_kernel(units, int(n)) for n in range(units + 1)], dtype=torch.float64)[present]
        return Coalitions(rows, weights, True)
    pairs = (samples - 2) // 2
    rng = generator(seed)
    of_size = torch.tensor([1 / (n * (units - n)) for n in range(1, units)], dtype=torch.float64)
    size = torch.multinomial(of_size, pairs, replacement=True, generator=rng) + 1
    rank = torch.rand(pairs, units, generator=rng, dtype=torch.float32).argsort(1).argsort(1)
    drawn = rank < size[:, None]
    rows = torch.stack([drawn, ~drawn], 1).flatten(0, 1)
    ends = torch.tensor([[True], [False]]).expand(2, units)
    return Coalitions(torch.cat([ends, rows]), torch.ones(2 + 2 * pairs, dtype=torch.float64), False)


def _kernel(units: int, present: int) -> float:
    """The Shapley kernel: the weight of a coalition by its number of units; 0 for none and for all, which are constraints."""
    if present in (0, units):
        return 0.0
    return (units - 1) / (math.comb(units, present) * present * (units - present))


def fit_shapley(coalitions: Coalitions, scores: Tensor) -> Fit:
    """Weighted least squares under the constraint that the values sum to the score of all minus that of none.

    The coalitions are ordered as `shapley_rows` orders them; scores are ``(sample, clip)``.

    Returns
    -------
    Fit
        Standard errors are those of the sandwich estimator with residuals over one minus leverage (HC3), a pair being one
        observation; infinite with fewer different pairs than units.

    Notes
    -----
    Under the constraint a coalition and its complement have the same row but for the sign, so a pair is one observation:
    half of their difference. Taking from each row its mean leaves a problem without constraint.

    Source: covert2021kernelshap; mackinnon1985heteroskedasticity for HC3.
    """
    rows, (whole, none) = coalitions.rows.double(), scores[:2]
    gain, units = whole - none, rows.shape[1]
    if len(rows) == 2:
        return Fit(gain[:, None], torch.zeros_like(gain)[:, None], torch.ones_like(gain))
    x, weights = rows[2::2], coalitions.weights[2::2]
    share = x.mean(1, keepdim=True)
    x = x - share
    y = (scores[2::2] - scores[3::2]) / 2 + (0.5 - share) * gain
    spread = x @ torch.linalg.pinv(x.T @ (weights[:, None] * x), hermitian=True, rtol=1e-10)  # (pair, unit)
    found = (weights[:, None] * y).T @ spread
    leverage = weights * (spread * x).sum(1)
    pull = weights[:, None] * (y - x @ found.T) / (1 - leverage).clamp_min(1e-6)[:, None]
    errors = (pull.T.square() @ spread.square()).sqrt()
    if distinct(coalitions.rows[2:]) < 2 * units:
        errors.fill_(torch.inf)
    values = found + gain[:, None] / units
    residuals = scores - none - rows @ values.T
    return Fit(values, errors, weighted_r2(coalitions.weights[2:], scores[2:], residuals[2:]))
