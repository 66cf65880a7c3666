"""Heads of self-attention: what each gives before the output projection mixes them.

A layer's name with ``:heads`` behind it, such as ``blocks.3.attn:heads``, is the concatenated output of its heads
``(batch, token, head * dim)``. Most modules hand it to a linear child of theirs; torch's own attention takes that child's weights
instead, and is met as a function.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from otoscope.core.errors import UnsupportedError

HEADS = ":heads"
COUNTS = ("num_heads", "num_attention_heads", "n_heads", "n_head", "heads")
PROJECTIONS = ("out_proj", "o_proj", "c_proj", "proj", "out_lin", "to_out", "dense")


class Heads(NamedTuple):
    """How a module attends: how many heads it has, and what mixes them."""

    number: int
    projection: nn.Module


def heads_of(module: nn.Module) -> Heads | None:
    """The heads of a self-attention module, or None for any other one.

    Examples
    --------
    >>> heads_of(torch.nn.MultiheadAttention(8, 2)).number
    2
    """
    counts = [c for c in (getattr(module, name, None) for name in COUNTS) if type(c) is int and c > 0]
    children = dict(module.named_children())
    for child in (children.get(name) for name in PROJECTIONS):
        if counts and isinstance(child, nn.Linear) and child.in_features % counts[0] == 0:
            return Heads(counts[0], child)
    return None


def layers_with_heads(model: nn.Module) -> list[str]:
    """Names of all layers of heads.

    Examples
    --------
    >>> layers_with_heads(torch.nn.Sequential(torch.nn.MultiheadAttention(8, 2)))
    ['0:heads']
    """
    return [f"{name}{HEADS}" for name, module in model.named_modules() if name and heads_of(module)]


def count_heads(model: nn.Module, layer: str) -> int:
    """Number of heads in a layer of heads; 0 for any other layer.

    Examples
    --------
    >>> net = torch.nn.Sequential(torch.nn.MultiheadAttention(8, 2))
    >>> count_heads(net, "0:heads"), count_heads(net, "0")
    (2, 0)
    """
    if not layer.endswith(HEADS):
        return 0
    found = heads_of(model.get_submodule(layer.removesuffix(HEADS)))
    return found.number if found is not None else 0


@contextlib.contextmanager
def listen_to_heads(module: nn.Module, layer: str, keep: Callable[[Tensor], None]) -> Iterator[None]:
    """While the block runs, ``keep`` is called with the heads' output of each pass through an attention module.

    Raises
    ------
    UnsupportedError
        If the module has no heads that can be read.
    """
    heads = heads_of(module)
    if heads is None:
        raise UnsupportedError(
            f"layer {layer.removesuffix(HEADS)!r} has no heads that can be read: no number of heads ({COUNTS[0]}, {COUNTS[1]}) "
            f"or no linear output projection ({PROJECTIONS[0]}, {PROJECTIONS[1]}); choose a self-attention layer"
        )
    mode = _TorchAttention(keep)
    with contextlib.ExitStack() as stack:
        for handle in (
            module.register_forward_pre_hook(lambda _module, _inputs: mode.enter()),
            module.register_forward_hook(lambda _module, _inputs, _output: mode.leave(), always_call=True),
            heads.projection.register_forward_pre_hook(mode.projected, with_kwargs=True),
        ):
            stack.callback(handle.remove)
        stack.enter_context(mode)
        yield


class _TorchAttention(TorchFunctionMode):
    """Meets torch's attention with heads inside one module, and computes its projection in a step of its own."""

    def __init__(self, keep: Callable[[Tensor], None]):
        super().__init__()
        self.keep, self.depth = keep, 0

    def enter(self) -> None:
        self.depth += 1

    def leave(self) -> None:
        self.depth = max(0, self.depth - 1)

    def projected(self, _module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        """What the module hands to its projection; passes of others that share it are not heard."""
        if self.depth:
            self.keep(inputs[0] if inputs else named["input"])

    def __torch_function__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is not functional.multi_head_attention_forward or not self.depth:
            return func(*args, **(kwargs or {}))
        bound = inspect.signature(func).bind(*args, **(kwargs or {}))
        weight, bias = bound.arguments["out_proj_weight"], bound.arguments["out_proj_bias"]
        bound.arguments["out_proj_weight"] = torch.eye(weight.shape[1], dtype=weight.dtype, device=weight.device)
        bound.arguments["out_proj_bias"] = None
        heads, weights = func(*bound.args, **bound.kwargs)  # (token, batch, head * dim), or without a batch
        if heads.ndim == 3:
            kept = heads.transpose(0, 1)
            self.keep(kept)
            heads = kept.transpose(0, 1)  # what follows depends on what was kept, for gradients
        return functional.linear(heads, weight, bias), weights
