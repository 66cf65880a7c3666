"""Put chance in place of what a model has learned, layer by layer; always undone, bit for bit."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from otoscope.core.errors import ParameterError, UnknownNameError
from otoscope.surgery.guard import _restore_tables

RESETS = ("reset_parameters", "_reset_parameters")


@contextlib.contextmanager
def randomised(model: nn.Module, layers: Sequence[str], seed: int = 0) -> Iterator[nn.Module]:
    """While the block runs, the parameters of the named layers, and of all layers inside them, are as if never trained.

    A module that can reset its parameters does so; what that leaves as it was, and the parameters of all other modules,
    become normal noise of the same mean and standard deviation. Parameters that are even (a zero bias) and that no module
    resets stay. Buffers stay, those that a reset touches too: running statistics keep the layers' outputs in their range.

    Parameters
    ----------
    model : nn.Module
    layers : sequence of str
        Dotted names; ``""`` is the whole model.
    seed : int
        Each module draws by seed and name: the same numbers whatever else is randomised. Torch's own generators are left
        as they were.

    Yields
    ------
    nn.Module
        The same object; on leaving, its parameters and buffers are as before, after success, error or interrupt.

    Raises
    ------
    UnknownNameError
        If there is no such layer.
    """
    chosen = _inside(model, layers)
    tensors = [(t, t.detach().clone()) for m in chosen.values() for t in _own(m)]
    tables = [(table, dict(table)) for m in model.modules() for table in (m._parameters, m._buffers)]
    devices = sorted({t.device.index or 0 for t, _ in tensors if t.device.type == "cuda"})
    try:
        with torch.random.fork_rng(devices), torch.no_grad():
            for name, module in chosen.items():
                for rng in (torch.default_generator, *(torch.cuda.default_generators[d] for d in devices)):
                    rng.manual_seed(_seed(seed, name))
                _randomise(module)
        yield model
    finally:
        _restore_tables(tables)
        with torch.no_grad():
            for tensor, before in tensors:
                tensor.copy_(before)


def top_down(model: nn.Module, stages: int | None = None) -> list[tuple[str, ...]]:
    """Layers with parameters in groups, the one nearest to the output first.

    Modules count as nearer to the output the later they were defined, which holds for networks whose code is in the order
    of the signal; all of Otoscope's are.

    Parameters
    ----------
    model : nn.Module
    stages : int, optional
        How many groups of about equal numbers of layers; by default, one a layer.

    Returns
    -------
    list of tuple of str
        Dotted names of the modules that hold parameters themselves.

    Raises
    ------
    ParameterError
        If the model has no parameters.
    """
    names = [name for name, module in model.named_modules() if any(p is not None for p in module._parameters.values())]
    if not names:
        raise ParameterError(f"{type(model).__name__} has no parameters, so nothing of it can be made random")
    names = names[::-1]
    count = len(names) if stages is None else stages
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise ParameterError(f"stages must be a whole number of at least 1; got {stages!r}")
    count = min(count, len(names))
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


def _randomise(module: nn.Module) -> None:
    """Fresh values for a module's own parameters."""
    before = {n: p.detach().clone() for n, p in module._parameters.items() if p is not None}
    buffers = [(b, b.detach().clone()) for b in module._buffers.values() if b is not None]
    for reset in RESETS:
        if before and callable(getattr(module, reset, None)):
            getattr(module, reset)()
            break
    for buffer, was in buffers:
        buffer.copy_(was)
    for name, old in before.items():
        new = module._parameters[name]
        if new is not None and new.is_floating_point() and torch.equal(new, old):
            _redraw(new, old)


def _redraw(parameter: Tensor, old: Tensor) -> None:
    """Normal noise of the same mean and standard deviation."""
    values = old.double()
    spread = float(values.std(correction=0)) if old.numel() else 0.0
    if spread > 0:
        noise = torch.randn(old.shape, dtype=torch.float64, device=old.device)
        parameter.copy_(values.mean() + spread * noise)
