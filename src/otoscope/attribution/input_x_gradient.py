"""Input x gradient: the first-order effect of taking each cell away."""

from __future__ import annotations

from torch import Tensor

from otoscope.attribution.base import Problem
from otoscope.core.registry import register


@register(
    "method", "input_x_gradient", family="gradient", needs=("gradients",), signed=True, complete=False,
    deterministic=True, cost="1 forward and backward", passes=lambda **_: 1, source="shrikumar2016not",
)  # fmt: skip
def input_x_gradient(problem: Problem) -> Tensor:
    """Amplitude of each cell times the gradient by it; equals the gradient by the mask.

    Parameters
    ----------
    problem : Problem
        The inspected classifier, targets, seed and batch size.

    Returns
    -------
    Tensor (batch, freq, frame)

    Notes
    -----
    Source: shrikumar2016not; the input is counted from silence, which in the features domain is not zero.
    """
    return problem.gradient(problem.inspected.ones())
