"""Gradient SHAP: expected gradients between random sounds of a background and the clip."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from otoscope.attribution.background import BackgroundSource, PerClass, against
from otoscope.attribution.base import Problem, Result, target_gradient
from otoscope.attribution.sampling import Draws, Moments, Tolerance
from otoscope.core.registry import Range, register
from otoscope.datasets.backgrounds import SILENCE

BLOCK = 16  # samples between two checks of the errors


@register(
    "method", "gradient_shap", family="gradient", needs=("gradients",), signed=True, complete=False,
    deterministic=False, cost="samples forward and backward", passes=lambda samples, **_: samples,
    source="erion2021improving, lundberg2017shap",
)  # fmt: skip
def gradient_shap(
    problem: Problem,
    samples: Annotated[int, Range(2, 100000)] = 64,
    density: Annotated[float, Range(1.0, 10.0)] = 3.0,
    background: BackgroundSource = SILENCE,
    per_class: PerClass = 2,
    tolerance: Tolerance = 0.0,
) -> Result:
    """Mean gradient at random points on the straight paths from random sounds of a background to the clip.

    Parameters
    ----------
    problem : Problem
        The inspected classifier, targets, seed and batch size.
    samples : int
        Random points between backgrounds and the clip.
    density : float
        How much denser they lie near the background; 1 is evenly. Points lie at ``u ** density`` of the path, ``u``
        even in [0, 1], and count accordingly: log-mel front ends change most within the first hundredth of the path
        from silence, where evenly drawn points hardly ever lie.
    background : str
        ``silence``, a folder of sounds or a table; see `otoscope.attribution.background`.
    per_class : int
        Sounds of the background that are chosen of each class, at least 1.
    tolerance : float
        Above 0: a clip is done when its largest standard error is below this share of its largest value.

    Returns
    -------
    Result
        With standard errors and the number of ``samples`` used for each clip. With endless samples the values would sum to
        the target's logit on the clip minus its mean on the background.

    Notes
    -----
    Source: erion2021improving, eq. 3; points drawn by importance where ``density`` is not 1.
    """
    chosen, device = against(problem, background, per_class), problem.targets.device
    which, place, weight = (x.to(device) for x in _drawn(samples, chosen.n, density, problem.rng()))
    moments = Moments(problem)
    draws = Draws(problem, samples, tolerance, moments.estimate, BLOCK)
    for sample, clip in draws:
        mask = place[sample, None, None] * problem.inspected.ones(1)
        rows = which[sample]
        gradient = target_gradient(problem, lambda m: chosen(m, clip, rows), mask, clip)  # noqa: B023
        moments.add(clip, gradient * weight[sample, None, None])
    return Result(*draws.estimates(), {"samples": draws.used})


def _drawn(samples: int, n: int, density: float, rng: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """For each sample: which background, how far along the path, what it counts."""
    even = torch.rand(samples, generator=rng, dtype=torch.float32).clamp_min(1e-6)
    which = torch.randint(n, (samples,), generator=rng)
    return which, even**density, density * even ** (density - 1)
