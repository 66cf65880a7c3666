"""Layer-wise relevance propagation, written as gradients: input times gradient is the relevance of the input.

Inside the network: dense layers by the epsilon rule, convolutions by the gamma rule for inputs of any sign, with the batch
norm that follows them merged in; activations pass relevance through; of a product of two things that vary, the signal takes
all and the gate none; attention weights and the spread that a norm divides by count as constants (of a matrix product,
the side that lies in [0, 1] and sums to one is the weights; where that is both or neither, each takes half); sums, means and maxima
share in proportion. What comes before the first activation counts from silence: an input in decibels has no zero of its
own. Around the network (synthesis, front end), and for functions such as logarithm and square, the rescale rule against
silence holds, which shares the same way.

How to read it. Relevance is ``x * gradient`` everywhere, so a rule of LRP is a modified gradient: `Layer.back` for the layers
with weights, and short surrogates (`swapped`) for the rest, in which what takes no relevance is detached. `Relevance` is a
`Rescale` whose rules are exchanged while the network runs; hooks on the network signal when that is. The state it keeps is
whether the network is running, whether an activation was met (before it, silence is the origin), and the last convolution,
into which a batch norm that follows at once is merged.

Source: bach2015lrp; montavon2019lrp for the composite; andeol2021learning for signs in the gamma rule; ali2022xai for norms
and attention.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from otoscope.surgery.backward import UNITS, Call, swapped, words
from otoscope.surgery.rescale import LINEAR, POOLS, PRODUCTS, Rescale, attention_mask, norm_eps, norm_parts, unary
from otoscope.surgery.slopes import elementwise

ACTIVATIONS = UNITS | words("tanh hardtanh softsign tanhshrink softshrink hardshrink prelu sigmoid hardsigmoid")
PLAIN = POOLS | {"amax", "max", "softmax", "log_softmax"}


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer that is linear but for a constant.

    Parameters
    ----------
    run : callable
        (input, weight) -> output without the constant.
    weight : Tensor
        Weight of the layer.
    constant : Tensor or None
        Added to the output.
    origin : Tensor or None
        The input of silence, where relevance is counted from it; else it is counted from zero.
    axes : tuple of int
        Of the output: those that its root mean square is taken over.
    epsilon, gamma : float
        As in `relevance`.
    """

    run: Callable[[Tensor, Tensor], Tensor]
    weight: Tensor
    constant: Tensor | None
    origin: Tensor | None
    axes: tuple[int, ...]
    epsilon: float
    gamma: float

    def back(self, x: Tensor, gradient: Tensor) -> Tensor:
        """Gradient by the output -> modified gradient by the input ``x``."""
        # With z = run(x, w) + rest, the rule is  R_x = x * d z'/dx * (R_z / z'),  z' being the modified and stabilised output.
        # In gradients (R = value * gradient): multiply the incoming gradient by z / z', and differentiate z' by x.
        with torch.enable_grad():
            at = (x if self.origin is None else x - self.origin).detach().requires_grad_(True)
            shares = self.run(at, self.weight)
            with torch.no_grad():
                rest = torch.zeros((), dtype=x.dtype, device=x.device) if self.constant is None else self.constant
                if self.origin is not None:
                    rest = rest + self.run(self.origin, self.weight)
                output = shares + rest
            if self.gamma:  # contributions of the output's own sign count 1 + gamma times (andeol2021learning)
                up = self.run(at.clamp_min(0), self.weight.clamp_min(0))
                if (at < 0).any():
                    up = up + self.run(at.clamp_max(0), self.weight.clamp_max(0))
                shares = shares + self.gamma * torch.where(output > 0, up, shares - up)
                with torch.no_grad():  # and so does the constant, which takes its own share
                    rest = rest + self.gamma * torch.where(output > 0, rest.clamp_min(0), rest.clamp_max(0))
            with torch.no_grad():
                # Epsilon keeps its sign away from zero, as a share of the layer's root mean square: free of the scale.
                total = shares + rest
                size = output.square().mean(self.axes, keepdim=True).sqrt() * self.epsilon
                total = total + torch.where(total < 0, -size, size)
                kept = (output / total).nan_to_num_(0.0, 0.0, 0.0)
            (found,) = torch.autograd.grad(shares, at, gradient * kept)
        return found


class _Linear(torch.autograd.Function):
    # The layer's value goes forward as it is; `Layer.back` gives the gradient. (For the list see `backward._Swap`.)
    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: Layer, value: list[Tensor]) -> Tensor:
        ctx.save_for_backward(x)
        ctx.layer = layer
        return value.pop()

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return ctx.layer.back(ctx.saved_tensors[0], gradients[0]), None, None


def gated(x: Tensor, y: Tensor) -> Tensor:
    """A product of two things that vary: the signal takes all.

    The gate is the smaller one, which is spread over the other; else the one that lies in [0, 1] all over a clip; where
    that holds for both or for neither, each takes half.
    """
    if x.shape != y.shape or x.dim() < 2:
        return x * y.detach() if x.numel() >= y.numel() else x.detach() * y
    with torch.no_grad():
        is_gate = [((t >= 0) & (t <= 1)).flatten(1).all(1).to(t.dtype).view(-1, *[1] * (t.dim() - 1)) for t in (x, y)]
        share = (1 - is_gate[0] + is_gate[1]) / 2  # of x
    return x * y.detach() * share + x.detach() * y * (1 - share)


class Relevance(Rescale):
    """The rules of this module; `inside` is whether the network is running."""

    def __init__(self, epsilon: float, gamma: float):
        super().__init__()
        self.epsilon, self.gamma = epsilon, gamma
        self.inside = self.activated = False
        self._last: tuple[Tensor, Tensor, Layer] | None = None  # output, input and layer of the last convolution

    def enter(self, *_: Any) -> None:
        """The network begins."""
        self.inside, self.activated = True, False

    def leave(self, *_: Any) -> None:
        """The network ends."""
        self.inside, self._last = False, None

    def wants(self, call: Call) -> bool:
        """Around the network as `Rescale`; inside, the first linear layers and functions that are not activations."""
        if not self.inside:
            return super().wants(call)
        if call.name in ACTIVATIONS:
            self.activated = True
        if call.name in LINEAR:
            return not self.activated
        return call.name not in OWN and call.name not in PLAIN and super().wants(call)

    def changed(self, call: Call, before: Call | None) -> Any:
        """The rule of that name, inside or around the network."""
        if not self.inside:
            return super().changed(call, before)
        if call.name in LINEAR:
            return self._linear(call, before)
        if call.name == "batch_norm":
            return self._merged(call)
        if call.name in OWN:
            return OWN[call.name](call)
        return NotImplemented if call.name in PLAIN else super().changed(call, before)

    def _linear(self, call: Call, before: Call | None) -> Any:
        x, weight, bias = (call.get(i, n) for i, n in enumerate(("input", "weight", "bias")))
        if not x.requires_grad:
            return NotImplemented
        dense = call.name == "linear"
        rest = {k: v for k, v in call.kwargs.items() if k not in ("input", "weight", "bias")}
        value = call.value()
        shape = (-1,) if dense else (-1, *[1] * (value.dim() - 2))
        layer = Layer(
            lambda a, w: call.run(a, w, None, *call.args[3:], **rest),
            weight.detach(),
            None if bias is None else bias.detach().view(shape),
            None if before is None else before.get(0, "input"),
            (-1,) if dense else tuple(range(2, value.dim())) or (-1,),
            self.epsilon,
            0.0 if dense else self.gamma,
        )
        # Remembered for `_merged`, by identity of its output: only a norm that gets this very tensor follows at once.
        out = _Linear.apply(x, layer, [value])
        self._last = None if dense or "transpose" in call.name else (out, x, layer)
        return out

    def _merged(self, call: Call) -> Any:
        """Batch norm in evaluation mode right after a convolution is part of it; elsewhere it is a gain and a constant."""
        x, mean, variance, gain, shift, training = (call.get(i, n) for i, n in enumerate(NORM_ARGUMENTS))
        if training or mean is None or self._last is None or x is not self._last[0]:
            return NotImplemented
        _, at, layer = self._last
        # norm(conv(x, w) + b) = conv(x, w * scale) + (b - mean) * scale + shift; the merged layer starts from the
        # convolution's input, so relevance goes through both in one step.
        scale = (variance + call.get(7, "eps", 1e-5)).rsqrt()
        scale = (scale if gain is None else scale * gain).detach()
        if len(scale) != len(layer.weight):
            return NotImplemented
        tail = [1] * (layer.weight.dim() - 1)
        constant = (0 if shift is None else shift.detach()) - mean * scale
        constant = constant.view(-1, *tail[1:])
        if layer.constant is not None:
            constant = constant + layer.constant * scale.view(-1, *tail[1:])
        merged = replace(layer, weight=layer.weight * scale.view(-1, *tail), constant=constant)
        return _Linear.apply(at, merged, [call.value()])


NORM_ARGUMENTS = ("input", "running_mean", "running_var", "weight", "bias", "training")


def _activation(call: Call) -> Any:
    """Relevance passes through: the slope is output over input, from zero."""
    x = call.tensors()[0]
    return elementwise(unary(call), x, torch.zeros_like(x)) if call.args and x.requires_grad else NotImplemented


def _product(call: Call) -> Any:
    if len(call.tensors()) != 2 or not all(t.requires_grad for t in call.tensors()):
        return NotImplemented
    x, y = call.tensors()
    if call.name in ("mul", "multiply"):
        return swapped(call.value(), gated(x, y))
    # Matrix products: if one side is a set of averaging weights (attention), it is a constant, and the other takes all.
    weighs = (
        _are_weights(x, None if call.name == "einsum" else -1),
        _are_weights(y, None if call.name == "einsum" else max(-2, -y.dim())),
    )
    by_y, by_x = call.given([x.detach(), y])(), call.given([x, y.detach()])()
    if weighs[0] == weighs[1]:
        return swapped(call.value(), (by_x + by_y) / 2)
    return swapped(call.value(), by_y if weighs[0] else by_x)


def _are_weights(t: Tensor, axis: int | None) -> bool:
    """Whether all lies in [0, 1] and sums to one along the axis that is summed over (None: any)."""
    with torch.no_grad():
        if t.is_complex() or bool((t < 0).any() | (t > 1).any()):
            return False
        axes = range(t.dim()) if axis is None else [axis]
        return any(bool(((t.sum(a) - 1).abs() < 1e-3).all()) for a in axes)


def _quotient(call: Call) -> Any:
    if len(call.tensors()) != 2 or not all(t.requires_grad for t in call.tensors()):
        return NotImplemented
    x, y = call.tensors()
    return call.given([x, y.detach()])()


def _addcmul(call: Call) -> Any:
    base, x, y = call.args[0], call.get(1, "tensor1"), call.get(2, "tensor2")
    product = gated(x, y) if x.requires_grad and y.requires_grad else x * y
    return swapped(call.value(), base + call.kwargs.get("value", 1) * product)


def _attention(call: Call) -> Any:
    if call.kwargs.get("enable_gqa") or call.get(4, "dropout_p", 0.0):
        return NotImplemented
    q, k, v = (call.get(i, n) for i, n in enumerate(("query", "key", "value")))
    with torch.no_grad():
        scale = call.kwargs.get("scale") or q.shape[-1] ** -0.5
        weights = (q @ k.mT * scale + attention_mask(call)).softmax(-1)
    return swapped(call.value(), weights @ v)


def _norm(call: Call) -> Any:
    x = call.args[0]
    to_last, weight, _ = norm_parts(call)
    flat = to_last(x)
    flat = flat if call.name == "rms_norm" else flat - flat.mean(-1, keepdim=True)
    found = (flat * (flat.detach().square().mean(-1, keepdim=True) + norm_eps(call)).rsqrt()).view_as(x)
    return swapped(call.value(), found if weight is None else found * weight.detach())


def _normalize(call: Call) -> Any:
    x = call.args[0]
    norm = x.detach().norm(call.get(1, "p", 2.0), call.get(2, "dim", 1), keepdim=True)
    return x / norm.clamp_min(call.get(3, "eps", 1e-12))


def _glu(call: Call) -> Any:
    x, gate = call.args[0].chunk(2, call.get(1, "dim", -1))
    return x * gate.detach().sigmoid()


OWN: dict[str, Callable[[Call], Any]] = {
    **dict.fromkeys(ACTIVATIONS, _activation),
    **dict.fromkeys(PRODUCTS, _product),
    **dict.fromkeys(("div", "divide", "true_divide"), _quotient),
    **dict.fromkeys(("layer_norm", "group_norm", "rms_norm"), _norm),
    "addcmul": _addcmul,
    "normalize": _normalize,
    "scaled_dot_product_attention": _attention,
    "glu": _glu,
}


@contextlib.contextmanager
def relevance(network: nn.Module, silence: Callable[[], Any], epsilon: float, gamma: float) -> Iterator[None]:
    """Layer-wise relevance propagation through a network and what stands before it.

    Parameters
    ----------
    network : nn.Module
        The rules of layers hold while it runs; around it the rescale rule holds.
    silence : callable
        Runs the whole chain on silence, without gradients; called once, on entering.
    epsilon : float
        What dense layers and convolutions add to their outputs before they divide by them, as a share of the outputs' root
        mean square: larger gives fewer, stronger contributions.
    gamma : float
        How much more what agrees with the sign of a convolution's output counts than what does not; 0 is no difference,
        very large is the z+ (alpha 1, beta 0) rule.

    Notes
    -----
    Gradients of what is computed in the block, times the input counted from silence, are relevances.

    Source: bach2015lrp, montavon2019lrp.

    Examples
    --------
    >>> net = torch.nn.Linear(2, 1, bias=False)
    >>> x = torch.tensor([[1.0, 2.0]], requires_grad=True)
    >>> with relevance(net, lambda: net(torch.zeros(1, 2)), epsilon=1e-9, gamma=0.0):
    ...     y = net(x)
    >>> y.backward()
    >>> torch.allclose((x * x.grad).sum(), y)
    True
    """
    rules = Relevance(epsilon, gamma)
    with contextlib.ExitStack() as stack:
        stack.callback(network.register_forward_pre_hook(rules.enter).remove)
        stack.callback(network.register_forward_hook(rules.leave, always_call=True).remove)
        with rules.record():
            silence()
        with rules:
            yield
