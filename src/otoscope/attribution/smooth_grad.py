"""SmoothGrad: gradients averaged over slightly noisy clips."""

from __future__ import annotations

import torch
from torch import Tensor

from otoscope.attribution.base import Problem, Result, per_amplitude
from otoscope.attribution.sampling import Draws, Moments, tolerance
from otoscope.core.registry import Parameter, register

BLOCK = 8  # samples between two looks at the errors


@register(
    "method",
    "smooth_grad",
    family="gradient",
    parameters=(
        Parameter("samples", int, 16, "noisy copies", 1, 10000),
        Parameter("noise", float, 0.15, "standard deviation of the noise on each cell's gain", 0.0, 10.0),
        Parameter("times_input", bool, False, "multiply by the amplitude of the cell, as input x gradient does"),
        tolerance(0.0),
    ),
    needs="gradients",
    signed=True,
    complete=False,
    deterministic=False,
    domains="stft, mel, time, features, components, superpixels",
    cost="samples forward and backward",
    passes=lambda samples, **_: samples,
    source="smilkov2017smoothgrad",
)
def smooth_grad(problem: Problem, samples: int, noise: float, times_input: bool, tolerance: float) -> Result:
    """Mean of the gradient over copies of the clip whose cells are randomly louder and softer.

    Parameters
    ----------
    problem : Problem
    samples : int
    noise : float
        The noise multiplies each cell by 1 + noise * N(0, 1), so it is relative to the cell and silence stays silence.
    times_input : bool
    tolerance : float
        Above 0: a clip is done when its largest standard error is below this share of its largest value.

    Returns
    -------
    Result
        With standard errors where there are two samples or more, and the number of ``samples`` used for each clip.

    Notes
    -----
    Source: smilkov2017smoothgrad; there the noise is added to the input, here it scales what each cell holds.
    """
    device = problem.targets.device
    drawn = torch.randn(samples, *problem.shape, generator=problem.rng()).to(device)
    moments = Moments(problem)

    def estimate(clips: Tensor, n: int) -> tuple[Tensor, Tensor]:
        mean, error = moments.estimate(clips, n)
        if times_input:
            return mean, error
        return per_amplitude(problem, mean, clips), per_amplitude(problem, error, clips)

    draws = Draws(problem, samples, tolerance, estimate, BLOCK)
    for sample, clip in draws:
        moments.add(clip, problem.gradient(1 + noise * drawn[sample], clip))
    values, errors = draws.estimates()
    return Result(values, errors if samples > 1 else None, {"samples": draws.used})
