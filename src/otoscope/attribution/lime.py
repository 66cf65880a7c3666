"""LIME: a weighted linear model of which units of the sound are there."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import torch
from torch import Tensor

from otoscope.attribution.base import Problem, Result, Score
from otoscope.attribution.coalitions import Coalitions, Fit, all_rows, can_be_all, distinct, explain_units, weighted_r2
from otoscope.attribution.sampling import Tolerance
from otoscope.attribution.units import BlocksFreq, BlocksTime, paint, units_of
from otoscope.core.registry import Range, register
from otoscope.core.runtime import generator


@register(
    "method", "lime", family="perturbation", mask="smallest", signed=True, complete=False, deterministic=False,
    cost="samples forward", passes=lambda samples, **_: samples, source="ribeiro2016lime, mishra2017slime, haunschmid2020audiolime",
)  # fmt: skip
def lime(
    problem: Problem,
    samples: Annotated[int, Range(2, 100000)] = 1000,
    kernel_width: Annotated[float, Range(0.01, 100.0)] = 0.25,
    ridge: Annotated[float, Range(0.0, 1000000.0)] = 1.0,
    keep: Annotated[float, Range(0.01, 0.99)] = 0.5,
    score: Score = "probability",
    blocks_freq: BlocksFreq = None,
    blocks_time: BlocksTime = None,
    tolerance: Tolerance = 0.2,
) -> Result:
    """Weights of units in a linear model of the target's score, fitted to random parts of the clip.

    Parameters
    ----------
    problem : Problem
        The inspected classifier, targets, seed and batch size.
    samples : int
        Random coalitions of units; all there are, where they are few. The first is the whole clip. Where there are
        no more coalitions than 64, or than samples if no early stop is allowed, all are run and the fit has no
        sampling error.
    kernel_width : float
        How near the clip a sample must be to count.
    ridge : float
        Penalty on the weights' squares. It is that on a fit to all samples: where fewer are used, it counts in proportion.
    keep : float
        Probability that a unit is there.
    score : {"probability", "log_odds", "logit"}
        What of the target is modelled.
    blocks_freq, blocks_time : int, optional
        As in `units_of`.
    tolerance : float
        Above 0: a clip is done when the largest standard error of a unit is below this share of the largest weight.

    Returns
    -------
    Result
        Each cell has the weight of its unit. With standard errors (see `fit_ridge`), the ``fidelity`` (weighted R squared
        of the linear model) and the number of ``samples`` used for each clip.

    Notes
    -----
    Source: ribeiro2016lime, eq. 2 with cosine distance; mishra2017slime for blocks; haunschmid2020audiolime for components.
    There is no selection of features, and an absent unit is silent. The default tolerance was chosen on four ESC-10 clips
    (esc10-mn, at most 1024 samples), with means of 288 samples in the mel and 528 in the time domain: weights correlate with
    those of all samples, these among them, by 0.94 and 0.92; mean probabilities of kept and removed sound are within 0.02.
    """
    labels = units_of(problem, blocks_freq, blocks_time)
    draw = partial(bernoulli_rows, samples, keep, kernel_width, problem.seed, tolerance=tolerance)
    fit = partial(fit_ridge, penalty=ridge / samples)
    found, used = explain_units(problem, labels, draw, fit, partial(problem.score, of=score), tolerance)
    values, errors = (paint(labels, x) for x in found[:2])
    return Result(values, errors, {"fidelity": found.fidelity, "samples": used})


def bernoulli_rows(
    samples: int, keep: float, width: float, seed: int, units: int, tolerance: float = 0.0
) -> Coalitions:
    """Random coalitions, the first of all units, and how near each is to it; all coalitions if there are no more.

    If all are used, each counts by its chance of being drawn, so that the fit is the limit of many samples.
    """
    exact, samples = can_be_all(units, samples, tolerance), min(samples, 2**units)
    if exact:
        rows = all_rows(units)
        n = rows.sum(1, dtype=torch.float64)
        chance = (2 * keep) ** n * (2 * (1 - keep)) ** (units - n)
    else:
        rows = torch.rand(samples, units, generator=generator(seed), dtype=torch.float32) < keep
        rows[0] = True
        chance = torch.ones(samples, dtype=torch.float64)
    return Coalitions(rows, chance * kernel(rows, width), exact)


def kernel(rows: Tensor, width: float) -> Tensor:
    """Root of the Gaussian of the cosine distance between coalitions and that of all units, ``(sample,)``."""
    distance = 1 - rows.double().mean(1).sqrt()
    return (distance / width).square().neg().exp().sqrt()


def fit_ridge(coalitions: Coalitions, scores: Tensor, penalty: float) -> Fit:
    """Weighted ridge regression of scores ``(sample, clip)`` with an intercept that is not penalised, in closed form.

    The ``penalty`` is for each sample.

    Returns
    -------
    Fit
        Standard errors are those of the sandwich estimator with residuals over one minus leverage (HC3), which holds
        although the residuals come from the classifier's own shape, not from noise. Infinite unless there are more different
        coalitions than unknowns.

    Notes
    -----
    Source: mackinnon1985heteroskedasticity for HC3.
    """
    weights, x = coalitions.weights, coalitions.rows.double()
    total = weights.sum()
    x = x - (weights @ x) / total
    y = scores - (weights @ scores) / total
    gram = x.T @ (weights[:, None] * x)
    gram.diagonal().add_(penalty * len(x))
    spread = x @ torch.linalg.pinv(gram, hermitian=True, rtol=1e-10)  # (sample, unit)
    values = (weights[:, None] * y).T @ spread
    residuals = y - x @ values.T
    leverage = weights * (1 / total + (spread * x).sum(1))
    pull = weights[:, None] * residuals / (1 - leverage).clamp_min(1e-6)[:, None]
    errors = (pull.T.square() @ spread.square()).sqrt()
    if distinct(coalitions.rows) <= x.shape[1] + 1:
        errors.fill_(torch.inf)
    return Fit(values, errors, weighted_r2(weights, scores, residuals))
