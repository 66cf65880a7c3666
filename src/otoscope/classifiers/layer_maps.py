"""What one layer of any classifier makes of waveforms, in one forward pass."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from otoscope.classifiers.base import Classifier
from otoscope.classifiers.layer_cells import LayerCells, layer_cells
from otoscope.core.errors import UnsupportedError
from otoscope.surgery import preserve_state, record_input, record_layers


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
