"""Record the attention weights of a model while it runs, whichever of torch's functions computes them."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from otoscope.surgery.hooks import add_hook


class Attention(NamedTuple):
    """Attention weights of one layer in one pass.

    Parameters
    ----------
    layer : str
        Dotted name of the innermost module that was running.
    weights : Tensor (batch, head, token, token)
        How much each token (row) attends to each (column); rows sum to one. Reduced by ``keep``.

    Examples
    --------
    >>> Attention("blocks.0", torch.ones(1, 2, 1, 1)).layer
    'blocks.0'
    """

    layer: str
    weights: Tensor


@contextlib.contextmanager
def record_attention(
    model: nn.Module, keep: Callable[[Tensor], Tensor] = lambda weights: weights
) -> Iterator[list[Attention]]:
    """While the block runs, each pass appends each self-attention's weights, in the order of the layers.

    Seen are `torch.nn.functional.scaled_dot_product_attention` and `torch.nn.functional.multi_head_attention_forward`
    (so `torch.nn.MultiheadAttention`), whose weights are computed openly inside the block, and a softmax along the last of
    four axes ``(batch, head, token, token)``. Outputs are as without it, up to rounding. Where gradients are
    on, they flow to the weights, whether or not anything before them requires gradients. Attention from some tokens to
    others (cross attention, pooling) is let through.

    Parameters
    ----------
    model : nn.Module
        The network; it is restored when the block ends.
    keep : callable
        Reduction of weights ``(batch, head, token, token)``; a sum over heads saves memory.

    Yields
    ------
    list of Attention

    Examples
    --------
    >>> import torch
    >>> from otoscope.surgery import record_attention
    >>> layer = torch.nn.MultiheadAttention(8, 2, batch_first=True)
    >>> with record_attention(layer) as seen:
    ...     x = torch.zeros(3, 5, 8)
    ...     y = layer(x, x, x, need_weights=False)
    >>> seen[0].weights.shape
    torch.Size([3, 2, 5, 5])
    """
    # A function mode sees functions, not modules, so hooks keep the stack of the modules that are running: its top names
    # the layer to which the weights belong.
    running = [""]
    seen: list[Attention] = []

    def enter(name: str) -> Callable[..., None]:
        return lambda _module, _inputs: running.append(name)

    def leave(_module: nn.Module, _inputs: object, _output: object) -> None:
        if len(running) > 1:  # a caller's own hook may have failed before the module was entered
            running.pop()

    with contextlib.ExitStack() as stack:
        for name, module in model.named_modules():
            stack.callback(add_hook(module.register_forward_pre_hook, enter(name)).remove)
            # always_call: the stack must shrink after a failing layer too.
            stack.callback(add_hook(module.register_forward_hook, leave, always_call=True).remove)
        stack.enter_context(_Recorder(lambda weights: seen.append(Attention(running[-1], keep(weights)))))
        yield seen


class _Recorder(TorchFunctionMode):
    """Meets torch's attention functions.

    torch disables a mode while its own `__torch_function__` runs. The handlers below rely on it: the softmax that `_scaled`
    computes itself is not met again, so no weights are recorded twice.
    """

    def __init__(self, log: Callable[[Tensor], None]):
        super().__init__()
        self.log = log

    def __torch_function__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is functional.scaled_dot_product_attention:
            return self._scaled(*args, **kwargs)
        if func is functional.multi_head_attention_forward:
            return self._many_heads(func, args, kwargs)
        if func in (functional.softmax, torch.softmax, Tensor.softmax):
            return self._softmax(func, args, kwargs)
        return func(*args, **kwargs)

    def _seen(self, weights: Tensor) -> Tensor:
        # Rollout methods differentiate by the weights even where nothing before them requires gradients; as a leaf that
        # requires them, the weights start a graph of their own.
        if torch.is_grad_enabled() and not weights.requires_grad:
            weights.requires_grad_(True)
        self.log(weights)
        return weights

    def _scaled(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        **options: Any,
    ) -> Tensor:
        """Scaled dot product attention, openly."""
        # Not (batch, head, token, dim), or cross attention (query and key differ in length): torch's fused kernel runs as
        # it would without the recorder.
        if query.ndim != 4 or query.shape[2] != key.shape[2]:
            return functional.scaled_dot_product_attention(
                query, key, value, attn_mask, dropout_p, is_causal, **options
            )
        # From here on, the definition in torch's documentation, step by step: the fused kernels never form the weights.
        if options.get("enable_gqa"):  # grouped queries: several query heads share one key and value head
            key, value = (x.repeat_interleave(query.shape[1] // x.shape[1], 1) for x in (key, value))
        scale = options.get("scale")
        scores = query @ key.transpose(2, 3) * (query.shape[3] ** -0.5 if scale is None else scale)
        if is_causal:
            attn_mask = torch.ones(scores.shape[2:], dtype=torch.bool, device=scores.device).tril()
        if attn_mask is not None and attn_mask.dtype == torch.bool:
            scores = scores.masked_fill(~attn_mask, -torch.inf)
        elif attn_mask is not None:
            scores = scores + attn_mask
        weights = scores.softmax(-1)  # (batch, head, token, token)
        # A row that is masked entirely is a softmax over -inf alone, NaN; torch's kernels give zeros there.
        if attn_mask is not None:
            weights = weights.masked_fill(scores.isneginf().all(-1, keepdim=True), 0)
        return functional.dropout(self._seen(weights), dropout_p, training=dropout_p > 0) @ value

    def _many_heads(self, func: Any, args: Any, kwargs: Any) -> tuple[Tensor, Tensor | None]:
        """Attention of `torch.nn.MultiheadAttention`: the weights by torch, the rest from them, so that gradients flow."""
        # The function has some twenty-five parameters, of which callers name any; binding them gives each by its name.
        bound = inspect.signature(func).bind(*args, **kwargs)
        bound.apply_defaults()
        a = bound.arguments
        # Extra tokens that belong to no input (bias_k, a zero, static keys) would make the weights rectangular.
        own = a["bias_k"] is None and a["static_k"] is None and a["static_v"] is None and not a["add_zero_attn"]
        if not own or a["query"].ndim != 3 or len(a["query"]) != len(a["key"]):
            return func(*args, **kwargs)
        wanted, averaged = a["need_weights"], a["average_attn_weights"]
        a["need_weights"], a["average_attn_weights"] = True, False
        # torch computes the weights of each head; its output is discarded, because it was computed from weights that are
        # not the tensor recorded here, and gradients by the recorded one would be zero. The output is recomputed below.
        _, weights = func(*bound.args, **bound.kwargs)
        weights = self._seen(weights)  # (batch, head, token, token)
        value = functional.linear(a["value"], *_value_projection(a))  # (token, batch, dim)
        value = value.unflatten(2, (weights.shape[1], -1)).permute(1, 2, 0, 3)  # (batch, head, token, dim / heads)
        heard = (weights @ value).permute(2, 0, 1, 3).flatten(2)  # (token, batch, dim)
        out = functional.linear(heard, a["out_proj_weight"], a["out_proj_bias"])
        return out, (weights.mean(1) if averaged else weights) if wanted else None

    def _softmax(self, func: Any, args: Any, kwargs: Any) -> Tensor:
        """A softmax that may be an attention's."""
        out: Tensor = func(*args, **kwargs)
        dim = kwargs.get("dim", args[1] if len(args) > 1 else None)
        if out.ndim != 4 or dim not in (-1, 3) or out.shape[2] != out.shape[3]:
            return out
        leaf = torch.is_grad_enabled() and not out.requires_grad
        # A leaf that requires gradients must not be changed in place, as dropout_ after a softmax may do: hand on a copy.
        return self._seen(out).clone() if leaf else self._seen(out)


def _value_projection(a: dict[str, Any]) -> tuple[Tensor, Tensor | None]:
    weight = a["v_proj_weight"] if a["use_separate_proj_weight"] else a["in_proj_weight"].chunk(3)[2]
    return weight, None if a["in_proj_bias"] is None else a["in_proj_bias"].chunk(3)[2]
