"""Integrated gradients along the straight path from silence to the clip."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import torch
from torch import Tensor

from otoscope.attribution.base import Problem, Result
from otoscope.core.registry import Range, register

DOUBLINGS = 2  # of the points, for clips whose path is rough


@register(
    "method", "integrated_gradients", family="gradient", needs=("gradients",), signed=True, complete=True,
    deterministic=True, cost="steps forward and backward, up to seven times as many on rough paths",
    passes=lambda steps, gap, **_: 2 + steps * (2 ** (DOUBLINGS + 1) - 1 if gap < 1 else 1),
    source="sundararajan2017axiomatic",
)  # fmt: skip
def integrated_gradients(
    problem: Problem,
    steps: Annotated[int, Range(1, 1000)] = 32,
    density: Annotated[float, Range(1.0, 10.0)] = 3.0,
    gap: Annotated[float, Range(0.0, 1.0)] = 0.05,
) -> Result:
    """Mean gradient on the straight path from silence to the clip, with more points where the path is rough.

    Parameters
    ----------
    problem : Problem
        The inspected classifier, targets, seed and batch size.
    steps : int
        Points on the path from silence to the clip. Nodes of Gauss-Legendre quadrature.
    density : float
        How much denser the points lie near silence; 1 is evenly. The path is walked as ``alpha = u ** density``.
        Log-mel front ends change most within the first hundredth of the path, which evenly spaced points pass over.
    gap : float
        Share of the change of the logit that the sum of the values may miss before a clip gets twice as many points, and twice as
        many again; 1 never adds points.

    Returns
    -------
    Result
        Values sum to the target's logit on the clip minus that on silence (the fact ``change``), up to the fact ``gap``.

    Notes
    -----
    Source: sundararajan2017axiomatic, eq. 1; the baseline is silence (mask 0).
    """
    ones = problem.inspected.ones()
    clips = torch.arange(problem.batch, device=problem.targets.device)
    change = torch.zeros(problem.batch, device=clips.device)
    for _, clip in problem.chunks(1):
        change[clip] = problem.score(ones[clip], clip) - problem.score(0 * ones[clip], clip)
    values, rough = torch.zeros_like(ones), clips
    for doubling in range(DOUBLINGS + 1):
        values[rough] = _mean_gradient(problem, rough, steps * 2**doubling, density)[rough]
        missed = values.sum((1, 2)) - change
        rough = clips[missed.abs() > gap * change.abs()]
        if gap >= 1 or not len(rough):
            break
    return Result(values, None, {"gap": missed, "change": change})


def _mean_gradient(problem: Problem, clips: Tensor, steps: int, density: float) -> Tensor:
    """The mean gradient on the paths of some clips, ``(batch, freq, frame)``; 0 of the others."""
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    place = (nodes + 1) / 2
    alphas = torch.as_tensor(place**density, dtype=torch.float32, device=clips.device)
    shares = torch.as_tensor(weights / 2 * density * place ** (density - 1), dtype=torch.float32, device=clips.device)
    ones = problem.inspected.ones(1)
    total = torch.zeros(problem.batch, *problem.shape, device=clips.device)
    for step, clip in problem.chunks(steps, clips):
        gradient = problem.gradient(alphas[step, None, None] * ones, clip)
        total.index_add_(0, clip, gradient * shares[step, None, None])
    return total
