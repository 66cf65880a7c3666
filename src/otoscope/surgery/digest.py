"""A digest of a model's weights."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def flat_state(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors of a state, those of quantised layers too; anything else counts by its text.

    Examples
    --------
    >>> list(flat_state({"a": torch.zeros(1), "packed": (torch.zeros(2), None)}))
    ['a', 'packed.0', 'packed.1']
    """
    out: dict[str, Tensor] = {}
    for key, value in state.items():
        if isinstance(value, tuple | list):
            out |= flat_state({f"{key}.{i}": part for i, part in enumerate(value)})
        elif isinstance(value, Tensor):
            out[key] = value.dequantize() if value.is_quantized else value
        else:
            out[key] = torch.frombuffer(bytearray(repr(value).encode()), dtype=torch.uint8)
    return out


def state_digest(state: Mapping[str, Tensor], settings: tuple[Any, ...] = ()) -> str:
    """SHA-256 of names and values of tensors, and of settings that belong to them: the same weights, the same digest.

    Examples
    --------
    >>> state_digest({"weight": torch.zeros(2)})[:8]
    '5cec47c2'
    """
    # Sorted, so that the order of definition does not count; with dtype and shape, so that equal bytes of another form do.
    h = hashlib.sha256()
    for key, value in sorted(state.items()):
        array = value.detach().cpu().contiguous()
        h.update(f"{key}:{array.dtype}:{tuple(array.shape)}".encode())
        # As raw bytes: numpy has no bfloat16, and NaN and -0.0 must count as they are.
        h.update(array.flatten().view(torch.uint8).numpy().tobytes())
    if settings:
        h.update(repr(settings).encode())
    return h.hexdigest()
