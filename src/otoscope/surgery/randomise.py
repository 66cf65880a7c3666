"""Randomise the parameters of a model, layer by layer; always restored bit for bit."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from otoscope.core.errors import ParameterError, UnknownNameError
from otoscope.surgery.hooks import add_hook

# Attributes of a tensor that give its values, in contrast to its shape or device.
VIEWS = {getattr(torch.Tensor, name).__get__ for name in ("T", "mT", "H", "mH", "data", "real", "imag")}


@contextlib.contextmanager
def randomised(
    model: nn.Module, layers: Sequence[str], seed: int = 0, run: Callable[[], object] | None = None
) -> Iterator[nn.Module]:
    """While the block runs, the parameters of the named layers, and of all layers inside them, are random.

    Each becomes normal noise of its own mean and standard deviation; parameters that are even (a zero bias) stay. With ``run``,
    the running statistics of batch norms in these layers are estimated again: those of the trained network do not fit random
    weights, and a network that keeps them hardly distinguishes sounds.

    Parameters
    ----------
    model : nn.Module
        The network; it is restored when the block ends.
    layers : sequence of str
        Dotted names; ``""`` is the whole model.
    seed : int
        Each module draws by seed and name: the same numbers whatever else is randomised. Torch's own generators are left
        as they were.
    run : callable, optional
        Runs the model once on the sounds that the statistics are estimated on.

    Yields
    ------
    nn.Module
        The same object; on leaving, its parameters and buffers are as before, after success, error or interrupt.

    Raises
    ------
    UnknownNameError
        If there is no such layer.

    Examples
    --------
    >>> net = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2))
    >>> before = state_digest(net.state_dict())
    >>> with randomised(net, ["2"]):
    ...     print(state_digest(net.state_dict()) == before)
    False
    >>> state_digest(net.state_dict()) == before
    True
    """
    chosen = _inside(model, layers)
    tensors = [(t, t.detach().clone()) for m in chosen.values() for t in _own(m)]
    devices = sorted({t.device.index or 0 for t, _ in tensors if t.device.type == "cuda"})
    try:
        with torch.random.fork_rng(devices), torch.no_grad():
            for name, module in chosen.items():
                # Seeded per module by its name: what a layer draws does not depend on which others are randomised, so the
                # stages of a cascade differ only in the layers that they add.
                for rng in (torch.default_generator, *(torch.cuda.default_generators[d] for d in devices)):
                    rng.manual_seed(_seed(seed, name))
                for parameter in module._parameters.values():
                    if parameter is not None and parameter.is_floating_point():
                        _redraw(parameter)
        if run is not None:
            _estimate_norms(list(chosen.values()), run)
        yield model
    finally:
        with torch.no_grad():
            for tensor, before in tensors:
                tensor.copy_(before)


@contextlib.contextmanager
def without_biases(model: nn.Module) -> Iterator[None]:
    """While the block runs, the biases of convolutions and linear layers are 0; afterwards they are as before.

    Examples
    --------
    >>> net = torch.nn.Linear(2, 1)
    >>> with without_biases(net):
    ...     float(net(torch.zeros(1, 2)).detach())
    0.0
    """
    kinds = (nn.modules.conv._ConvNd, nn.Linear)
    biases = [m.bias for m in model.modules() if isinstance(m, kinds) and m.bias is not None]
    kept = [b.detach().clone() for b in biases]
    try:
        with torch.no_grad():
            for bias in biases:
                bias.zero_()
        yield
    finally:
        with torch.no_grad():
            for bias, value in zip(biases, kept, strict=True):
                bias.copy_(value)


class _Uses(TorchFunctionMode):
    """When each of some tensors was last handed to a function of torch."""

    def __init__(self, known: Collection[int]):
        super().__init__()
        self.known, self.last, self.steps = known, dict[int, int](), itertools.count()

    def __torch_function__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") != "__get__" or func in VIEWS:  # reading its shape or device is not a use
            for given in (*args, *kwargs.values()):
                for t in given if isinstance(given, list | tuple) else (given,):
                    if id(t) in self.known:
                        self.last[id(t)] = next(self.steps)
        return func(*args, **kwargs)


def _order(model: nn.Module, names: list[str], run: Callable[[], object]) -> list[str]:
    """The layers that a run takes, in the order of their last use; all, as they were defined, where none can be seen."""
    modules = dict(model.named_modules())
    own = {name: [id(p) for p in modules[name]._parameters.values() if p is not None] for name in names}
    called: dict[str, int] = {}
    with contextlib.ExitStack() as stack:
        uses = _Uses(frozenset(itertools.chain(*own.values())))

        def hook(name: str) -> Callable[..., None]:
            return lambda _module, _inputs: called.update({name: next(uses.steps)})

        for name in names:
            stack.callback(add_hook(modules[name].register_forward_pre_hook, hook(name)).remove)
        stack.enter_context(uses)
        run()
    # where a parameter cannot be seen at work (TorchScript), that its module was called must do
    last = {n: max((uses.last[i] for i in own[n] if i in uses.last), default=called.get(n, -1)) for n in names}
    taken = [name for name in names if last[name] >= 0]
    return sorted(taken, key=lambda name: last[name]) or names


def top_down(
    model: nn.Module, stages: int | None = None, run: Callable[[], object] | None = None
) -> list[tuple[str, ...]]:
    """Layers with parameters in groups, the one nearest to the output first.

    With ``run``, a layer is the nearer to the output the later its parameters are used for the last time, and layers that
    are not used are left out. Without, or where ``run`` does not run the model, the later it was defined: that holds for
    networks whose code is in the order of the signal.

    Parameters
    ----------
    model : nn.Module
        The network; it is restored when the block ends.
    stages : int, optional
        How many groups of about equal numbers of layers; by default, one a layer.
    run : callable, optional
        Runs the model; called once.

    Returns
    -------
    list of tuple of str
        Dotted names of the modules that hold parameters themselves.

    Raises
    ------
    ParameterError
        If the model has no parameters.

    Examples
    --------
    >>> net = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2))
    >>> top_down(net)
    [('2',), ('0',)]
    """
    names = [name for name, module in model.named_modules() if any(p is not None for p in module._parameters.values())]
    if not names:
        raise ParameterError(f"{type(model).__name__} has no parameters, so nothing of it can be made random")
    if stages is not None and (isinstance(stages, bool) or not isinstance(stages, int) or stages < 1):
        raise ParameterError(f"stages must be a whole number of at least 1; got {stages!r}")
    names = (names if run is None else _order(model, names, run))[::-1]
    count = min(stages or len(names), len(names))
    edges = [round(i * len(names) / count) for i in range(count + 1)]
    return [tuple(names[a:b]) for a, b in itertools.pairwise(edges)]


def _inside(model: nn.Module, layers: Sequence[str]) -> dict[str, nn.Module]:
    """The named modules and all inside them, each once."""
    known = dict(model.named_modules())
    for layer in layers:
        if layer not in known:
            raise UnknownNameError("layer", layer, [n for n in known if n])
    return {n: m for n, m in known.items() if any(not w or n == w or n.startswith(f"{w}.") for w in layers)}


def _own(module: nn.Module) -> list[Tensor]:
    return [t for table in (module._parameters, module._buffers) for t in table.values() if t is not None]


def _seed(seed: int, name: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:7], "big")


def _redraw(parameter: Tensor) -> None:
    """Normal noise of the same mean and standard deviation."""
    # An even parameter (a norm's gain of ones) has no spread to imitate, and stays.
    old = parameter.detach().double()
    spread = float(old.std(correction=0)) if old.numel() else 0.0
    if spread > 0:
        noise = torch.randn(old.shape, dtype=torch.float64, device=old.device)
        parameter.copy_(old.mean() + spread * noise)


def _estimate_norms(modules: Sequence[nn.Module], run: Callable[[], object]) -> None:
    """Set the running statistics of batch norms to those of their inputs, each before it is applied, in one run."""

    def estimate(norm: Any, inputs: tuple[Tensor, ...]) -> None:
        x = inputs[0].detach()
        axes = [d for d in range(x.dim()) if d != 1]
        norm.running_mean.copy_(x.mean(axes))
        if x.numel() > x.shape[1]:  # of one value there is no variance
            norm.running_var.copy_(x.var(axes))

    with contextlib.ExitStack() as stack, torch.no_grad():
        for module in modules:
            if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is not None:
                stack.callback(add_hook(module.register_forward_pre_hook, estimate).remove)
        run()
