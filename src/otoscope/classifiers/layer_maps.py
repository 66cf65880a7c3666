"""What one layer of any classifier makes of waveforms, in one forward pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from otoscope.classifiers.base import Classifier
from otoscope.classifiers.layer_cells import LayerCells, layer_cells
from otoscope.core.errors import UnsupportedError
from otoscope.surgery import count_heads, preserve_state, record_input, record_layers


class RecordedMaps(NamedTuple):
    """The maps of one layer ``(batch, channel, freq, frame)``, the probabilities ``(batch, class)``, and where the cells lie."""

    maps: Tensor
    probabilities: Tensor
    cells: LayerCells


def record_maps(classifier: Classifier, waveforms: Tensor, layer: str) -> RecordedMaps:
    """What a layer makes of waveforms ``(batch, time)`` at the classifier's rate; the classifier stays as it is.

    A map without frequencies has one band.

    Raises
    ------
    UnsupportedError
        If the layer has no maps over time.
    """
    if classifier.one_by_one and len(waveforms) > 1:
        found = [record_maps(classifier, one[None], layer) for one in waveforms]
        return RecordedMaps(
            torch.cat([f.maps for f in found]), torch.cat([f.probabilities for f in found]), found[0].cells
        )
    with preserve_state(classifier), torch.no_grad():
        with record_layers(classifier.network, [layer]) as outputs, record_input(classifier.network) as inputs:
            logits = classifier(waveforms.to(classifier.device))
        maps = classifier.maps(layer, one_map(layer, outputs[layer], len(waveforms))).detach().float()
        probabilities = classifier.probabilities(logits).float()
    maps = maps[:, :, None] if maps.ndim == 3 else maps
    shape = int(maps.shape[2]), int(maps.shape[3])
    return RecordedMaps(
        maps, probabilities, layer_cells(classifier, layer, shape, inputs[0].shape[-1], waveforms.shape[1])
    )


def record_layer_maps(classifier: Classifier, waveforms: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
    """What several layers make of waveforms ``(batch, time)``, in one pass; see `read_maps`."""
    with preserve_state(classifier), torch.no_grad():
        with record_layers(classifier.network, layers) as outputs:
            classifier(waveforms.to(classifier.device))
        return read_maps(classifier, outputs, len(waveforms))


def read_maps(classifier: Classifier, outputs: Mapping[str, list[Tensor]], batch: int) -> dict[str, Tensor]:
    """Recorded outputs of layers as maps of features, see `feature_maps`, without a graph.

    Raises
    ------
    UnsupportedError
        If a layer has no maps over time.
    """
    return {n: feature_maps(classifier, n, one_map(n, some, batch)).detach().float() for n, some in outputs.items()}


def feature_maps(classifier: Classifier, layer: str, output: Tensor) -> Tensor:
    """A layer's output as maps ``(batch, feature, ..., frame)``: of channels, or of heads of attention.

    Between feature and frame lies frequency, where the layer has any; of a head, its own channels come before that.

    Raises
    ------
    UnsupportedError
        If the layer has no maps over time.
    """
    maps = classifier.maps(layer, output)
    heads = count_heads(classifier.network, layer)
    return maps.unflatten(1, (heads, -1)) if heads else maps


def one_map(layer: str, outputs: list[Tensor], batch: int) -> Tensor:
    """The output of a layer that was recorded in one pass.

    Raises
    ------
    UnsupportedError
        If there is none, there are several, or they are not one for each clip.
    """
    if len(outputs) != 1 or len(outputs[0]) != batch:
        many = _times(len(outputs)) if len(outputs) != 1 else "does not return one map per clip"
        raise UnsupportedError(f"layer {layer!r} {many}; choose another layer")
    return outputs[0]


def _times(n: int) -> str:
    return f"is used {n} times in a forward pass" if n else "is not used in a forward pass"
