"""Integrated gradients from silence to the clip."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import torch
from torch import Tensor

from otoscope.attribution.base import Problem
from otoscope.core.registry import Range, register


@register(
    "method", "integrated_gradients", family="gradient", needs=("gradients",), signed=True, complete=True,
    deterministic=True, cost="steps forward and backward", passes=lambda steps, **_: steps,
    source="sundararajan2017axiomatic",
)  # fmt: skip
def integrated_gradients(
    problem: Problem, steps: Annotated[int, Range(1, 1000)] = 32, density: Annotated[float, Range(1.0, 10.0)] = 3.0
) -> Tensor:
    """Mean gradient on the straight path from silence to the clip; sums to the difference of their logits.

    Parameters
    ----------
    problem : Problem
        The inspected classifier, targets, seed and batch size.
    steps : int
        Points on the path from silence to the clip. Nodes of Gauss-Legendre quadrature.
    density : float
        How much denser the points lie near silence; 1 is evenly. The path is walked as ``alpha = u ** density``.
        Log-mel front ends change most within the first hundredth of the path, which evenly spaced points pass over.

    Returns
    -------
    Tensor (batch, freq, frame)

    Notes
    -----
    Source: sundararajan2017axiomatic, eq. 1; the baseline is silence (mask 0).
    """
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    device = problem.targets.device
    place = (nodes + 1) / 2
    alphas = torch.as_tensor(place**density, dtype=torch.float32, device=device)
    shares = torch.as_tensor(weights / 2 * density * place ** (density - 1), dtype=torch.float32, device=device)
    ones = problem.inspected.ones(1)
    total = torch.zeros(problem.batch, *problem.shape, device=device)
    for step, clip in problem.chunks(steps):
        gradient = problem.gradient(alphas[step, None, None] * ones, clip)
        total.index_add_(0, clip, gradient * shares[step, None, None])
    return total
