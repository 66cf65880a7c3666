"""SmoothGrad: gradients averaged over slightly noisy clips."""

from __future__ import annotations

import torch

from otoscope.attribution.base import Problem, Result, per_amplitude
from otoscope.core.registry import Parameter, register


@register(
    "method",
    "smooth_grad",
    family="gradient",
    parameters=(
        Parameter("samples", int, 16, "noisy copies", 1, 10000),
        Parameter("noise", float, 0.15, "standard deviation of the noise on each cell's gain", 0.0, 10.0),
        Parameter("times_input", bool, False, "multiply by the amplitude of the cell, as input x gradient does"),
    ),
    needs="gradients",
    signed=True,
    complete=False,
    deterministic=False,
    domains="stft, mel, time, features",
    cost="samples forward and backward",
    passes=lambda samples, noise, times_input: samples,
    source="smilkov2017smoothgrad",
)
def smooth_grad(problem: Problem, samples: int, noise: float, times_input: bool) -> Result:
    """Mean of the gradient over copies of the clip whose cells are randomly louder and softer.

    Parameters
    ----------
    problem : Problem
    samples : int
    noise : float
        The noise multiplies each cell by 1 + noise * N(0, 1), so it is relative to the cell and silence stays silence.
    times_input : bool

    Returns
    -------
    Result
        With standard errors where there are two samples or more.

    Notes
    -----
    Source: smilkov2017smoothgrad; there the noise is added to the input, here it scales what each cell holds.
    """
    device = problem.targets.device
    draws = torch.randn(samples, *problem.shape, generator=problem.rng()).to(device)
    total = torch.zeros(problem.batch, *problem.shape, device=device)
    squares = torch.zeros_like(total)
    for sample, clip in problem.chunks(samples):
        gradient = problem.gradient(1 + noise * draws[sample], clip)
        total.index_add_(0, clip, gradient)
        squares.index_add_(0, clip, gradient.square())
    mean = total / samples
    error = ((squares / samples - mean.square()).clamp_min(0) / max(1, samples - 1)).sqrt() if samples > 1 else None
    if times_input:
        return Result(mean, error)
    return Result(per_amplitude(problem, mean), None if error is None else per_amplitude(problem, error))
