"""Random: noise, the baseline that every explanation must beat."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from otoscope.attribution.base import Problem
from otoscope.attribution.units import apart, count, paint, segments_of
from otoscope.core.registry import Range, register


@register(
    "method", "random", family="control", signed=False, complete=False, deterministic=False, blind=True, cost="none",
    passes=lambda **_: 0, source="adebayo2018sanity",
)  # fmt: skip
def random(problem: Problem, smooth: Annotated[float, Range(0.0, 1000.0)] = 0.0) -> Tensor:
    """Uniform noise that knows neither the sound nor the classifier; a control.

    Parameters
    ----------
    problem : Problem
        The inspected classifier, targets, seed and batch size.
    smooth : float, cells
        Reach of the smoothing in cells (standard deviation); 0 is none. Smoothed noise is spread evenly over (0, 1)
        again, so that thresholds mean the same. Rows that are parts of the sound (components) have no neighbours:
        there it reaches along time alone.

    Returns
    -------
    Tensor (batch, freq, frame) in (0, 1)
        The same for every clip: it depends on the seed and the grid only. Where the domain has segments (superpixels) each
        has one number, that of its first cell before they are spread evenly, and the clip's segments count too.

    Notes
    -----
    Source: adebayo2018sanity, for baselines that know nothing.
    """
    noise = torch.rand(problem.shape, generator=problem.rng(), dtype=torch.float64)
    if smooth > 0:
        over_freq, over_time = (_smoothing(n, smooth) for n in problem.shape)
        noise = (noise if apart(problem) else over_freq @ noise) @ over_time.T
    labels, device = segments_of(problem), problem.targets.device
    if labels is None:
        return _even(noise).to(device).expand(problem.batch, *problem.shape)
    drawn = noise.flatten().to(device)
    return torch.stack([paint(own[None], _even(drawn[_first(own)])[None])[0] for own in labels])


def _even(noise: Tensor) -> Tensor:
    """The noise, spread evenly over (0, 1), in the same order."""
    rank = noise.flatten().argsort(stable=True).argsort(stable=True)
    return ((rank + 0.5) / noise.numel()).reshape(noise.shape).float()


def _first(labels: Tensor) -> Tensor:
    """The number of the first cell of each segment ``(segment,)``, of labels ``(freq, frame)``."""
    flat = labels.flatten()
    cells = torch.arange(len(flat), device=flat.device)
    start = torch.full((int(count(labels[None])),), len(flat), device=flat.device)
    return start.scatter_reduce(0, flat, cells, "amin")


def _smoothing(n: int, reach: float) -> Tensor:
    """Gaussian weights ``(n, n)``, rows summing to one; at the edges over what is there."""
    place = torch.arange(n, dtype=torch.float64)
    weights = (-0.5 * ((place[:, None] - place) / reach).square()).exp()
    return weights / weights.sum(1, keepdim=True)
