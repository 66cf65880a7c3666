"""Gradient-weighted rollout: attention of all layers, weighted by its gradient of the target."""

from __future__ import annotations

import torch
from torch import Tensor

from otoscope.attribution.base import FORWARD_ONLY, Problem, inner_gradients
from otoscope.attribution.tokens import AttentionPass, attention_pass, readout, tokens_to_grid
from otoscope.core.errors import UnsupportedError
from otoscope.core.registry import register

NUMBERS = 2**27  # attention weights of one pass, which are held with their gradients: 1 GiB


@register(
    "method", "gradient_rollout", family="attention", needs=("gradients", "attention", "placed_cells"), signed=False,
    complete=False, deterministic=True, cost="1 forward and backward", passes=lambda **_: 1,
    source="chefer2021generic",
)  # fmt: skip
def gradient_rollout(problem: Problem) -> Tensor:
    """Relevance that all layers' attention, weighted by the target logit's gradient, brings to the decision.

    Parameters
    ----------
    problem : Problem
        The inspected classifier, targets, seed and batch size.

    Returns
    -------
    Tensor (batch, freq, frame)
        At least 0: only what speaks for the target is counted.

    Raises
    ------
    UnsupportedError
        If the classifier is not a transformer whose layers all look at the same tokens, does not declare where they lie, or
        gives no gradients.

    Notes
    -----
    Source: chefer2021generic, for self-attention: from layer to layer ``R = R + A R``, with A the mean over heads of
    the positive part of attention times gradient. R begins as the identity, which is taken off again at the end. Read
    at the class tokens that the network declares, else at the mean of all tokens. Of clips with many tokens fewer than
    ``batch_size`` go through at once.
    """
    found: list[Tensor] = []
    done, rows = 0, 1
    while done < problem.batch:  # the first clip alone shows how many fit
        clips = torch.arange(done, min(done + rows, problem.batch), device=problem.targets.device)
        seen = attention_pass(problem, clips, lambda weights: weights, gradients=True)
        found.append(_relevance(problem, seen))
        rows = min(problem.batch_size, NUMBERS * len(clips) // sum(w.numel() for _, w in seen.layers) or 1)
        done += len(clips)
    return torch.cat(found)


def _relevance(problem: Problem, seen: AttentionPass) -> Tensor:
    """The readout's row of R without the identity, on the grid."""
    layer, weights = seen.layers[-1]
    start = readout(problem.inspected.classifier, weights).expand(len(weights), 1, -1)
    row = start
    for attention in reversed(_weighted(problem, seen)):
        row = row + row @ attention  # (1 + A_last) ... (1 + A_first), from the left
    return tokens_to_grid(problem, (row - start)[:, 0], layer, seen.n_frames)


def _weighted(problem: Problem, seen: AttentionPass) -> list[Tensor]:
    """Each layer's attention, weighted by the gradient of the target logit, ``(batch, token, token)``."""
    weights = [layer.weights for layer in seen.layers]
    path, instead = "its attention and its output", f"attention_rollout, {FORWARD_ONLY}"
    gradients = inner_gradients(problem, seen.score, weights, path, instead)
    if all(g is None for g in gradients):
        raise UnsupportedError(
            f"the target logit of classifier {problem.inspected.classifier.name!r} does not depend on its attention; "
            "use grad_cam"
        )
    with torch.no_grad():
        return [
            torch.zeros_like(w[:, 0]) if g is None else (w * g).clamp_min(0).mean(1)
            for w, g in zip(weights, gradients, strict=True)
        ]
