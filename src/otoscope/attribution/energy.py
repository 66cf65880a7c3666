"""Energy: the amplitude of each cell, a baseline that knows the sound but not the classifier."""

from __future__ import annotations

from torch import Tensor

from otoscope.attribution.base import Problem
from otoscope.core.registry import register


@register(
    "method", "energy", family="control", signed=False, complete=False, deterministic=True, cost="none",
    passes=lambda **_: 0, source="adebayo2018sanity",
)  # fmt: skip
def energy(problem: Problem) -> Tensor:
    """Amplitude of what each cell holds; a control that does not use the classifier.

    Parameters
    ----------
    problem : Problem
        The inspected classifier, targets, seed and batch size.

    Returns
    -------
    Tensor (batch, freq, frame)
        At least 0; in the features domain the distance from silence.

    Notes
    -----
    Source: adebayo2018sanity, who compare explanations with an edge detector in the same spirit.
    """
    return problem.inspected.analysis.amplitude()
