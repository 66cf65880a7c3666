"""Grad-CAM, signed, carried from the layer's map to the grid by the front end's own axes."""

from __future__ import annotations

from torch import Tensor

from otoscope.attribution.base import Problem
from otoscope.attribution.cam import Layer, layer_maps
from otoscope.attribution.placing import resized, to_grid
from otoscope.core.registry import register


@register(
    "method", "grad_cam", family="cam", needs=("gradients", "a convolutional layer", "placed_cells"), signed=True,
    complete=False, deterministic=True, cost="1 forward and backward", passes=lambda **_: 1,
    source="selvaraju2017gradcam",
)  # fmt: skip
def grad_cam(problem: Problem, layer: Layer = None, transposed: bool = False) -> Tensor:
    """Maps of one layer, weighted by their mean gradients, signed.

    Parameters
    ----------
    problem : Problem
        The inspected classifier, targets, seed and batch size.
    layer : str, optional
        Its output is brought to ``(batch, channel, freq, frame)``, or ``(batch, channel, time)`` for networks on
        waveforms, by the axes that the classifier declares.
    transposed : bool
        Take maps that lie (frame, freq) inside for (freq, frame), as audiointerp did. True reproduces a known
        mistake, to compare with published numbers: the map of a network that lies (frame, freq) inside is stretched
        over the features as if it lay (freq, frame). It changes nothing for other layers.

    Returns
    -------
    Tensor (batch, freq, frame)

    Raises
    ------
    UnknownNameError
        If there is no such layer.
    UnsupportedError
        If there is no layer with maps, or the classifier does not declare where they lie.

    Notes
    -----
    Source: selvaraju2017gradcam without the final ReLU, so that what speaks against the target stays visible; audiointerp
    for ``transposed``. Cells of a map lie where the classifier places them (`Classifier.place_of`); without that they are
    taken to tile the features evenly, which strides, convolutions without padding and poolings that leave a rest do not do
    exactly.
    """
    seen = layer_maps(problem, layer)
    cam = (seen.gradient.mean(seen.axes, keepdim=True) * seen.maps).sum(1)  # (batch, freq, frame) or (batch, time)
    if transposed and problem.inspected.classifier.axes_of(seen.layer) == "channel frame freq":
        return resized(problem, cam.transpose(1, 2), seen.n_frames)
    return to_grid(problem, cam, seen.layer, seen.n_frames)
