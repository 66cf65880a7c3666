"""Change how a network goes backward, while its forward values stay exactly the same.

Everything is met by torch's own dispatch of functions (`torch.overrides.TorchFunctionMode`), so ``torch.relu(x)``,
``functional.hardswish(x)`` and ``x * gate`` are met as well as modules, in networks and in front ends. The model is not
touched: the rules hold while the block runs, and in the graph that was made in it. What is hidden from torch's dispatch
(TorchScript) or unknown to a rule set passes its plain gradient.

How it works. While a `TorchFunctionMode` is active, torch calls its ``__torch_function__(func, types, args, kwargs)`` instead
of each function. `Rules` normalises the call (name, in-place or not, place of the input) into a `Call` and calls `rule`, which
returns a tensor with (1) exactly the values of the plain call and (2) another way back. A custom `torch.autograd.Function`
joins the two: `swapped` takes the gradient of a surrogate expression, `sloped` multiplies by a given slope. torch switches a
mode off inside its own handler, so rules call torch freely without meeting themselves.

Why not hooks: a module's backward hook sees neither ``torch.relu(x)`` nor ``x + residual`` nor the synthesis of a domain,
and one module that is called twice is one hook for two places in the graph.

`Compared` adds a first pass on a reference (silence, say), whose calls are remembered and paired with those of the second.

Axes of a call: positional and named arguments as they came; nothing is assumed about the layout of batches.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from types import FunctionType
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from otoscope.core.errors import UnsupportedError


def words(text: str) -> frozenset[str]:
    """Names of functions, written with spaces between them."""
    return frozenset(text.split())


# What lets its input pass where that is large, and little of it where it is small.
UNITS = words("relu relu6 leaky_relu rrelu elu selu celu gelu silu mish hardswish softplus threshold")
# Functions of torch that are written in Python and dispatch as a whole: the mode would see one call of them, and none of the
# matrix products and softmaxes in it. `_opened` makes their insides visible.
COMPOSITE = ("multi_head_attention_forward",)


class Call(NamedTuple):
    """One call of a torch function: its out-of-place form and its arguments."""

    name: str
    run: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]

    def __call__(self) -> Any:
        """What it gives."""
        return self.run(*self.args, **self.kwargs)

    def value(self) -> Any:
        """What it gives, without a graph."""
        with torch.no_grad():
            return self()

    def get(self, position: int, name: str, default: Any = None) -> Any:
        """An argument by place or name."""
        return self.args[position] if position < len(self.args) else self.kwargs.get(name, default)

    def tensors(self) -> list[Tensor]:
        """All tensors among the arguments, in order."""
        return [x for x in (*self.args, *self.kwargs.values()) if isinstance(x, Tensor)]

    def given(self, tensors: list[Tensor]) -> Call:
        """The same call on other tensors."""
        others = iter(tensors)
        swapped = [next(others) if isinstance(x, Tensor) else x for x in (*self.args, *self.kwargs.values())]
        n = len(self.args)
        return Call(self.name, self.run, tuple(swapped[:n]), dict(zip(self.kwargs, swapped[n:], strict=True)))

    @property
    def varies(self) -> bool:
        """Whether any gradient passes through it."""
        return torch.is_grad_enabled() and any(t.requires_grad for t in self.tensors())


class Rules(TorchFunctionMode):
    """A set of rules; children define in `rule` what becomes of a call, or `NotImplemented` for its plain gradient."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name, inplace = _plain(getattr(func, "__name__", ""), kwargs)
        placed, named = _placed(args, kwargs)
        if name in COMPOSITE and isinstance(func, FunctionType):
            with self:  # torch has switched the mode off for this handler; the calls inside are to be met
                return _opened(func)(*args, **kwargs)
        # relu_(x) is ruled as relu(x), and the result written into x below: a rule needs the input that was there before.
        run = _out_of_place(name, func) if inplace else func
        found = NotImplemented
        if run is not None and kwargs.get("out") is None:
            out_of_place = {k: v for k, v in named.items() if k != "inplace"}
            found = self.rule(Call(name, run, placed, out_of_place))
        # `overwrites` comes before anything writes: it saves what was remembered of this memory.
        if inplace:
            self.overwrites(placed[0])
        if found is NotImplemented:
            return func(*args, **kwargs)
        if inplace:
            placed[0].copy_(found)
            return placed[0]
        return found

    def rule(self, call: Call) -> Any:
        """What the call gives, with another way back; `NotImplemented` leaves it as it is."""
        raise NotImplementedError

    def overwrites(self, tensor: Any) -> None:
        """Called before a tensor is changed in place."""


def _plain(name: str, kwargs: Mapping[str, Any]) -> tuple[str, bool]:
    """The out-of-place name of a function, and whether it works in place."""
    if name == "__setitem__":
        return name, True
    if name.endswith("_") and not name.endswith("__"):
        return name[:-1], True
    return name, bool(kwargs.get("inplace"))


def _placed(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
    """The arguments of a call, with ``input=`` first, where rules look for it."""
    if args or "input" not in kwargs:
        return args, kwargs
    return (kwargs["input"],), {k: v for k, v in kwargs.items() if k != "input"}


def _out_of_place(name: str, func: Any) -> Any:
    """The function of that name which leaves its input alone; the function itself where it takes ``inplace``."""
    if getattr(func, "__name__", "") == name:
        return func if name != "__setitem__" else None
    return next((getattr(home, name) for home in (Tensor, torch, functional) if hasattr(home, name)), None)


def _opened(func: FunctionType) -> FunctionType:
    """A Python function of torch that does not hand itself over to the mode, so that what it calls is met."""
    # Such functions begin with `if has_torch_function(...): return handle_torch_function(...)`. The twin shares the code and has
    # globals of its own, in which that question is answered with no; torch's module is not changed.
    blind = {k: (lambda *_: False) for k in func.__globals__ if k.startswith("has_torch_function")}
    twin = FunctionType(
        func.__code__, {**func.__globals__, **blind}, func.__name__, func.__defaults__, func.__closure__
    )
    twin.__kwdefaults__ = func.__kwdefaults__
    return twin


class _Swap(torch.autograd.Function):
    """Forward: a value made before. Backward: that of a surrogate."""

    # The value comes in a list, which autograd does not look into: a tensor that is both an argument and the result would be
    # taken for an input that is passed through.
    @staticmethod
    def forward(ctx: Any, surrogate: Tensor, value: list[Tensor]) -> Tensor:
        return value.pop()

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return gradients[0], None


class _Slope(torch.autograd.Function):
    """Forward: a value made before. Backward: the gradient times a slope for each element."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, slope: Tensor, value: list[Tensor]) -> Tensor:
        ctx.save_for_backward(slope)
        return value.pop()

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return gradients[0] * ctx.saved_tensors[0], None, None


def swapped(value: Tensor, surrogate: Tensor) -> Tensor:
    """The value, with the gradients of a surrogate of the same shape."""
    return _Swap.apply(surrogate, [value.detach()])


def sloped(x: Tensor, value: Tensor, slope: Tensor) -> Tensor:
    """The value, whose gradient by ``x`` is a slope for each element."""
    return _Slope.apply(x, slope, [value.detach()])


def derivative(run: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Derivative of an elementwise function; 0 where it is not finite."""
    # The gradient of the sum is the derivative at each element, since no element acts on another's output.
    with torch.enable_grad():
        at = x.detach().requires_grad_(True)
        (slope,) = torch.autograd.grad(run(at).sum(), at)
    return slope.nan_to_num_(0.0, 0.0, 0.0)


class _Rectified(Rules):
    """Rectifiers pass the positive part of what comes back, by a slope for their input."""

    def rule(self, call: Call) -> Any:
        if call.name not in UNITS or not call.varies or not isinstance(call.args[0], Tensor):
            return NotImplemented
        x = call.args[0]
        with torch.no_grad():  # the plain call leaves no graph; the only way back is that of _Positive
            value, slope = call(), self.slope(call, x)
        return _Positive.apply(x, slope, [value])

    def slope(self, call: Call, x: Tensor) -> Tensor | None:
        """What a positive gradient is multiplied by; None for 1."""
        raise NotImplementedError


class _Guided(_Rectified):
    def slope(self, call: Call, x: Tensor) -> Tensor:
        return derivative(lambda at: call.run(at, *call.args[1:], **call.kwargs), x) * (x > 0)


class _Deconvolved(_Rectified):
    def slope(self, call: Call, x: Tensor) -> None:
        return None


class _Positive(_Slope):
    """Forward: a value made before. Backward: the positive part of the gradient times a slope, if there is one."""

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        positive = gradients[0].clamp_min(0)
        if ctx.saved_tensors[0] is None:
            return positive, None, None
        return _Slope.backward(ctx, positive)


@contextlib.contextmanager
def guided() -> Iterator[None]:
    """Guided backpropagation: rectifiers pass only positive gradients, and those only where their input is positive.

    Rectifiers are ReLU and similar functions (`UNITS`: leaky ReLU, ELU, GELU, SiLU, hardswish, softplus ...).
    A smooth one passes the positive part of the gradient times its own derivative where its input is positive, and
    nothing elsewhere: with ReLU that is the published rule.

    Notes
    -----
    Source: springenberg2015striving, section 3.4; there for ReLU alone.

    Examples
    --------
    >>> x = torch.tensor([-1.0, 2.0, 3.0], requires_grad=True)
    >>> with guided():
    ...     y = (torch.relu(x) * torch.tensor([1.0, 1.0, -1.0])).sum()
    >>> y.backward()
    >>> x.grad
    tensor([0., 1., 0.])
    """
    with _Guided():
        yield


@contextlib.contextmanager
def deconvolved() -> Iterator[None]:
    """Deconvolution: rectifiers pass the positive part of what comes back, whatever their input was.

    Everything else passes its plain gradient, which is what a deconvolution network does: a convolution passes its transpose
    without bias, the largest of several cells passes to where it was found (the switches).

    Notes
    -----
    Source: zeiler2014visualizing, section 2.1; there for ReLU, here for all rectifiers (`UNITS`).

    Examples
    --------
    >>> x = torch.tensor([-1.0, 2.0, 3.0], requires_grad=True)
    >>> with deconvolved():
    ...     y = (torch.relu(x) * torch.tensor([1.0, 1.0, -1.0])).sum()
    >>> y.backward()
    >>> x.grad
    tensor([1., 1., 0.])
    """
    with _Deconvolved():
        yield


class Reference(NamedTuple):
    """What a call was given in the reference pass."""

    name: str
    tensors: list[Tensor]


class Compared(Rules):
    """Rules that compare a pass with an earlier one, the reference, call by call.

    The two passes must take the same steps, whatever the layout of their tensors; steps that were taken in the reference
    pass alone (constants that are kept from then on) are passed over. What `wants` names is remembered, nothing else.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Reference | None] = []  # the reference pass, in order; None once paired or passed over
        self.at, self.recording = 0, False  # the next step that may be paired
        # Address of a storage -> steps that remember a tensor in it. Remembered tensors are not copied: this costs nothing for
        # most networks; the few tensors that an in-place function changes are copied just before (`overwrites`).
        self._held: dict[int, list[int]] = defaultdict(list)

    @contextlib.contextmanager
    def record(self) -> Iterator[None]:
        """While the block runs, calls are remembered and take no gradients."""
        self.recording = True
        try:
            with torch.no_grad(), self:
                yield
        finally:
            self.recording = False
            self._held.clear()

    def wants(self, call: Call) -> bool:
        """Whether the rule for this call needs the reference."""
        raise NotImplementedError

    def needs(self, call: Call) -> bool:
        """Whether there is no way without the reference."""
        return call.varies

    def changed(self, call: Call, before: Call | None) -> Any:
        """As `Rules.rule`; ``before`` is the same call of the reference pass, where it was wanted."""
        raise NotImplementedError

    def rule(self, call: Call) -> Any:
        wanted = self.wants(call)
        if self.recording:
            if wanted:
                self._remember(call)
            return NotImplemented
        before = self._recall(call) if wanted else None
        return self.changed(call, before) if call.varies else NotImplemented

    def _remember(self, call: Call) -> None:
        tensors = [t.detach() for t in call.tensors()]
        for t in tensors:
            self._held[t.untyped_storage().data_ptr()].append(len(self.seen))
        self.seen.append(Reference(call.name, tensors))

    def overwrites(self, tensor: Any) -> None:
        """What was remembered of the tensor's memory is copied before it changes."""
        if not self.recording or not isinstance(tensor, Tensor):
            return
        for step in self._held.pop(tensor.untyped_storage().data_ptr(), ()):
            known = self.seen[step]
            if known is not None:
                self.seen[step] = Reference(known.name, [t.clone() for t in known.tensors])

    def _recall(self, call: Call) -> Call | None:
        # Both passes run the same code, so the partner is nearly always at `self.at`. Steps of the reference pass that have no
        # partner (a constant computed once and cached) are passed over, and released with what was paired.
        shapes = [t.shape for t in call.tensors()]
        for step in range(self.at, len(self.seen)):
            known = self.seen[step]
            if known is not None and known.name == call.name and [t.shape for t in known.tensors] == shapes:
                self.seen[self.at : step + 1] = [None] * (step + 1 - self.at)
                self.at = step + 1
                return call.given(known.tensors)
        if not self.needs(call):
            return None
        raise UnsupportedError(
            f"the classifier runs other operations on a clip than on its reference ({call.name} of shapes "
            f"{[tuple(s) for s in shapes]}); they cannot be compared: use integrated_gradients"
        )
