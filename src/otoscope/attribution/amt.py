"""AMT: attention or activation strength, read in one forward pass, without gradients or training."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from otoscope.attribution.base import Problem
from otoscope.attribution.cam import Layer, layer_of, layer_output
from otoscope.attribution.placing import to_grid
from otoscope.attribution.tokens import attention_pass, has_place, readout, tokens_to_grid
from otoscope.core.registry import register
from otoscope.surgery import Attention, record_attention


@register(
    "method", "amt", family="cam", needs=("a convolutional layer or a transformer", "placed_cells"), signed=False,
    complete=False, deterministic=True, cost="1 forward", passes=lambda **_: 1, source="dellalibera2024focal",
)  # fmt: skip
def amt(problem: Problem, layer: Layer = None) -> Tensor:
    """Where the last layer looks (attention), or how strong its maps are (convolutions); the same for every class.

    Parameters
    ----------
    problem : Problem
        The inspected classifier, targets, seed and batch size.
    layer : str, optional
        The maps of this layer, in place of the attention of a transformer or of the classifier's default layer.

    Returns
    -------
    Tensor (batch, freq, frame)
        At least 0.

    Raises
    ------
    UnknownNameError
        If there is no such layer.
    UnsupportedError
        If there is neither attention nor a layer with maps, or the classifier does not declare where they lie.

    Notes
    -----
    Source: dellalibera2024focal. Transformers: attention of the last layer, mean over heads, from the class tokens, or from
    all tokens where there are none. Others: root of the sum of squares over the channels of a layer's maps; the paper
    takes the modulator of a focal network's last stage. Its mask keeps the highest tenth: ``mask="topk:0.1"``.
    """
    return torch.cat([_look(problem, layer, clips) for _, clips in problem.chunks(1)])


def _look(problem: Problem, layer: str | None, clips: Tensor) -> Tensor:
    classifier = problem.inspected.classifier
    head_mean = partial(torch.mean, dim=1)
    if not (layer or classifier.cam_layer):
        seen = attention_pass(problem, clips, head_mean, gradients=False)
        return _attended(problem, seen.layers[-1], seen.n_frames)
    name = layer_of(problem, layer)
    with record_attention(classifier.network, head_mean) as layers:
        output, _, n_frames = layer_output(problem, name, clips, gradients=False)
    placed = [a for a in layers if len(a.weights) == len(clips) and has_place(classifier, a.layer)]
    if layer is None and placed:  # a softmax of a square map may be anything
        return _attended(problem, placed[-1], n_frames)
    strength = torch.linalg.vector_norm(classifier.maps(name, output), dim=1)
    return to_grid(problem, strength, name, n_frames)


def _attended(problem: Problem, attention: Attention, n_frames: int) -> Tensor:
    row = readout(problem.inspected.classifier, attention.weights) @ attention.weights  # (batch, token)
    return tokens_to_grid(problem, row, attention.layer, n_frames)
