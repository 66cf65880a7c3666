"""Shared by methods on a layer's maps: the maps, their gradients, and the projection to the grid."""

from __future__ import annotations

import contextlib
from typing import Annotated, NamedTuple

import torch
from torch import Tensor

from otoscope.attribution.base import Problem, inner_gradients
from otoscope.core.errors import UnsupportedError
from otoscope.core.registry import Help
from otoscope.surgery import record_input, record_layer

Layer = Annotated[str | None, Help("dotted name of the layer inside the network; none is the classifier's default")]


class LayerMaps(NamedTuple):
    """Maps of one layer.

    Parameters
    ----------
    layer : str
        Dotted name of the layer.
    maps : Tensor (batch, channel, freq, frame) or (batch, channel, frame)
        Output of the layer.
    gradient : Tensor, the same shape
        Of the target logit by the maps.
    n_frames : int
        Frames of features, or samples, that the network was given.
    """

    layer: str
    maps: Tensor
    gradient: Tensor
    n_frames: int

    @property
    def axes(self) -> tuple[int, ...]:
        """The axes of the maps along which cells lie."""
        return tuple(range(2, self.maps.ndim))


def layer_maps(problem: Problem, layer: str | None) -> LayerMaps:
    """Maps of a layer and the target logit's gradients by them, at most ``batch_size`` clips in one pass.

    Without a name it is the classifier's default layer. Its output is brought to ``(batch, channel, freq, frame)``, or
    ``(batch, channel, frame)`` where there is no frequency, by the axes that the classifier declares.

    Raises
    ------
    UnknownNameError
        If there is no such layer.
    UnsupportedError
        If there is no layer with maps, or no gradients.
    """
    layer = layer_of(problem, layer)
    parts = [layer_output(problem, layer, clips, True) for _, clips in problem.chunks(1)]
    place = problem.inspected.classifier.maps
    maps, gradient = (place(layer, torch.cat(some)) for some in zip(*(part[:2] for part in parts), strict=True))
    return LayerMaps(layer, maps, gradient, parts[0][2])


def layer_of(problem: Problem, layer: str | None) -> str:
    """The given layer, else the classifier's default; an `UnsupportedError` without either."""
    classifier = problem.inspected.classifier
    layer = layer or classifier.cam_layer
    if not layer:
        raise UnsupportedError(
            f"classifier {classifier.name!r} has no convolutional layer; name a layer (layer=NAME) "
            "or use integrated_gradients"
        )
    return layer


def layer_output(problem: Problem, layer: str, clips: Tensor, gradients: bool) -> tuple[Tensor, Tensor, int]:
    """Output of a layer for some clips in one pass, its gradient (or zeros), and the number of frames it was given."""
    if problem.inspected.classifier.one_by_one and len(clips) > 1:
        parts = [layer_output(problem, layer, clip, gradients) for clip in clips.split(1)]
        return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts]), parts[0][2]
    inspected, network = problem.inspected, problem.inspected.classifier.network
    mask = inspected.ones(len(clips)).requires_grad_(gradients)
    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.set_grad_enabled(gradients))
        outputs, inputs = stack.enter_context(record_layer(network, layer)), stack.enter_context(record_input(network))
        score = problem.of_target(inspected(mask, clips), clips)
        if not outputs:
            raise UnsupportedError(f"layer {layer!r} is not used in a forward pass; choose another layer")
        if len(outputs) > 1:
            raise UnsupportedError(
                f"layer {layer!r} is used {len(outputs)} times in a forward pass, so it has no single map; choose another layer"
            )
        maps = outputs[0]
        if len(maps) != len(clips):
            raise UnsupportedError(
                f"layer {layer!r} gives shape {tuple(maps.shape)}, not one map for each of {len(clips)} clips; "
                "choose another layer"
            )
        gradient = _gradient(problem, layer, score, maps) if gradients else torch.zeros_like(maps)
    problem.tick(len(clips))
    return maps.detach(), gradient, inputs[0].shape[-1]


def _gradient(problem: Problem, layer: str, score: Tensor, maps: Tensor) -> Tensor:
    (gradient,) = inner_gradients(problem, score, [maps], f"its input, layer {layer!r} and its output")
    if gradient is None:
        raise UnsupportedError(f"the target logit does not depend on layer {layer!r}; choose another layer")
    return gradient
