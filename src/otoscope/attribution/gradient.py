"""Gradient (saliency): the derivative of the target logit by the amplitude of each cell."""

from __future__ import annotations

from torch import Tensor

from otoscope.attribution.base import Problem, per_amplitude
from otoscope.core.registry import register


@register(
    "method", "gradient", family="gradient", needs=("gradients",), signed=True, complete=False, deterministic=True,
    cost="1 forward and backward", passes=lambda **_: 1, source="simonyan2014deep",
)  # fmt: skip
def gradient(problem: Problem) -> Tensor:
    """Gradient of the target logit by the amplitude of each cell (saliency, signed).

    Parameters
    ----------
    problem : Problem
        The inspected classifier, targets, seed and batch size.

    Returns
    -------
    Tensor (batch, freq, frame)

    Notes
    -----
    Source: simonyan2014deep, signed instead of absolute. Cells that hold nothing get 0.
    """
    return per_amplitude(problem, problem.gradient(problem.inspected.ones()))
