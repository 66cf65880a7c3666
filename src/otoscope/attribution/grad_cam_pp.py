"""Grad-CAM++: channel weights from positive gradients, so that several occurrences of the target all count."""

from __future__ import annotations

from torch import Tensor

from otoscope.attribution.base import Problem
from otoscope.attribution.cam import Layer, layer_maps
from otoscope.attribution.placing import to_grid
from otoscope.core.registry import register


@register(
    "method", "grad_cam_pp", family="cam", needs=("gradients", "a convolutional layer", "placed_cells"), signed=True,
    complete=False, deterministic=True, cost="1 forward and backward", passes=lambda **_: 1,
    source="chattopadhay2018gradcampp",
)  # fmt: skip
def grad_cam_pp(problem: Problem, layer: Layer = None) -> Tensor:
    """Maps of one layer, weighted by sums of their positive gradients in which each cell has a weight of its own.

    Parameters
    ----------
    problem : Problem
        The inspected classifier, targets, seed and batch size.
    layer : str, optional
        As in Grad-CAM.

    Returns
    -------
    Tensor (batch, freq, frame)
        Negative only where a map itself is negative, so never in a layer behind a ReLU.

    Raises
    ------
    UnknownNameError
        If there is no such layer.
    UnsupportedError
        If there is no layer with maps, or the classifier does not declare where they lie.

    Notes
    -----
    Source: chattopadhay2018gradcampp, with the exponential of the logit as the score: with gradients g of the logit and a
    map A, a cell weighs ``1 / (2 + g * sum(A))`` where g is above 0, and a channel the sum of these times g. Three
    differences: the factor ``exp(logit)`` of a clip is left out; the sum over A is that of its positive part, because the
    paper's maps are never negative and a sum below 0 can make the weight infinite; there is no final ReLU.
    """
    seen = layer_maps(problem, layer)
    slope = seen.gradient.clamp_min(0)
    total = seen.maps.clamp_min(0).sum(seen.axes, keepdim=True)
    weights = (slope / (2 + slope * total)).sum(seen.axes, keepdim=True)  # (batch, channel, 1, 1)
    return to_grid(problem, (weights * seen.maps).sum(1), seen.layer, seen.n_frames)
