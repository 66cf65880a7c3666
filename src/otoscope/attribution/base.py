"""Input and output of attribution methods, and the steps that methods share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from otoscope.classifiers import Classifier, Inspected
from otoscope.classifiers.inspected import memory_errors, model_errors
from otoscope.core.errors import UnsupportedError
from otoscope.core.records import Attribution, Grid
from otoscope.core.runtime import generator

Score = Literal["probability", "log_odds", "logit"]
"""What of the target a score is."""
FORWARD_ONLY = "mask_evolution, lime, kernel_shap, rise or occlusion"
"""Methods that need nothing but answers, the best first."""
FACTS = ("samples", "fidelity", "units", "gap", "change")


class Result(NamedTuple):
    """Output of a method.

    Parameters
    ----------
    values : Tensor (batch, freq, frame)
        One signed number per cell.
    standard_error : Tensor (batch, freq, frame), optional
        Of sampling methods: the spread of the values over seeds. Infinite with too few samples.
    facts : mapping of str to Tensor (batch,), optional
        Numbers that the method computed along the way (`FACTS`), one per clip: ``samples`` that were used, ``fidelity`` of a
        surrogate (share of the scores' variance that it explains, at most 1), ``units`` of a domain that has its own,
        ``gap`` between the sum of the values and what it should be, the ``change`` of the target's logit.

    Examples
    --------
    >>> Result(torch.zeros(1, 4, 8)).values.shape
    torch.Size([1, 4, 8])
    """

    values: Tensor
    standard_error: Tensor | None = None
    facts: Mapping[str, Tensor] = MappingProxyType({})


def as_attributions(result: Result, grids: Sequence[Grid], method: str) -> list[Attribution]:
    """The output of a method, clip by clip.

    Parameters
    ----------
    result : Result
        Values, standard errors and facts of a batch.
    grids : sequence of Grid
        Of each clip.
    method : str
        As records name it.

    Examples
    --------
    >>> grid = otoscope.Grid(np.array([100.0, 300.0]), np.array([0.5]), "hz", "stft", 1.0, 400.0)
    >>> as_attributions(Result(torch.ones(1, 2, 1)), [grid], "lime")[0].method
    'lime'
    """
    error = result.standard_error
    return [
        Attribution(
            result.values[i].cpu().numpy(),
            grid,
            method,
            None if error is None else error[i].cpu().numpy(),
            {name: float(each[i]) for name, each in result.facts.items()},
        )
        for i, grid in enumerate(grids)
    ]


@dataclass
class Problem:
    """The question: why did this classifier give these clips these scores for these classes?

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

    Examples
    --------
    >>> from otoscope.domains import make_domain
    >>> model = otoscope.wrap(torch.nn.Linear(16000, 2), sample_rate=16000, labels=["yes", "no"])
    >>> inspected = Inspected(model, make_domain("time"), torch.rand(1, 16000))
    >>> problem = Problem(inspected, torch.tensor([0]))
    >>> problem.batch, problem.shape
    (1, (1, 10))
    """

    inspected: Inspected
    targets: Tensor
    seed: int = 0
    batch_size: int = 16
    tick: Callable[[int], object] = field(default=lambda _n: None)

    @property
    def batch(self) -> int:
        """Number of clips."""
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
        return target_gradient(self, lambda m: self.inspected(m, index), mask, index)

    def probability(self, mask: Tensor, index: Tensor | None = None) -> Tensor:
        """Probability of the target under masks, ``(batch,)``, without gradients."""
        return self.score(mask, index, "probability")

    def score(self, mask: Tensor, index: Tensor | None = None, of: str = "logit") -> Tensor:
        """The target's ``probability``, ``log_odds`` or ``logit`` under masks, ``(batch,)``, without gradients."""
        with torch.no_grad():
            logits = self.inspected(mask, index)
        self.tick(len(mask))
        return self.score_of(logits, index, of)

    def score_of(self, logits: Tensor, index: Tensor | None, of: str) -> Tensor:
        """The target's ``probability``, ``log_odds`` or ``logit`` in logits ``(batch, class)``, ``(batch,)``."""
        if of == "probability":
            return self.of_target(self.inspected.classifier.probabilities(logits), index)
        if of == "logit":
            return self.of_target(logits, index)
        targets = self.targets if index is None else self.targets[index]
        return log_odds(logits, targets, self.inspected.classifier.multilabel)

    def chunks(self, n: int, clips: Tensor | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """All pairs of ``n`` samples and clips (all, or some), in chunks of the batch size: (sample numbers, clip numbers)."""
        clips = torch.arange(self.batch, device=self.targets.device) if clips is None else clips
        for chunk in torch.arange(n * len(clips), device=clips.device).split(self.batch_size):
            yield chunk // len(clips), clips[chunk % len(clips)]


def target_gradient(
    problem: Problem, logits: Callable[[Tensor], Tensor], mask: Tensor, index: Tensor | None = None
) -> Tensor:
    """Gradient by masks ``(any, freq, frame)`` of each row's target logit, where ``logits(mask)`` is ``(any, class)``.

    Raises
    ------
    UnsupportedError
        If the classifier gives no gradients.
    """
    classifier = problem.inspected.classifier
    mask = mask.detach().requires_grad_(True)
    with torch.enable_grad():
        score = problem.of_target(logits(mask), index)
        gradient = None
        if score.requires_grad:
            with model_errors(classifier):
                (gradient,) = torch.autograd.grad(score.sum(), mask, allow_unused=True)
        if gradient is None:  # operations without a derivative, such as quantised layers, leave the mask unused
            raise UnsupportedError(f"classifier {classifier.name!r} gives no gradients{no_gradients(classifier)}")
    problem.tick(len(mask))
    return gradient


def ruled_gradient(problem: Problem, rules: Callable[[], AbstractContextManager[object]]) -> Tensor:
    """Gradient of the target logits by masks, with other rules for the way back (`otoscope.surgery`), ``(batch, freq, frame)``."""
    gradient = torch.zeros(problem.batch, *problem.shape, device=problem.targets.device)
    for _, clip in problem.chunks(1):
        with rules():
            gradient[clip] = problem.gradient(problem.inspected.ones(len(clip)), clip)
    return gradient


def no_gradients(classifier: Classifier) -> str:
    """Why a classifier gives none, and what to use."""
    if getattr(classifier.frontend, "opaque", False):
        return (
            f" beyond its features, which a function outside of torch makes; use the domain features, or {FORWARD_ONLY}"
        )
    return f" (its output does not depend on its input in a differentiable way); use {FORWARD_ONLY}"


def inner_gradients(
    problem: Problem, score: Tensor, inner: Sequence[Tensor], path: str, instead: str = FORWARD_ONLY
) -> tuple[Tensor | None, ...]:
    """Gradients of scores by tensors inside the classifier; None by one that they do not depend on.

    Raises
    ------
    UnsupportedError
        If there are no gradients on the ``path``; it names what to use ``instead``.
    """
    classifier = problem.inspected.classifier
    if not (score.requires_grad and all(x.requires_grad for x in inner)):
        raise UnsupportedError(f"classifier {classifier.name!r} gives no gradients between {path}; use {instead}")
    with memory_errors(len(score)), model_errors(classifier):
        return torch.autograd.grad(score.sum(), inner, allow_unused=True)


def per_amplitude(problem: Problem, by_mask: Tensor, clips: Tensor | None = None) -> Tensor:
    """Gradient by the mask -> gradient by the amplitude of what each cell holds; empty cells get 0.

    A mask scales a cell, so the derivative by the mask is amplitude times the derivative by the amplitude. Where cells
    belong together (superpixels), what is scaled is the segment, and its mean amplitude counts. ``clips`` are the
    clips of the rows, if not all.
    """
    analysis = problem.inspected.analysis
    amplitude = analysis.pool(analysis.amplitude())
    amplitude = amplitude if clips is None else amplitude[clips]
    floor = amplitude.amax((1, 2), keepdim=True) * 1e-6
    return torch.where(amplitude > floor, by_mask / amplitude.clamp_min(1e-30), torch.zeros_like(by_mask))


def log_odds(logits: Tensor, targets: Tensor, multilabel: bool) -> Tensor:
    """Log-odds of each row's target: the logit itself for sigmoid outputs, against all other classes for softmax."""
    own = logits.gather(1, targets[:, None])[:, 0]
    if multilabel:
        return own
    if logits.shape[1] == 1:
        return torch.zeros_like(own) + own * 0
    others = logits.scatter(1, targets[:, None], float("-inf"))
    return own - others.logsumexp(1)
