"""Random: noise; what every explanation must beat."""

from __future__ import annotations

import torch
from torch import Tensor

from otoscope.attribution.base import Problem
from otoscope.core.registry import Parameter, register


@register(
    "method",
    "random",
    family="control",
    parameters=(
        Parameter("smooth", float, 0.0, "reach of the smoothing in cells (standard deviation); 0 is none", 0.0, 1000.0),
    ),
    needs="",
    signed=False,
    complete=False,
    deterministic=False,
    blind=True,  # every clip of one grid gets the same
    domains="stft, mel, time, features, components, superpixels",
    cost="none",
    passes=lambda smooth: 0,
    source="adebayo2018sanity",
)
def random(problem: Problem, smooth: float) -> Tensor:
    """Uniform noise that knows neither the sound nor the classifier; a control.

    Parameters
    ----------
    problem : Problem
    smooth : float, cells
        Smoothed noise is spread evenly over (0, 1) again, so that thresholds mean the same.

    Returns
    -------
    Tensor (batch, freq, frame) in (0, 1)
        The same for every clip: it hangs on the seed and the grid only.

    Notes
    -----
    Source: adebayo2018sanity, who ask whether explanations are better than what knows nothing.
    """
    noise = torch.rand(problem.shape, generator=problem.rng(), dtype=torch.float64)
    if smooth > 0:
        over_freq, over_time = (_smoothing(n, smooth) for n in problem.shape)
        noise = over_freq @ noise @ over_time.T
    rank = noise.flatten().argsort(stable=True).argsort(stable=True)
    even = ((rank + 0.5) / noise.numel()).reshape(problem.shape).float()
    return even.to(problem.targets.device).expand(problem.batch, *problem.shape)


def _smoothing(n: int, reach: float) -> Tensor:
    """Gaussian weights ``(n, n)``, rows summing to one; at the edges over what is there."""
    place = torch.arange(n, dtype=torch.float64)
    weights = (-0.5 * ((place[:, None] - place) / reach).square()).exp()
    return weights / weights.sum(1, keepdim=True)
