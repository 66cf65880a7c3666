"""Layer-CAM: each cell of each map has its own weight, so that early layers with fine cells work too."""

from __future__ import annotations

from torch import Tensor

from otoscope.attribution.base import Problem
from otoscope.attribution.cam import Layer, layer_maps
from otoscope.attribution.placing import to_grid
from otoscope.core.registry import register


@register(
    "method", "layer_cam", family="cam", needs=("gradients", "a convolutional layer", "placed_cells"), signed=True,
    complete=False, deterministic=True, cost="1 forward and backward", passes=lambda **_: 1,
    source="jiang2021layercam",
)  # fmt: skip
def layer_cam(problem: Problem, layer: Layer = None) -> Tensor:
    """Maps of one layer, each cell weighted by its own gradient if positive.

    Parameters
    ----------
    problem : Problem
        The inspected classifier, targets, seed and batch size.
    layer : str, optional
        As in Grad-CAM; with this method early layers, which have fine cells, give clear maps as well.

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
    Source: jiang2021layercam without the final ReLU.
    """
    seen = layer_maps(problem, layer)
    return to_grid(problem, (seen.gradient.clamp_min(0) * seen.maps).sum(1), seen.layer, seen.n_frames)
