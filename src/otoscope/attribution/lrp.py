"""LRP: the logit is propagated back layer by layer, in proportion to the contributions of each layer's inputs."""

from __future__ import annotations

from typing import Annotated

import torch

from otoscope.attribution.base import Problem, target_gradient
from otoscope.core.registry import Range, register
from otoscope.surgery import preserve_state, relevance


@register(
    "method", "lrp", family="gradient", needs=("gradients", "uncompiled code"), signed=True, complete=False, deterministic=True,
    cost="2 forward and 1 backward", passes=lambda **_: 2,
    source="bach2015lrp, montavon2019lrp, andeol2021learning, ali2022xai",
)  # fmt: skip
def lrp(
    problem: Problem,
    epsilon: Annotated[float, Range(0.0, 10.0)] = 0.01,
    gamma: Annotated[float, Range(0.0, 1000000.0)] = 0.25,
) -> torch.Tensor:
    """Layer-wise relevance propagation: epsilon rule for dense layers, gamma rule for convolutions.

    Parameters
    ----------
    problem : Problem
        The inspected classifier, targets, seed and batch size.
    epsilon : float
        Stabiliser, as a share of the size of a layer's outputs. See `otoscope.surgery.relevance`.
    gamma : float
        Preference of convolutions for what agrees; very large is the z+ rule.

    Returns
    -------
    Tensor (batch, freq, frame)
        Shares of the target's logit. Their sum falls short of it by what biases and ``epsilon`` take.

    Raises
    ------
    UnsupportedError
        If the classifier gives no gradients, or runs other operations on the clip than on silence.

    Notes
    -----
    Source: bach2015lrp; montavon2019lrp, section 10.2, without a rule of its own for the first layer, which counts from
    silence instead; andeol2021learning for inputs of any sign in the gamma rule; ali2022xai for norms and attention.

    Zennit, the usual implementation, meets only modules, and here much of a network is plain functions (gates, pooling
    over axes, attention); it also needs torchvision. So the rules are our own.
    """
    with preserve_state(problem.inspected.classifier):  # what requires gradients is what varies with the mask
        return torch.cat([_relevances(problem, clip, epsilon, gamma) for _, clip in problem.chunks(1)])


def _relevances(problem: Problem, clip: torch.Tensor, epsilon: float, gamma: float) -> torch.Tensor:
    inspected, ones = problem.inspected, problem.inspected.ones(len(clip))
    with relevance(inspected.classifier.network, lambda: inspected(0 * ones, clip), epsilon, gamma):
        problem.tick(len(clip))
        return target_gradient(problem, lambda mask: inspected(mask, clip), ones, clip)
