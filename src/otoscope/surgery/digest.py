"""What a model's weights are, as one number."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def state_digest(state: Mapping[str, Tensor], settings: tuple[Any, ...] = ()) -> str:
    """SHA-256 of names and values of tensors, and of settings that belong to them: the same weights, the same digest."""
    h = hashlib.sha256()
    for key, value in sorted(state.items()):
        array = value.detach().cpu().contiguous()
        h.update(f"{key}:{array.dtype}:{tuple(array.shape)}".encode())
        h.update(array.flatten().view(torch.uint8).numpy().tobytes())
    if settings:
        h.update(repr(settings).encode())
    return h.hexdigest()
