"""Occlusion: silence one patch after another and measure the drop of the target."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from otoscope.attribution.base import Problem
from otoscope.attribution.units import FEW, apart, blocks, count, paint, segments_of, sizes, units_of
from otoscope.core.errors import ParameterError
from otoscope.core.registry import Range, register


@register(
    "method", "occlusion", family="perturbation", mask="smallest", signed=True, complete=False, deterministic=True,
    cost="patches_freq * patches_time + 1 forward",
    passes=lambda patches_freq, patches_time: most_units(patches_freq, patches_time) + 1,
    source="zeiler2014visualizing",
)  # fmt: skip
def occlusion(
    problem: Problem,
    patches_freq: Annotated[int, Range(1, 512)] = 10,
    patches_time: Annotated[int, Range(1, 4096)] = 20,
) -> Tensor:
    """Drop of the target logit when a patch of cells is silenced; the drop is shared evenly by the patch's cells.

    Parameters
    ----------
    problem : Problem
        The inspected classifier, targets, seed and batch size.
    patches_freq : int
        Patches along frequency (fewer where the grid has fewer bands). In superpixels and components both settings
        only limit the number of passes: there each segment, and each component (its stretches of time joined
        where there are many), is silenced by itself.
    patches_time : int
        Patches along time (fewer where the grid has fewer frames).

    Returns
    -------
    Tensor (batch, freq, frame)

    Raises
    ------
    ParameterError
        If there are more segments than ``patches_freq * patches_time``, and more than 128.

    Notes
    -----
    Source: zeiler2014visualizing. Patches tile the grid without overlap.
    """
    own = apart(problem) or segments_of(problem) is not None
    labels = units_of(problem) if own else blocks(problem, patches_freq, patches_time)
    counts, limit = count(labels), most_units(patches_freq, patches_time)
    if int(counts.max()) > limit:
        raise ParameterError(
            f"a clip has {int(counts.max())} segments, and occlusion silences at most {limit} with "
            f"patches_freq={patches_freq}, patches_time={patches_time}; "
            "use fewer segments or more patches"
        )
    full = problem.score(problem.inspected.ones())
    drops = torch.zeros(problem.batch, int(counts.max()), device=problem.targets.device)
    unit, clip = (torch.arange(drops.shape[1], device=counts.device)[:, None] < counts).nonzero().unbind(1)
    for u, c in zip(unit.split(problem.batch_size), clip.split(problem.batch_size), strict=True):
        drops[c, u] = full[c] - problem.score((labels[c] != u[:, None, None]).float(), c)
    return paint(labels, drops / sizes(labels).clamp_min(1))


def most_units(patches_freq: int, patches_time: int) -> int:
    """How many units occlusion silences at most."""
    return max(patches_freq * patches_time, FEW)
