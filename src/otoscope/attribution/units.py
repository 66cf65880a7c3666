"""Interpretable units: the pieces of a grid that a method switches on and off as one."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from otoscope.attribution.base import Problem
from otoscope.core.errors import ParameterError, ShapeError
from otoscope.core.registry import Help, Range
from otoscope.domains.superpixels import paint as paint
from otoscope.domains.superpixels import sizes as sizes

FEW = 128
BLOCKS_FREQ, BLOCKS_TIME = 6, 10
BlocksFreq = Annotated[
    int | None,
    Range(1, 512),
    Help(
        f"blocks along frequency; none is the domain's own segments, every cell of a grid of at most {FEW}, else "
        f"{BLOCKS_FREQ} x {BLOCKS_TIME} blocks"
    ),
]
BlocksTime = Annotated[int | None, Range(1, 4096), Help("blocks along time; likewise")]


def units_of(problem: Problem, blocks_freq: int | None = None, blocks_time: int | None = None) -> Tensor:
    """The units of each clip: blocks if requested, else what suits the domain.

    Parameters
    ----------
    problem : Problem
        The inspected classifier, targets, seed and batch size.
    blocks_freq, blocks_time : int, optional
        If one is given, blocks of about equal size (fewer if the grid has fewer cells). By default the
        segments that the domain's analysis has itself (``segments()``); else every cell of a grid of at most `FEW`
        (segments of time, components); else `BLOCKS_FREQ` x `BLOCKS_TIME` blocks, of which a grid of few bands gives
        those that it cannot have along frequency to time. Rows that are parts of the sound (components) are never joined:
        they have no neighbours.

    Returns
    -------
    Tensor (batch, freq, frame), int64
        Number of each cell's unit, from 0 up. Clips may have different numbers of units; no cell is left out.

    Raises
    ------
    ParameterError
        If blocks are requested in a domain that has its own segments, or of rows that are parts of the sound.

    Notes
    -----
    Source: mishra2017slime; there rows of frequency that are left over when the bands do not divide evenly belong to no
    block and are never silenced.
    """
    own = segments_of(problem)
    if own is not None:
        if blocks_freq is not None or blocks_time is not None:
            raise ParameterError(
                f"the domain {problem.inspected.grid.domain!r} has segments of its own, which blocks would cut; leave out "
                "blocks_freq and blocks_time, or explain in the domain that the cells come from"
            )
        return own
    if apart(problem):
        if blocks_freq is not None:
            raise ParameterError(
                f"blocks_freq={blocks_freq} joins neighbouring rows, and those of the domain "
                f"{problem.inspected.grid.domain!r} are parts of the sound; leave it out; blocks_time alone is enough"
            )
        return blocks(problem, problem.shape[0], blocks_time or max(1, FEW // problem.shape[0]))
    if blocks_freq is None and blocks_time is None:
        if problem.shape[0] * problem.shape[1] <= FEW:
            return blocks(problem, *problem.shape)
        rows = min(BLOCKS_FREQ, problem.shape[0])
        return blocks(problem, rows, BLOCKS_FREQ * BLOCKS_TIME // rows)
    return blocks(problem, blocks_freq or BLOCKS_FREQ, blocks_time or BLOCKS_TIME)


def apart(problem: Problem) -> bool:
    """Whether rows are parts of the sound, which have no neighbours."""
    return problem.inspected.grid.scale == "components"


def segments_of(problem: Problem) -> Tensor | None:
    """The segments that the domain's analysis has itself, ``(batch, freq, frame)`` int64; None where it has none.

    Raises
    ------
    ShapeError
        If they do not fit the grid.
    """
    labels, wanted = problem.inspected.analysis.segments(), (problem.batch, *problem.shape)
    if labels is None:
        return None
    if tuple(labels.shape) != wanted or labels.dtype != torch.int64 or int(labels.min()) < 0:
        raise ShapeError(
            f"the segments of the {problem.inspected.grid.domain} domain have shape {tuple(labels.shape)} and type "
            f"{labels.dtype}; they must be int64 labels {wanted} from 0 up"
        )
    return labels.to(problem.targets.device)


def blocks(problem: Problem, along_freq: int, along_time: int) -> Tensor:
    """Blocks that tile the grid, sizes along an axis at most one apart, ``(batch, freq, frame)``."""
    rows, columns = (
        torch.arange(size, device=problem.targets.device) * min(n, size) // size
        for n, size in zip((along_freq, along_time), problem.shape, strict=True)
    )
    labels = rows[:, None] * min(along_time, problem.shape[1]) + columns[None]
    return labels.expand(problem.batch, *problem.shape)


def count(labels: Tensor) -> Tensor:
    """How many units each clip has, ``(batch,)``."""
    return labels.amax((1, 2)) + 1
