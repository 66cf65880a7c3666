"""Record layers' outputs while a model runs.

Outputs are recorded with their graphs, not copied: methods such as Grad-CAM differentiate by them afterwards. A layer that runs
several times in a pass appends several outputs.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from torch import Tensor, nn

from otoscope.core.errors import UnknownNameError, UnsupportedError
from otoscope.surgery.heads import HEADS, layers_with_heads, listen_to_heads


def find_layer(model: nn.Module, name: str) -> nn.Module:
    """The submodule of that dotted name (``:heads`` behind it apart), or an `UnknownNameError` with the nearest names."""
    layers = dict(model.named_modules())
    own = name.removesuffix(HEADS)
    if own not in layers or not own:
        raise UnknownNameError("layer", name, [*(n for n in layers if n), *layers_with_heads(model)])
    return layers[own]


def add_hook(register: Callable[..., Any], hook: Callable[..., Any], **options: Any) -> Any:
    """The handle of a hook, or an `UnsupportedError` for compiled modules, which take none."""
    try:
        return register(hook, **options)
    except RuntimeError as error:
        raise UnsupportedError(
            "the classifier is compiled (TorchScript), so the outputs of its layers cannot be read; use mask_optimisation, lime or "
            "integrated_gradients, or the module before it was compiled"
        ) from error


@contextlib.contextmanager
def _listen(model: nn.Module, name: str, keep: Callable[[Any], None]) -> Iterator[None]:
    """While the block runs, ``keep`` is called with what a layer, or its heads, gives in each pass."""
    layer = find_layer(model, name)
    if name.endswith(HEADS):
        with listen_to_heads(layer, name, keep):
            yield
        return
    handle = add_hook(layer.register_forward_hook, lambda _module, _inputs, output: keep(output))
    try:
        yield
    finally:
        handle.remove()


@contextlib.contextmanager
def record_layers(model: nn.Module, names: Sequence[str]) -> Iterator[dict[str, list[Tensor]]]:
    """While the block runs, each forward pass appends each layer's output to its list.

    Parameters
    ----------
    model : nn.Module
        The network; it is restored when the block ends.
    names : sequence of str
        Dotted names of the layers; with ``:heads`` behind it, the concatenated heads of a self-attention.

    Raises
    ------
    UnknownNameError
        If there is no such layer.
    UnsupportedError
        If a layer's output is not a tensor.

    Examples
    --------
    >>> net = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2))
    >>> with record_layers(net, ["0", "2"]) as seen:
    ...     _ = net(torch.zeros(5, 4))
    >>> {name: tuple(outputs[0].shape) for name, outputs in seen.items()}
    {'0': (5, 3), '2': (5, 2)}
    """
    outputs: dict[str, list[Tensor]] = {name: [] for name in names}

    def keep(name: str, output: object) -> None:
        if not isinstance(output, Tensor):
            raise UnsupportedError(
                f"layer {name!r} gives {type(output).__name__}, not one tensor; choose another layer"
            )
        outputs[name].append(output)

    # The stack removes every hook that was added, also when adding a later one, or the block, fails.
    with contextlib.ExitStack() as stack:
        for name in outputs:
            stack.enter_context(_listen(model, name, partial(keep, name)))
        yield outputs


@contextlib.contextmanager
def record_layer(model: nn.Module, name: str) -> Iterator[list[Tensor]]:
    """`record_layers` for one layer: the list alone.

    Examples
    --------
    >>> net = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2))
    >>> with record_layer(net, "1") as seen:
    ...     _ = net(torch.zeros(5, 4))
    >>> seen[0].shape
    torch.Size([5, 3])
    """
    with record_layers(model, [name]) as outputs:
        yield outputs[name]


class _Reached(BaseException):  # no `except Exception` of a network may stop it
    """A pass has come to the layer whose output was wanted."""

    def __init__(self, output: Any):
        super().__init__()
        self.output = output


def output_of(model: nn.Module, name: str, given: Tensor) -> Tensor:
    """A layer's first output in a forward pass, which ends there: what comes after the layer is not computed.

    Raises
    ------
    UnknownNameError, UnsupportedError
        If there is no such layer, it is not used, or its output is not a tensor.

    Examples
    --------
    >>> net = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2))
    >>> output_of(net, "0", torch.zeros(5, 4)).shape
    torch.Size([5, 3])
    """

    own = threading.get_ident()

    def stop(output: object) -> None:
        if threading.get_ident() == own:  # a pass of another thread goes on
            raise _Reached(output)

    try:
        with _listen(model, name, stop):
            model(given)
    except _Reached as reached:
        if isinstance(reached.output, Tensor):
            return reached.output
        raise UnsupportedError(
            f"layer {name!r} gives {type(reached.output).__name__}, not one tensor; choose another layer"
        ) from None
    raise UnsupportedError(f"layer {name!r} is not used in a forward pass; choose another layer")


@contextlib.contextmanager
def record_input(model: nn.Module) -> Iterator[list[Tensor]]:
    """While the block runs, each forward pass appends the model's first argument.

    Examples
    --------
    >>> net = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2))
    >>> with record_input(net) as seen:
    ...     _ = net(torch.zeros(5, 4))
    >>> seen[0].shape
    torch.Size([5, 4])
    """
    inputs: list[Tensor] = []
    handle = add_hook(model.register_forward_pre_hook, lambda _module, given: inputs.append(given[0]))
    try:
        yield inputs
    finally:
        handle.remove()
