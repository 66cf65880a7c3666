"""What an attribution method is given and gives, and the few steps that methods share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from otoscope.classifiers import Inspected
from otoscope.classifiers.inspected import model_errors
from otoscope.core.errors import UnsupportedError
from otoscope.core.runtime import generator


class Result(NamedTuple):
    """Values ``(batch, freq, frame)`` and, for sampling methods, their standard errors."""

    values: Tensor
    standard_error: Tensor | None = None


@dataclass
class Problem:
    """What is asked: why did this classifier give these clips these scores for these classes?

    Parameters
    ----------
    inspected : Inspected
        The classifier behind a domain, with a batch of clips.
    targets : Tensor (batch,), int64
        Class of each clip.
    seed : int
        Every clip of a batch sees the same random numbers, so a batch gives what single clips give.
    batch_size : int
        Most clips in one pass.
    tick : callable
        Called with the number of passes done, for progress bars.
    """

    inspected: Inspected
    targets: Tensor
    seed: int = 0
    batch_size: int = 16
    tick: Callable[[int], object] = field(default=lambda _n: None)

    @property
    def batch(self) -> int:
        """How many clips."""
        return self.inspected.batch

    @property
    def shape(self) -> tuple[int, int]:
        """(freq, frame) of the grid."""
        return self.inspected.grid.shape

    def rng(self) -> torch.Generator:
        """A fresh random generator on the CPU."""
        return generator(self.seed)

    def of_target(self, logits: Tensor, index: Tensor | None = None) -> Tensor:
        """Each row's number for its target."""
        targets = self.targets if index is None else self.targets[index]
        return logits.gather(1, targets[:, None])[:, 0]

    def gradient(self, mask: Tensor, index: Tensor | None = None) -> Tensor:
        """Gradient of the target logit by the mask, ``(batch, freq, frame)``."""
        mask = mask.detach().requires_grad_(True)
        with torch.enable_grad():
            score = self.of_target(self.inspected(mask, index), index)
            if not score.requires_grad:
                raise UnsupportedError(
                    f"classifier {self.inspected.classifier.name!r} gives no gradients (its output does not depend on its "
                    "input in a differentiable way); use occlusion or rise"
                )
            with model_errors(self.inspected.classifier):
                (gradient,) = torch.autograd.grad(score.sum(), mask)
        self.tick(len(mask))
        return gradient

    def probability(self, mask: Tensor, index: Tensor | None = None) -> Tensor:
        """Probability of the target under masks, ``(batch,)``, without gradients."""
        with torch.no_grad():
            probabilities = self.inspected.classifier.probabilities(self.inspected(mask, index))
        self.tick(len(mask))
        return self.of_target(probabilities, index)

    def chunks(self, n: int) -> Iterator[tuple[Tensor, Tensor]]:
        """All pairs of ``n`` samples and the clips, in chunks of the batch size: (sample numbers, clip numbers)."""
        pairs = torch.arange(n * self.batch, device=self.targets.device)
        for chunk in pairs.split(self.batch_size):
            yield chunk // self.batch, chunk % self.batch


def per_amplitude(problem: Problem, by_mask: Tensor) -> Tensor:
    """Gradient by the mask -> gradient by the amplitude of what each cell holds; empty cells get 0.

    A mask scales a cell, so the derivative by the mask is amplitude times the derivative by the amplitude.
    """
    amplitude = problem.inspected.analysis.amplitude()
    floor = amplitude.amax((1, 2), keepdim=True) * 1e-6
    return torch.where(amplitude > floor, by_mask / amplitude.clamp_min(1e-30), torch.zeros_like(by_mask))
