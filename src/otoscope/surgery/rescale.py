"""DeepLIFT's rescale rule: slopes between a reference and a clip in place of derivatives.

Elementwise functions have the slope ``change of output / change of input``; products, quotients and matrix products of
two things that vary are shared by the means of both sides; a maximum is credited where it was taken or would have been;
softmax, norms and products along an axis are taken apart into these. All of them keep the sum: a layer's inputs are credited
with just the change of its output. Recurrent layers (``torch.lstm``), ``where``, ``sort``, ``torch.norm`` other than of
complex numbers and batch statistics pass their plain gradient, and the sum is then not kept.

How to read it. Each rule takes the call on the clip and the same call on the reference, and returns the clip's value with the
multipliers as its way back, or `NotImplemented` for the plain gradient. Composite functions are rewritten in the primitives of
`slopes`; their value is computed by the original function, so that the forward pass stays as it was to the last bit, and the
rewritten form serves as the surrogate. Two general conditions keep the number of rules small: linear functions need none
(their gradient is the multiplier), nor do products with a weight.

Source: shrikumar2017deeplift, section 3.5.1; lundberg2017shap for means over references and the rule of the maximum.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from otoscope.surgery.backward import UNITS, Call, Compared, swapped, words
from otoscope.surgery.slopes import bilinear, credited, elementwise, highest, over, softmax, standardised

ELEMENTWISE = UNITS | words(
    "sigmoid log_sigmoid logsigmoid hardsigmoid tanh hardtanh softsign tanhshrink softshrink hardshrink prelu exp exp2 expm1 "
    "log log1p log2 log10 sqrt rsqrt square abs absolute pow float_power __rpow__ reciprocal __rdiv__ __rtruediv__ clamp clip "
    "clamp_min clamp_max sin cos erf arctan atan asinh"
)
PRODUCTS = words("mul multiply matmul bmm mm mv dot einsum")
LINEAR = words(
    "linear conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d"
)  # of (input, weight, bias, ...)
POOLS = words("max_pool1d max_pool2d max_pool3d adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d")


def unary(call: Call) -> Callable[[Tensor], Tensor]:
    """The call as a function of its first tensor."""
    place = next(i for i, a in enumerate(call.args) if isinstance(a, Tensor))
    return lambda x: call.run(*call.args[:place], x, *call.args[place + 1 :], **call.kwargs)


def _elementwise(call: Call, before: Call) -> Any:
    x = call.tensors()[0]
    # Left alone: functions of two tensors that both vary (but for prelu's slope), complex numbers other than their magnitude,
    # and calls that broadcast x, whose output has more elements than x has slopes.
    others = [t for t in call.tensors()[1:] if t.requires_grad and t.numel() > 1]
    if not call.args or not any(isinstance(a, Tensor) for a in call.args) or not x.requires_grad:
        return NotImplemented
    if (x.is_complex() and call.name not in ("abs", "absolute")) or (others and call.name != "prelu"):
        return NotImplemented
    if len(call.tensors()) > 1 and torch.broadcast_shapes(*(t.shape for t in call.tensors())) != x.shape:
        return NotImplemented if call.name != "prelu" else elementwise(unary(call), x, before.tensors()[0])
    return elementwise(unary(call), x, before.tensors()[0])


def _product(call: Call, before: Call) -> Any:
    if len(call.tensors()) != 2 or not all(t.requires_grad for t in call.tensors()):
        return NotImplemented
    x, y = call.tensors()
    r, s = before.tensors()
    return bilinear(lambda a, b: call.given([a, b])(), x, y, (r, s))


def _quotient(call: Call, before: Call) -> Any:
    if len(call.tensors()) != 2 or call.kwargs.get("rounding_mode") or not call.tensors()[1].requires_grad:
        return NotImplemented
    x, y = call.tensors()
    r, s = before.tensors()
    inverse = elementwise(torch.reciprocal, y, s)
    return swapped(call.value(), over(x, inverse, (r, s.reciprocal())))


def _linear(call: Call, before: Call) -> Any:
    x, weight = call.args[0], call.get(1, "weight")
    if not (x.requires_grad and weight.requires_grad) or isinstance(weight, torch.nn.Parameter):
        return NotImplemented
    rest = {k: v for k, v in call.kwargs.items() if k not in ("weight", "bias")}
    bias = call.get(2, "bias")
    shared = bilinear(
        lambda a, w: call.run(a, w, None, *call.args[3:], **rest), x, weight, (before.args[0], before.get(1, "weight"))
    )
    if bias is not None and bias.requires_grad:
        shared = shared + bias.reshape(-1, *[1] * (x.dim() - 2 if call.name != "linear" else 0))
    return swapped(call.value(), shared)


def _addcmul(call: Call, before: Call) -> Any:
    x, y, r, s = (c.get(i, n) for c in (call, before) for i, n in ((1, "tensor1"), (2, "tensor2")))
    base = call.args[0]
    product = bilinear(torch.mul, x, y, (r, s)) if x.requires_grad else x * y
    return swapped(call.value(), base + call.kwargs.get("value", 1) * product)


def _pool(call: Call, before: Call) -> Any:
    if call.get(6, "return_indices") or call.get(2, "return_indices") is True:
        return NotImplemented
    run, n = getattr(functional, call.name), int(call.name[-2])
    kwargs = {k: v for k, v in call.kwargs.items() if k != "return_indices"}
    x, r = call.args[0], before.args[0]
    with torch.no_grad():
        # Where did the maximum come from, in the clip and in the reference? See `credited` for which of the two counts.
        now = run(x, *call.args[1:], **kwargs, return_indices=True)
        then = run(r, *call.args[1:], **kwargs, return_indices=True)
        chosen = torch.where(now[0] >= then[0], now[1], then[1]).flatten(-n)
    picked, picked_r = (t.flatten(-n).gather(-1, chosen).view_as(now[0]) for t in (x, r))
    return credited(picked, picked_r, *(t[0] for t in (now, then)))


def _maximum(call: Call, before: Call) -> Any:
    """``max(a, b)`` is the mean of both and half of their distance."""
    x, y = call.tensors()
    r, s = before.tensors()
    sign = 1 if call.name in ("maximum", "max") else -1
    return swapped(call.value(), (x + y + sign * elementwise(torch.abs, x - y, r - s)) / 2)


def _reduced(call: Call, before: Call, run: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """A reduction along the axes that the call names, by one that works along the last axis."""
    dim, x, r = call.get(1, "dim"), call.args[0], before.args[0]
    dims = sorted({d % x.dim() for d in ([dim] if isinstance(dim, int) else dim)})
    found = run(*(t.movedim(dims, [*range(-len(dims), 0)]).flatten(-len(dims)) for t in (x, r)))
    for d in dims if call.get(2, "keepdim", False) else ():
        found = found.unsqueeze(d)
    return found


def _amax(call: Call, before: Call) -> Any:
    dim = call.get(1, "dim")
    if isinstance(dim, Tensor):
        return _maximum(call, before)
    if dim is None or dim == ():
        return NotImplemented
    plain, found = call.value(), _reduced(call, before, lambda x, r: highest(x, r, -1)[..., 0])
    if isinstance(plain, Tensor):
        return swapped(plain, found)
    return type(plain)((swapped(plain.values, found), plain.indices))


def _softmax(call: Call, before: Call) -> Any:
    dim, kind = call.get(1, "dim", -1), call.kwargs.get("dtype")
    x, r = (t if kind is None else t.to(kind) for t in (call.args[0], before.args[0]))
    if dim is None:
        return NotImplemented
    if call.name == "softmax":
        return swapped(call.value(), softmax(x, r, dim))
    low, low_r = x - highest(x, r, dim), r - r.amax(dim, keepdim=True)
    total = elementwise(torch.exp, low, low_r).sum(dim, keepdim=True)
    return swapped(call.value(), low - elementwise(torch.log, total, low_r.exp().sum(dim, keepdim=True)))


def _logsumexp(call: Call, before: Call) -> Any:
    def run(x: Tensor, r: Tensor) -> Tensor:
        top, top_r = highest(x, r, -1), r.amax(-1, keepdim=True)
        total = elementwise(torch.exp, x - top, r - top_r).sum(-1)
        return top[..., 0] + elementwise(torch.log, total, (r - top_r).exp().sum(-1))

    return swapped(call.value(), _reduced(call, before, run))


def _normalize(call: Call, before: Call) -> Any:
    """Divided by the root of the sum of squares along an axis."""
    if call.get(1, "p", 2.0) != 2:
        return NotImplemented
    dim, eps = call.get(2, "dim", 1), call.get(3, "eps", 1e-12)
    x, r = call.args[0], before.args[0]
    square, square_r = elementwise(torch.square, x, r).sum(dim, keepdim=True), r.square().sum(dim, keepdim=True)
    run = partial(_inverse_root, eps=eps)
    return swapped(call.value(), over(x, elementwise(run, square, square_r), (r, run(square_r))))


def _inverse_root(square: Tensor, eps: float) -> Tensor:
    return square.sqrt().clamp_min(eps).reciprocal()


def _along(call: Call, before: Call) -> Any:
    """Products along an axis: one factor after another."""
    dim, keep = call.get(1, "dim"), bool(call.get(2, "keepdim", False))
    if call.kwargs.get("dtype") is not None:
        return NotImplemented
    x, r = (c.args[0] if dim is not None else c.args[0].flatten() for c in (call, before))
    dim = 0 if dim is None else dim
    products, product_r = [x.select(dim, 0)], r.select(dim, 0)
    for i in range(1, x.shape[dim]):
        products.append(bilinear(torch.mul, products[-1], x.select(dim, i), (product_r, r.select(dim, i))))
        product_r = product_r * r.select(dim, i)
    if call.name == "cumprod":
        return swapped(call.value(), torch.stack(products, dim))
    return swapped(call.value(), products[-1].unsqueeze(dim) if keep else products[-1])


def _attention(call: Call, before: Call) -> Any:
    """Scaled dot product attention, openly."""
    if call.kwargs.get("enable_gqa") or call.get(4, "dropout_p", 0.0):
        return NotImplemented
    q, k, v = (call.get(i, n) for i, n in enumerate(("query", "key", "value")))
    q_r, k_r, v_r = (before.get(i, n) for i, n in enumerate(("query", "key", "value")))
    scale = call.kwargs.get("scale") or 1 / math.sqrt(q.shape[-1])
    shift = attention_mask(call)
    # softmax(q k^T + mask) v: two products of things that vary, around a softmax.
    scores = bilinear(torch.matmul, q * scale, k.mT, (q_r * scale, k_r.mT)) + shift
    scores_r = q_r @ k_r.mT * scale + shift
    weights = softmax(scores, scores_r, -1)
    return swapped(call.value(), bilinear(torch.matmul, weights, v, (scores_r.softmax(-1), v_r)))


def attention_mask(call: Call) -> Tensor:
    """What `scaled_dot_product_attention` adds to its scores."""
    q, k, mask = call.get(0, "query"), call.get(1, "key"), call.get(3, "attn_mask")
    if call.get(5, "is_causal", False):
        mask = torch.ones(q.shape[-2], k.shape[-2], dtype=torch.bool, device=q.device).tril()
    if mask is None:
        return q.new_zeros(())
    if mask.dtype != torch.bool:
        return mask.detach()
    return torch.zeros(mask.shape, dtype=q.dtype, device=q.device).masked_fill(~mask, -math.inf)


def _norm(call: Call, before: Call) -> Any:
    x, r = call.args[0], before.args[0]
    flat, weight, bias = norm_parts(call)
    found = standardised(flat(x), flat(r), norm_eps(call), call.name != "rms_norm").view_as(x)
    found = found if weight is None else found * weight
    return swapped(call.value(), found if bias is None else found + bias)


def norm_parts(call: Call) -> tuple[Callable[[Tensor], Tensor], Tensor | None, Tensor | None]:
    """What brings the values that a norm standardises to the last axis; its weight and bias, as they broadcast."""
    weight, bias = call.get(2, "weight"), None if call.name == "rms_norm" else call.get(3, "bias")
    if call.name != "group_norm":
        n = len(call.get(1, "normalized_shape"))
        return lambda t: t.flatten(-n), weight, bias
    groups, tail = call.get(1, "num_groups"), [1] * (call.args[0].dim() - 2)
    weight, bias = (None if t is None else t.view(-1, *tail) for t in (weight, bias))
    return lambda t: t.reshape(len(t), groups, -1), weight, bias


def norm_eps(call: Call) -> float:
    """The number that keeps a norm from dividing by zero."""
    eps = call.get(3 if call.name == "rms_norm" else 4, "eps")
    return float(torch.finfo(call.args[0].dtype).eps if eps is None else eps)


def _glu(call: Call, before: Call) -> Any:
    dim = call.get(1, "dim", -1)
    (x, gate), (r, gate_r) = (c.args[0].chunk(2, dim) for c in (call, before))
    return swapped(
        call.value(), bilinear(torch.mul, x, elementwise(torch.sigmoid, gate, gate_r), (r, gate_r.sigmoid()))
    )


RULES: dict[str, Callable[[Call, Call], Any]] = {
    **dict.fromkeys(ELEMENTWISE, _elementwise),
    **dict.fromkeys(PRODUCTS, _product),
    **dict.fromkeys(LINEAR, _linear),
    **dict.fromkeys(POOLS, _pool),
    **dict.fromkeys(("div", "divide", "true_divide"), _quotient),
    **dict.fromkeys(("maximum", "minimum"), _maximum),
    **dict.fromkeys(("amax", "max"), _amax),
    **dict.fromkeys(("softmax", "log_softmax"), _softmax),
    **dict.fromkeys(("layer_norm", "group_norm", "rms_norm"), _norm),
    **dict.fromkeys(("prod", "cumprod"), _along),
    "addcmul": _addcmul,
    "logsumexp": _logsumexp,
    "normalize": _normalize,
    "scaled_dot_product_attention": _attention,
    "glu": _glu,
}
TWO = PRODUCTS | {"div", "divide", "true_divide", "maximum", "minimum"}


class Rescale(Compared):
    """The rules of this module, against a reference pass."""

    def wants(self, call: Call) -> bool:
        """Calls that have a rule, but for those of which one side is a weight or a number."""
        tensors = call.tensors()
        if call.name not in RULES or not tensors or not (tensors[0].is_floating_point() or tensors[0].is_complex()):
            return False
        if call.name in TWO:
            return len(tensors) == 2 and not any(isinstance(t, torch.nn.Parameter) for t in tensors)
        return call.name not in LINEAR or not isinstance(call.get(1, "weight"), torch.nn.Parameter)

    def needs(self, call: Call) -> bool:
        """Of two factors, both must vary."""
        return call.varies and (call.name not in TWO or all(t.requires_grad for t in call.tensors()))

    def changed(self, call: Call, before: Call | None) -> Any:
        """The rule of that name."""
        return NotImplemented if before is None else RULES[call.name](call, before)


@contextlib.contextmanager
def rescale(reference: Callable[[], Any]) -> Iterator[Any]:
    """The rescale rule, against a pass that is made first.

    Parameters
    ----------
    reference : callable
        Runs the whole chain on the reference, without gradients; called once, on entering.

    Yields
    ------
    object
        What ``reference`` gave.

    Raises
    ------
    UnsupportedError
        In the block, if the chain runs other operations than on the reference.

    Notes
    -----
    Source: shrikumar2017deeplift. Gradients of what is computed in the block are DeepLIFT's multipliers: times the change
    of the input they sum to the change of the output.

    Examples
    --------
    >>> x = torch.tensor(3.0, requires_grad=True)
    >>> with rescale(lambda: torch.square(torch.tensor(1.0))):
    ...     y = torch.square(x)
    >>> y.backward()
    >>> x.grad  # (3 ** 2 - 1 ** 2) / (3 - 1), not 2 * 3
    tensor(4.)
    """
    # Pass one remembers what the calls were given; pass two, in the caller's block, pairs its calls with them.
    rules = Rescale()
    with rules.record():
        out = reference()
    with rules:
        yield out
