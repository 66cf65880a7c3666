"""SmoothGrad: gradients averaged over slightly noisy clips."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from otoscope.attribution.base import Problem, Result, per_amplitude
from otoscope.attribution.sampling import Draws, Moments, Tolerance
from otoscope.core.registry import Range, register

BLOCK = 8  # samples between two checks of the errors


@register(
    "method", "smooth_grad", family="gradient", needs=("gradients",), signed=True, complete=False,
    deterministic=False, cost="samples forward and backward", passes=lambda samples, **_: samples,
    source="smilkov2017smoothgrad",
)  # fmt: skip
def smooth_grad(
    problem: Problem,
    samples: Annotated[int, Range(1, 10000)] = 16,
    noise: Annotated[float, Range(0.0, 10.0)] = 0.15,
    times_input: bool = False,
    tolerance: Tolerance = 0.0,
) -> Result:
    """Mean of the gradient over copies of the clip whose cells are randomly louder and softer.

    Parameters
    ----------
    problem : Problem
        The inspected classifier, targets, seed and batch size.
    samples : int
        Noisy copies.
    noise : float
        Standard deviation of the noise on each cell's gain. The noise multiplies each cell by 1 + noise * N(0, 1),
        so it is relative to the cell and silence stays silence.
    times_input : bool
        Multiply by the amplitude of the cell, as input x gradient does.
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
    drawn = torch.randn(samples, *problem.shape, generator=problem.rng(), dtype=torch.float32).to(device)
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
