"""Seeds, devices, optional packages, versions."""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import platform
from types import ModuleType
from typing import TYPE_CHECKING

from otoscope.core.errors import MissingExtraError, ParameterError

if TYPE_CHECKING:
    import torch


def require(module: str, extra: str, purpose: str, package: str | None = None) -> ModuleType:
    """Import an optional package, or name the extra that provides it.

    Parameters
    ----------
    module : str
        Name to import.
    extra : str
        The extra of Otoscope that installs it.
    purpose : str
        What needs it, as the subject of a sentence.
    package : str, optional
        Its name on PyPI, where that differs.

    Raises
    ------
    MissingExtraError
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(package or module, extra, purpose) from error


def resolve_device(device: str = "auto") -> torch.device:
    """The device; ``auto`` is the GPU if available. Requesting an absent GPU is an error."""
    import torch

    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise ParameterError(f"unknown device {device!r}; use auto, cpu, cuda or cuda:N") from None
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise ParameterError("device 'cuda' is not available: this machine has no usable GPU; use --device cpu")
    return chosen


def generator(seed: int, device: torch.device | str = "cpu") -> torch.Generator:
    """A random generator of its own, so that the caller's global state is left alone."""
    import torch

    return torch.Generator(device=device).manual_seed(int(seed))


def versions() -> dict[str, str]:
    """Versions of what an explanation depends on."""
    packages = ("otoscope", "torch", "numpy", "soundfile", "soxr", "av")
    return {"python": platform.python_version(), **{name: _version(name) for name in packages}}


@functools.cache
def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "absent"
