"""Look at one layer's output while a model runs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from torch import Tensor, nn

from otoscope.core.errors import UnknownNameError, UnsupportedError


def find_layer(model: nn.Module, name: str) -> nn.Module:
    """The submodule of that dotted name, or an `UnknownNameError` with the nearest names."""
    layers = dict(model.named_modules())
    if name not in layers or not name:
        raise UnknownNameError("layer", name, [n for n in layers if n])
    return layers[name]


@contextlib.contextmanager
def record_layer(model: nn.Module, name: str) -> Iterator[list[Tensor]]:
    """While the block runs, each forward pass appends the layer's output to the list.

    Parameters
    ----------
    model : nn.Module
    name : str
        Dotted name of the layer.

    Raises
    ------
    UnsupportedError
        If the layer's output is no tensor.
    """
    outputs: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: object, output: object) -> None:
        if not isinstance(output, Tensor):
            raise UnsupportedError(
                f"layer {name!r} gives {type(output).__name__}, not one tensor; choose another layer"
            )
        outputs.append(output)

    handle = find_layer(model, name).register_forward_hook(keep)
    try:
        yield outputs
    finally:
        handle.remove()
