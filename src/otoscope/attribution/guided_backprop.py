"""Guided backpropagation: the gradient along paths on which it stays positive."""

from __future__ import annotations

import torch

from otoscope.attribution.base import Problem, per_amplitude, ruled_gradient
from otoscope.core.registry import register
from otoscope.surgery import guided


@register(
    "method", "guided_backprop", family="gradient", needs=("gradients", "uncompiled code"), signed=True, complete=False,
    deterministic=True, cost="1 forward and backward", passes=lambda **_: 1, source="springenberg2015striving",
)  # fmt: skip
def guided_backprop(problem: Problem, times_input: bool = False) -> torch.Tensor:
    """Gradient of the target logit in which rectifiers pass only what is positive.

    Parameters
    ----------
    problem : Problem
        The inspected classifier, targets, seed and batch size.
    times_input : bool
        Multiply by the amplitude of the cell, as input x gradient does.

    Returns
    -------
    Tensor (batch, freq, frame)

    Notes
    -----
    Source: springenberg2015striving, section 3.4. Smooth rectifiers (hardswish, GELU, SiLU ...) pass the positive part of
    the gradient times their own derivative where their input is positive. Cells that hold nothing get 0.

    The result depends little on the classifier's upper layers: an explanation can look right without being right.
    """
    gradient = ruled_gradient(problem, guided)
    return gradient if times_input else per_amplitude(problem, gradient)
