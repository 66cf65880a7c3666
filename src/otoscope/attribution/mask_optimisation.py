"""Mask optimisation: a mask per clip whose kept part preserves the decision and whose removed part loses it."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from otoscope.attribution.base import Problem, log_odds, no_gradients
from otoscope.classifiers import Inspected
from otoscope.classifiers.inspected import model_errors
from otoscope.core.errors import UnsupportedError
from otoscope.core.registry import Range, register

SOFT = 0.01  # differences of neighbouring cells that are small relative to this count as their square


@register(
    "method", "mask_optimisation", family="optimisation", needs=("gradients",), signed=False, complete=False, mask="positive",
    deterministic=False, cost="2 * steps forward and backward", passes=lambda steps, **_: 2 * steps,
    source="fong2017interpretable, dabkowski2017real",
)  # fmt: skip
def mask_optimisation(
    problem: Problem,
    steps: Annotated[int, Range(1, 10000)] = 60,
    rate: Annotated[float, Range(0.0001, 10.0)] = 0.2,
    size: Annotated[float, Range(0.0, 1000.0)] = 1.0,
    smoothness: Annotated[float, Range(0.0, 1000.0)] = 0.5,
    removed: Annotated[float, Range(0.0, 1000.0)] = 1.0,
    jitter_ms: Annotated[float, Range(0.0, 1000.0)] = 10.0,
) -> Tensor:
    """A mask for each clip: small and smooth, keeps the target on the kept part, loses it on the removed part.

    Parameters
    ----------
    problem : Problem
        The inspected classifier, targets, seed and batch size.
    steps : int
        Steps of Adam.
    rate : float
        Step size on the mask's logits.
    size : float
        Weight of the mask's mean: higher keeps less.
    smoothness : float
        Weight of differences between neighbouring cells.
    removed : float
        Weight of losing the decision on the removed part.
    jitter_ms : float
        Random shift in time at each step, for masks that do not depend on one frame.

    Returns
    -------
    Tensor (batch, freq, frame) in [0, 1]
        The mask itself.

    Notes
    -----
    Source: fong2017interpretable (deletion and preservation), dabkowski2017real (both at once); here on the cells of any
    domain, with logarithmic losses and a shift in time instead of blur.

    Rounding grows over the steps: with other numbers of threads or sizes of batches, single cells differed by up to 0.18 on eight
    clips of ESC-10, 99 % of all by less than 0.01, and the probabilities of kept and removed sound by less than 0.0002
    (``benchmarks/steadiness.py``). No other method differs by more than 1e-5.
    """
    rng, inspected = problem.rng(), problem.inspected
    logits = torch.zeros(problem.batch, *problem.shape, device=problem.targets.device, requires_grad=True)
    climb = Adam(logits, rate)
    most = int(jitter_ms / 1000 * inspected.classifier.sample_rate) if inspected.analysis.feeds == "waveform" else 0
    bands = inspected.grid.scale != "components"
    for step in range(steps):
        shift = int(torch.randint(-most, most + 1, (1,), generator=rng))
        with torch.enable_grad():
            mask = logits.sigmoid()
            decision = _decision(problem, mask, removed, shift)
            if not decision.requires_grad or (step == 0 and _is_cut_off(decision, logits, inspected)):
                classifier = inspected.classifier
                raise UnsupportedError(f"classifier {classifier.name!r} gives no gradients{no_gradients(classifier)}")
            loss = decision + size * mask.mean((1, 2)) + smoothness * roughness(mask, bands)
            with model_errors(inspected.classifier):
                (gradient,) = torch.autograd.grad(loss.sum(), logits)
        climb.step(gradient)
        problem.tick(2 * problem.batch)
    return logits.detach().sigmoid()


def _is_cut_off(decision: Tensor, logits: Tensor, inspected: Inspected) -> bool:
    """Whether operations without a derivative, such as quantised layers, stand between the mask and the decision."""
    with model_errors(inspected.classifier):
        found = torch.autograd.grad(decision.sum(), logits, retain_graph=True, allow_unused=True)
    return found[0] is None


class Adam:
    """Adam on one tensor, with torch's defaults; ``torch.optim`` would import torch's compiler first, which takes seconds.

    Source: kingma2015adam, algorithm 1.
    """

    def __init__(self, values: Tensor, rate: float):
        self.values, self.rate, self.steps = values, rate, 0
        self.mean, self.square = torch.zeros_like(values), torch.zeros_like(values)

    def step(self, gradient: Tensor) -> None:
        """Move the values, in place, against the gradient."""
        self.steps += 1
        self.mean.lerp_(gradient, 0.1)
        self.square.lerp_(gradient.square(), 0.001)
        size = (self.square / (1 - 0.999**self.steps)).sqrt_().add_(1e-8)
        with torch.no_grad():
            self.values.addcdiv_(self.mean, size, value=-self.rate / (1 - 0.9**self.steps))


def _decision(problem: Problem, mask: Tensor, weight: float, shift: int) -> Tensor:
    """-log p(target | kept) - weight * log(1 - p(target | removed)), a number for each clip."""
    inspected = problem.inspected
    kept = inspected.analysis.synthesise(mask)
    both = torch.cat([kept, inspected.analysis.complement(kept)])
    if shift:
        both = both.roll(shift, -1)
    logits = torch.cat([inspected.classify(part) for part in both.split(problem.batch_size)])
    keep, lose = log_odds(logits, problem.targets.repeat(2), inspected.classifier.multilabel).chunk(2)
    return torch.nn.functional.softplus(-keep) + weight * torch.nn.functional.softplus(lose)


def roughness(mask: Tensor, bands: bool = True) -> Tensor:
    """Mean absolute difference of neighbouring cells in time and in frequency, a number for each mask.

    Rows that are not ``bands`` of frequency have no neighbours. Rounded at the bottom: the corner of the absolute value
    would make a sign, and then a whole step, of each rounding.
    """
    along = [(mask.diff(dim=d).square() + SOFT**2).sqrt() - SOFT for d in (1, 2)[not bands :] if mask.shape[d] > 1]
    return sum((d.mean((1, 2)) for d in along), torch.zeros(len(mask), device=mask.device))
