"""Use a model and restore its state.

Whatever a pass, a method or a caller's code may change in a module is saved before and restored in ``finally``: the objects
themselves, never by copies, so that an optimiser or a caller that holds a parameter still holds the right one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from otoscope.core.errors import OtoscopeError
from otoscope.surgery.checkpointing import plain_checkpoints
from otoscope.surgery.digest import state_digest


@contextlib.contextmanager
def preserve_state(model: nn.Module) -> Iterator[nn.Module]:
    """The model in evaluation mode with frozen parameters; on leaving, everything is as before.

    Restored are each module's mode, each parameter's ``requires_grad`` and ``.grad``, every buffer, every tensor that a module
    keeps as an attribute (the state of a recurrent network, say), and every hook that was there (hooks added inside are removed).
    Inside, tensors are not inference tensors, and reentrant checkpoints are plain calls: gradients can be taken.

    Parameters
    ----------
    model : nn.Module
        The network; it is restored when the block ends.

    Yields
    ------
    nn.Module
        The same object.

    Examples
    --------
    >>> net = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2))
    >>> with preserve_state(net):
    ...     print(net.training)
    False
    >>> net.training
    True
    """
    modes = [(m, m.training) for m in model.modules() if hasattr(m, "training")]  # frozen TorchScript has none
    parameters = [(p, p.requires_grad, p.grad) for p in model.parameters()]
    buffers = list(model.buffers())
    contents = [b.detach().clone() for b in buffers]
    plain = [m for m in model.modules() if not isinstance(m, torch.jit.ScriptModule)]
    named = [(m._buffers, dict(m._buffers)) for m in plain]  # a forward pass may put a new tensor in place
    scripted = [(m, _script_state(m)) for m in model.modules() if isinstance(m, torch.jit.ScriptModule)]
    # Hooks are kept in dicts of the module; saving the dicts' content removes what was added and restores what was removed.
    hooks = [(table, dict(table)) for m in model.modules() for table in _hook_tables(m)]
    states = [(m, _state_of(m)) for m in model.modules()]
    try:
        set_mode(model, False)
        for p, _, _ in parameters:
            p.requires_grad_(False)
        with torch.inference_mode(False), plain_checkpoints():
            yield model
    finally:
        for m, mode in modes:
            m.training = mode
        for p, wanted, grad in parameters:
            p.requires_grad_(wanted)
            p.grad = grad
        _restore_tables(named)  # first the tensor objects, then the values in them
        for m, values in scripted:
            _restore_script_state(m, values)
        _copy_back(buffers, contents)
        _restore_tables(hooks)
        for m, state in states:
            _restore_state(m, state)


@contextlib.contextmanager
def frozen(model: nn.Module) -> Iterator[nn.Module]:
    """`preserve_state`, and the proof on leaving that the block changed none of its parameters and buffers, and no mode.

    Raises
    ------
    OtoscopeError
        If something of the model changed while the block ran; an error of the block itself goes first.

    Examples
    --------
    >>> net = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2))
    >>> with frozen(net) as borrowed:
    ...     print(borrowed.training, any(p.requires_grad for p in borrowed.parameters()))
    False False
    >>> net.training
    True
    """
    before = _digest(model)
    with preserve_state(model):
        yield model
        still = _digest(model) == before and not any(getattr(m, "training", False) for m in model.modules())
    if not still:
        raise OtoscopeError(
            f"{getattr(model, 'name', type(model).__name__)!r} was frozen but changed: a parameter, a buffer or its mode "
            "is not as before; does it change itself in a forward pass?"
        )


def _digest(model: nn.Module) -> str:
    return state_digest({**dict(model.named_parameters()), **dict(model.named_buffers())})


def set_mode(model: nn.Module, mode: bool, train: Callable[[bool], object] | None = None) -> None:
    """Training or evaluation mode, also with parts that have only one (programs of torch.export, frozen TorchScript).

    Parameters
    ----------
    model : nn.Module
        Changed in place.
    mode : bool
        True for training.
    train : callable, optional
        What sets the mode of an ordinary module; by default ``model.train``.
    """
    try:
        (model.train if train is None else train)(mode)
    except (NotImplementedError, AttributeError, RuntimeError):
        for m in model.modules():
            if hasattr(m, "training"):
                m.training = mode


OWN = frozenset(vars(nn.Module()))  # tables of torch's, which are restored by themselves
Held = tuple[object, Any]  # a value, and what its containers held
State = dict[str, tuple[Held, list[Tensor], list[Tensor]]]


def _leaves(value: object) -> list[object]:
    """What a value holds, inside lists, tuples and dictionaries."""
    if isinstance(value, list | tuple | dict):
        return [leaf for item in (value.values() if isinstance(value, dict) else value) for leaf in _leaves(item)]
    return [] if value is None else [value]


def _tensors(value: object) -> list[Tensor] | None:
    """The tensors that an attribute holds; None if it may hold something else."""
    leaves = _leaves(value)
    return leaves if all(isinstance(x, Tensor) for x in leaves) else None  # type: ignore[return-value]


def _hold(value: object) -> Held:
    """A value with what its containers hold now."""
    if isinstance(value, dict):
        return value, {key: _hold(item) for key, item in value.items()}
    return value, [_hold(item) for item in value] if isinstance(value, list | tuple) else None


def _put_back(held: Held) -> object:
    """The value, with its containers as they were."""
    value, inside = held
    if isinstance(value, dict):
        table = {key: _put_back(item) for key, item in inside.items()}
        value.clear()
        value.update(table)
    elif inside is not None:
        items = [_put_back(item) for item in inside]
        if isinstance(value, list):
            value[:] = items
    return value


def _copy_back(tensors: list[Tensor], copies: list[Tensor]) -> None:
    with torch.no_grad():
        for tensor, copy in zip(tensors, copies, strict=True):
            if tensor.shape != copy.shape:
                tensor.resize_(copy.shape)
            if not torch.equal(tensor, copy):  # an untouched one keeps its version counter, which autograd checks
                tensor.copy_(copy)


def _state_of(module: nn.Module) -> tuple[set[str], State]:
    """Names of all attributes, and of those that hold None or tensors, the object, its tensors, and copies of their values."""
    found: State = {}
    for name, value in vars(module).items():
        tensors = None if name in OWN else _tensors(value)
        if tensors is not None:
            found[name] = _hold(value), tensors, [t.detach().clone() for t in tensors]
    return set(vars(module)), found


def _restore_state(module: nn.Module, before: tuple[set[str], State]) -> None:
    names, state = before
    kept = vars(module)
    for name in [n for n in kept if n not in names and _tensors(kept[n])]:
        del kept[name]
    for name, (held, tensors, copies) in state.items():
        if _tensors(kept.get(name)) is None:  # a count, a text: not of our making
            continue
        kept[name] = _put_back(held)
        _copy_back(tensors, copies)


ScriptState = dict[str, tuple[object, list[Tensor]]]


def _script_state(module: torch.jit.ScriptModule) -> ScriptState:
    """Buffers and attributes of a TorchScript module, which live outside Python: the value, and copies of its tensors."""
    found: ScriptState = {}
    kind = torch._C.ConcreteModuleType.from_jit_type(module._c._type())  # frozen modules keep none of their own
    for name in (*module._buffers.keys(), *kind.get_attributes()):  # type: ignore[attr-defined]
        value = module._c.getattr(name)
        leaves = _leaves(value)
        if name != "training" and all(isinstance(leaf, Tensor | int | float | str) for leaf in leaves):
            found[name] = value, [t.detach().clone() for t in leaves if isinstance(t, Tensor)]
    return found


def _restore_script_state(module: torch.jit.ScriptModule, before: ScriptState) -> None:
    for name, (value, copies) in before.items():
        _copy_back([leaf for leaf in _leaves(value) if isinstance(leaf, Tensor)], copies)
        now = module._c.getattr(name)
        if now is not value and (isinstance(value, Tensor | list | tuple | dict) or now != value):
            module._c.setattr(name, value)


def _hook_tables(module: nn.Module) -> list[dict]:
    forward = ("_forward_hooks", "_forward_hooks_with_kwargs", "_forward_hooks_always_called")
    names = (*forward, "_forward_pre_hooks", "_forward_pre_hooks_with_kwargs", "_backward_hooks", "_backward_pre_hooks")
    return [t for t in map(vars(module).get, names) if t is not None]


def _restore_tables(tables: list[tuple[dict, dict]]) -> None:
    for table, before in tables:
        if not table and not before:
            continue
        # Compared by identity (tensors have no truth value), and by order, in which hooks run; mostly nothing changed.
        if list(map(id, table.values())) != list(map(id, before.values())) or list(table) != list(before):
            table.clear()
            table.update(before)
