"""Checkpoints inside a network, run as plain calls: the old, reentrant kind refuses ``torch.autograd.grad``.

A checkpoint saves memory in training: it forgets what a block computed and computes it again on the way back. The reentrant kind
does so in a backward pass of its own, which knows nothing of gradients by other things than the leaves of the graph, so torch
refuses it. Run plainly, the block gives the same values and the same gradients, and needs more memory.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import torch.utils.checkpoint

_lock = threading.Lock()
_inside: list[Any] = []  # torch's own function, once for each block that runs


class _Plain:
    """Stands in for torch's function of reentrant checkpoints."""

    @staticmethod
    def apply(function: Callable[..., Any], _preserve_random_state: bool, *args: Any) -> Any:
        """Run the block."""
        return function(*args)


@contextlib.contextmanager
def plain_checkpoints() -> Iterator[None]:
    """While the block runs, reentrant checkpoints are plain calls.

    Examples
    --------
    >>> from torch.utils.checkpoint import checkpoint
    >>> x = torch.ones(3, requires_grad=True)
    >>> with plain_checkpoints():
    ...     y = checkpoint(torch.square, x, use_reentrant=True)
    ...     (gradient,) = torch.autograd.grad(y.sum(), x)
    >>> gradient
    tensor([2., 2., 2.])
    """
    # `checkpoint` looks this name up when it is called, however the user imported `checkpoint` itself.
    with _lock:
        _inside.append(torch.utils.checkpoint.CheckpointFunction)
        torch.utils.checkpoint.CheckpointFunction = _Plain  # type: ignore[assignment, misc]
    try:
        yield
    finally:
        with _lock:  # of blocks that overlap in several threads, the last one to end restores
            first = _inside[0]
            _inside.pop()
            if not _inside:
                torch.utils.checkpoint.CheckpointFunction = first  # type: ignore[misc]
