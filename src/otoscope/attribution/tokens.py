"""Shared by methods on attention: the weights of all layers, where the decision is read, and where tokens lie."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from otoscope.attribution.base import Problem
from otoscope.attribution.placing import to_grid
from otoscope.classifiers import Classifier
from otoscope.core.errors import UnsupportedError
from otoscope.surgery import Attention, record_attention, record_input


class AttentionPass(NamedTuple):
    """One pass through a transformer.

    Parameters
    ----------
    layers : list of Attention
        From the first layer to the last.
    score : Tensor (batch,)
        The target's logit.
    n_frames : int
        Frames of features, or samples, that the network was given.
    """

    layers: list[Attention]
    score: Tensor
    n_frames: int


def attention_pass(problem: Problem, clips: Tensor, keep: Callable[[Tensor], Tensor], gradients: bool) -> AttentionPass:
    """The attention of every layer for some clips, in one forward pass; gradients flow to the weights if requested.

    ``keep`` reduces weights ``(batch, head, token, token)``.

    Raises
    ------
    UnsupportedError
        If the classifier is not a transformer whose layers all look at the same tokens of the whole clip.
    """
    inspected = problem.inspected
    classifier = inspected.classifier
    with (
        torch.set_grad_enabled(gradients),
        record_attention(classifier.network, keep) as layers,
        record_input(classifier.network) as inputs,
    ):
        score = problem.of_target(inspected(inspected.ones(len(clips)), clips), clips)
    problem.tick(len(clips))
    _check(classifier, layers, len(clips))
    return AttentionPass(layers, score, inputs[0].shape[-1])


def _check(classifier: Classifier, layers: Sequence[Attention], batch: int) -> None:
    if not layers:
        config = getattr(getattr(classifier.network, "model", None), "config", None)
        kind = getattr(config, "_attn_implementation", None)
        kernel = kind not in (None, "eager", "sdpa")
        advice = f"; its attention is {kind!r}: load it with attn_implementation='sdpa'" if kernel else ""
        raise UnsupportedError(
            f"classifier {classifier.name!r} has no attention from tokens to tokens that can be read{advice}; use grad_cam, "
            "layer_cam or occlusion"
        )
    tokens = layers[-1].weights.shape[-1]
    for layer, weights in layers:
        if len(weights) != batch or weights.shape[-1] != tokens:
            raise UnsupportedError(
                f"attention of {layer or 'the network'} in classifier {classifier.name!r} has shape "
                f"{tuple(weights.shape)}: it does not go from all {tokens} tokens of each of {batch} clips to all of them "
                "(windows of tokens, or layers that join tokens); use grad_cam, amt or occlusion"
            )


def readout(classifier: Classifier, like: Tensor) -> Tensor:
    """How much of the decision is read at each token, ``(token,)``, of weights ``(..., token, token)``.

    Evenly at the ``class_tokens`` that the network declares, which come first, or at all tokens without such.
    """
    n, own = like.shape[-1], class_tokens(classifier)
    share = torch.zeros(n, dtype=like.dtype, device=like.device)
    share[: own or n] = 1 / (own or n)
    return share


def class_tokens(classifier: Classifier) -> int:
    """How many tokens stand before those of the sound."""
    return int(getattr(classifier.network, "class_tokens", 0))


def has_place(classifier: Classifier, layer: str) -> bool:
    """Whether the classifier declares where a layer's tokens lie."""
    return classifier.axes_of(layer) == "frame channel" or hasattr(classifier.network, "token_maps")


def tokens_to_grid(problem: Problem, relevance: Tensor, layer: str, n_frames: int) -> Tensor:
    """Relevance ``(batch, token)`` -> ``(batch, freq, frame)``, at the places that the classifier declares for the layer's tokens.

    Raises
    ------
    UnsupportedError
        If it declares none.
    """
    classifier = problem.inspected.classifier
    if classifier.axes_of(layer) == "frame channel":
        return to_grid(problem, relevance[:, class_tokens(classifier) :], layer, n_frames)
    place = getattr(classifier.network, "token_maps", None)
    if place is None:
        raise UnsupportedError(
            f"classifier {classifier.name!r} does not declare where the tokens of {layer or 'its network'} lie; give its network "
            "token_maps(tokens (batch, token, channel)) -> (batch, channel, freq, frame), and class_tokens, the number of "
            "tokens that stand before them; or use grad_cam or occlusion"
        )
    return to_grid(problem, place(relevance[..., None])[:, 0], layer, n_frames)
