"""Occlusion: silence one patch after another and see what the target loses."""

from __future__ import annotations

import torch
from torch import Tensor

from otoscope.attribution.base import Problem
from otoscope.core.registry import Parameter, register


@register(
    "method",
    "occlusion",
    family="perturbation",
    parameters=(
        Parameter("patches_freq", int, 10, "patches along frequency (fewer where the grid has fewer bands)", 1, 512),
        Parameter("patches_time", int, 20, "patches along time (fewer where the grid has fewer frames)", 1, 4096),
    ),
    needs="",
    signed=True,
    complete=False,
    deterministic=True,
    domains="stft, mel, time, features, components, superpixels",
    cost="patches_freq * patches_time + 1 forward",
    passes=lambda patches_freq, patches_time: patches_freq * patches_time + 1,
    source="zeiler2014visualizing",
)
def occlusion(problem: Problem, patches_freq: int, patches_time: int) -> Tensor:
    """Drop of the target logit when a patch of cells is silenced; the drop is shared evenly by the patch's cells.

    Parameters
    ----------
    problem : Problem
    patches_freq, patches_time : int

    Returns
    -------
    Tensor (batch, freq, frame)

    Notes
    -----
    Source: zeiler2014visualizing. Patches tile the grid without overlap.
    """
    bands, frames = problem.shape
    rows = _tiles(bands, min(patches_freq, bands))
    columns = _tiles(frames, min(patches_time, frames))
    patches = torch.stack([r[:, None] * c[None] for r in rows for c in columns]).to(problem.targets.device)
    full = problem.score(problem.inspected.ones())
    values = torch.zeros(problem.batch, *problem.shape, device=problem.targets.device)
    for patch, clip in problem.chunks(len(patches)):
        drop = full[clip] - problem.score(1 - patches[patch], clip)
        share = patches[patch] / patches[patch].sum((1, 2), keepdim=True)
        values.index_add_(0, clip, drop[:, None, None] * share)
    return values


def _tiles(size: int, n: int) -> list[Tensor]:
    """``n`` neighbouring stretches that cover ``size`` cells, as rows of zeros and ones."""
    place = torch.arange(size) * n // size
    return [(place == i).float() for i in range(n)]
