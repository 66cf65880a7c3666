"""Attention rollout: how much each patch of sound contributes to the decision through the attention of all layers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Literal

import torch
from torch import Tensor

from otoscope.attribution.base import Problem
from otoscope.attribution.tokens import attention_pass, class_tokens, readout, tokens_to_grid
from otoscope.core.registry import Range, register

FUSE: dict[str, Callable[..., Tensor]] = {"mean": torch.mean, "max": torch.amax, "min": torch.amin}


@register(
    "method", "attention_rollout", family="attention", needs=("attention", "placed_cells"), signed=False,
    complete=False, deterministic=True, cost="1 forward", passes=lambda **_: 1, source="abnar2020rollout",
)  # fmt: skip
def attention_rollout(
    problem: Problem,
    residual: Annotated[float, Range(0.0, 0.99)] = 0.5,
    heads: Literal["mean", "max", "min"] = "mean",
    discard_lowest: Annotated[float, Range(0.0, 0.99)] = 0.0,
) -> Tensor:
    """Product of all layers' attention, read where the decision is read; the same for every class.

    Parameters
    ----------
    problem : Problem
        The inspected classifier, targets, seed and batch size.
    residual : float in [0, 0.99]
        Share of each token that goes past the attention, unchanged. A layer passes on ``(1 - residual) * attention
        + residual * identity``, rows scaled to sum to one.
    heads : {"mean", "max", "min"}
        How the heads of a layer are joined.
    discard_lowest : float in [0, 0.99]
        Share of each layer's lowest weights that is taken out. 0 is the paper's; a high share takes out the small
        weights that all tokens get. Attention to class tokens stays.

    Returns
    -------
    Tensor (batch, freq, frame)
        At least 0.

    Raises
    ------
    UnsupportedError
        If the classifier is not a transformer whose layers all look at the same tokens, or does not declare where they lie.

    Notes
    -----
    Source: abnar2020rollout, sec. 3; ``discard_lowest`` and joining heads by other than the mean are not in the paper.
    Read at the class tokens that the network declares, else at the mean of all tokens. It ignores the target;
    `gradient_rollout` uses it.
    """
    fuse = partial(_fused, heads=heads, lowest=discard_lowest, own=class_tokens(problem.inspected.classifier))
    found = []
    for _, clips in problem.chunks(1):
        seen = attention_pass(problem, clips, fuse, gradients=False)
        row = readout(problem.inspected.classifier, seen.layers[-1].weights).expand(len(clips), 1, -1)
        for _, attention in reversed(seen.layers):
            row = (1 - residual) * row @ attention + residual * row  # the layers' product, from the last to the first
        found.append(tokens_to_grid(problem, row[:, 0], seen.layers[-1].layer, seen.n_frames))
    return torch.cat(found)


def _fused(weights: Tensor, heads: str, lowest: float, own: int) -> Tensor:
    """Weights ``(batch, head, token, token)`` -> ``(batch, token, token)``, without the lowest; rows sum to one."""
    joined = FUSE[heads](weights, 1)
    if int(lowest * joined[0].numel()):
        limit = joined.flatten(1).kthvalue(int(lowest * joined[0].numel())).values
        low = joined <= limit[:, None, None]
        low[..., :own] = False
        joined = joined.masked_fill(low, 0)
    return joined / joined.sum(-1, keepdim=True).clamp_min(1e-30)
