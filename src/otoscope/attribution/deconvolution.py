"""Deconvolution: what of the input a class, or a feature, goes back to when every rectifier rectifies backwards."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from otoscope.attribution.base import Problem, per_amplitude, ruled_gradient
from otoscope.classifiers import Classifier
from otoscope.classifiers.layer_features import LayerFeatures
from otoscope.core.errors import ParameterError, UnsupportedError
from otoscope.core.registry import register
from otoscope.surgery import deconvolved, preserve_state, without_biases

BATCH = 16  # features that go back together


@register(
    "method", "deconvolution", family="gradient", needs=("gradients", "uncompiled code"), signed=True, complete=False,
    deterministic=True, cost="1 forward and backward", passes=lambda **_: 1, source="zeiler2014visualizing",
)  # fmt: skip
def deconvolution(problem: Problem) -> Tensor:
    """Gradient of the target logit in which rectifiers pass the positive part of what comes back, whatever their input was.

    Parameters
    ----------
    problem : Problem
        The inspected classifier, targets, seed and batch size.

    Returns
    -------
    Tensor (batch, freq, frame)

    Notes
    -----
    Source: zeiler2014visualizing, section 2.1. If a feature of a layer is explained (`otoscope.auralise`), the way back begins with
    the feature's own map, less that of silence, over its power; so in the domain ``features`` the values are those of
    choi2015auralisation up to a factor where silence gives a map of zeros, as without biases. Cells that hold nothing get 0.

    As with guided backpropagation, the result depends little on the classifier's upper layers.
    """
    return per_amplitude(problem, ruled_gradient(problem, deconvolved))


def deconvolve(
    features: Classifier, waveform: Tensor, numbers: Sequence[int], batch_size: int = BATCH, biases: bool = True
) -> Tensor:
    """What of a sound's features some features of a layer respond to, as published: their maps, sent back one by one.

    Parameters
    ----------
    features : Classifier
        What `layer_features` makes of a classifier with a front end.
    waveform : Tensor (time,)
        At the classifier's rate.
    numbers : sequence of int
        Features of the layer.
    batch_size : int
        So many go back together: memory does not grow with their number.
    biases : bool
        False: without the biases of convolutions and linear layers on the way forward, as the original program, which does not
        load them.

    Returns
    -------
    Tensor (feature, freq, frame)
        In units of the classifier's features, on the CPU, not rectified at the end.

    Raises
    ------
    ParameterError
        If this is not the classifier of a layer, or a feature is out of range.
    UnsupportedError
        If there is no front end, or no gradient between it and the layer.

    Notes
    -----
    Source: choi2015auralisation: maps of the layer, all but one set to 0, go back through pooling with its switches, rectification
    and transposed convolution, without bias.
    """
    network = features.network
    if not isinstance(network, LayerFeatures):
        raise ParameterError("give the features of a layer: layer_features(classifier, layer)")
    wanted = [features.target(int(n), np.zeros(len(features.labels))).index for n in numbers]
    bare = contextlib.nullcontext() if biases else without_biases(network)
    with preserve_state(features), bare, torch.enable_grad(), deconvolved():
        given = features.features(waveform[None].to(features.device)).detach().to(features.dtype)
        size = max(1, min(batch_size, len(wanted)))
        copies = given.repeat(size, *[1] * (given.ndim - 1)).requires_grad_()
        maps = network.maps(copies)
        if not maps.requires_grad:
            raise UnsupportedError(
                f"classifier {features.name!r} gives no gradients between its features and this layer"
            )
        found = []
        for start in range(0, len(wanted), size):
            some = wanted[start : start + size]
            back = torch.zeros_like(maps)
            for row, number in enumerate(some):
                back[row, number] = maps[row, number].detach()
            (gradient,) = torch.autograd.grad(maps, copies, back, retain_graph=start + size < len(wanted))
            found.append(gradient[: len(some), 0].detach().cpu())
    return torch.cat(found) if found else torch.zeros(0, *given.shape[2:])
