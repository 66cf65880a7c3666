"""Which samples each clip gets: all, or as many as its estimate needs to settle."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Annotated

import torch
from torch import Tensor

from otoscope.attribution.base import Problem
from otoscope.core.registry import Help, Range

BLOCK = 64  # samples between two checks of the errors
ROUNDING = 16 * torch.finfo(torch.float32).eps  # of scores, as a share of them

Estimate = Callable[[Tensor, int], tuple[Tensor, Tensor]]


Tolerance = Annotated[
    float,
    Range(0.0, 10.0),
    Help("stop when the largest standard error is below this share of the largest value; 0 takes all samples"),
]
"""The setting that lets a method stop early."""


def still(scores: Tensor) -> Tensor:
    """Whether scores ``(sample, clip)`` change by no more than rounding, ``(clip,)``."""
    return scores.amax(0) - scores.amin(0) <= ROUNDING * scores.abs().amax(0)


class Moments:
    """Running mean and standard error of what samples give, for each clip, in float64."""

    def __init__(self, problem: Problem):
        kind, device = torch.float64, problem.targets.device
        self.total, self.squares = torch.zeros(2, problem.batch, *problem.shape, dtype=kind, device=device)

    def add(self, clips: Tensor, values: Tensor) -> None:
        """Values ``(any, freq, frame)`` of one sample each, for these clips."""
        values = values.double()
        self.total.index_add_(0, clips, values)
        self.squares.index_add_(0, clips, values.square())

    def estimate(self, clips: Tensor, n: int) -> tuple[Tensor, Tensor]:
        """Mean and its standard error ``(clip, freq, frame)``, float32, of clips that have had ``n`` samples."""
        mean = self.total[clips] / n
        error = ((self.squares[clips] / n - mean.square()).clamp_min(0) / max(1, n - 1)).sqrt()
        return mean.float(), error.float()


class Draws:
    """Iterate over samples and clips in chunks of the batch size, skipping clips that have converged.

    Iterating yields pairs of tensors ``(sample numbers, clip numbers)``; the caller stores the scores, and `estimate`
    reads them. A clip's estimate depends only on its own scores, so a batch gives what single clips give.

    Parameters
    ----------
    problem : Problem
        The inspected classifier, targets, seed and batch size.
    limits : int or Tensor (batch,)
        Most samples of a clip.
    tolerance : float
        A clip has converged when, after a block, its largest standard error is at most this share of its largest absolute
        value (both may be 0). 0: every clip gets all its samples, in one block.
    estimate : callable
        ``estimate(clips, n)`` -> values and standard errors ``(clip, ...)`` of some clips by their first n samples.
    block : int
        Samples.

    Attributes
    ----------
    used : Tensor (batch,), int64
        How many samples each clip has had.
    """

    def __init__(
        self, problem: Problem, limits: int | Tensor, tolerance: float, estimate: Estimate, block: int = BLOCK
    ):
        self.problem, self.tolerance, self.estimate, self.block = problem, tolerance, estimate, block
        device = problem.targets.device
        self.limits = torch.as_tensor(limits, device=device).expand(problem.batch)
        self.used = torch.zeros(problem.batch, dtype=torch.int64, device=device)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        clips, most = torch.arange(self.problem.batch, device=self.limits.device), int(self.limits.max())
        for start in range(0, most, self.block if self.tolerance > 0 else most):
            stop = min(start + self.block, most) if self.tolerance > 0 else most
            yield from self._chunks(start, stop, clips)
            self.used[clips] = self.limits[clips].clamp_max(stop)
            clips = clips[self.limits[clips] > stop]
            if len(clips):
                clips = clips[~self._converged(clips, stop)]
            if not len(clips):
                return

    def _chunks(self, start: int, stop: int, clips: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        pairs = torch.cartesian_prod(torch.arange(start, stop, device=clips.device), clips)
        pairs = pairs[pairs[:, 0] < self.limits[pairs[:, 1]]]
        for chunk in pairs.split(self.problem.batch_size):
            yield chunk[:, 0], chunk[:, 1]

    def _converged(self, clips: Tensor, n: int) -> Tensor:
        values, errors = (x.flatten(1).abs().amax(1) for x in self.estimate(clips, n))
        return errors <= self.tolerance * values

    def gather(self, run: Callable[[Tensor, int], Sequence[Tensor]]) -> list[Tensor]:
        """What ``run(clips, n)`` gives, tensors ``(clip, ...)``, for all clips, each by the n samples that it has had."""
        groups = [((self.used == n).nonzero()[:, 0], n) for n in self.used.unique().tolist()]
        order = torch.cat([clips for clips, _ in groups]).argsort()
        return [torch.cat(part)[order] for part in zip(*(run(*group) for group in groups), strict=True)]

    def estimates(self) -> tuple[Tensor, Tensor]:
        """Values and standard errors of all clips."""
        values, errors = self.gather(self.estimate)
        return values, errors
