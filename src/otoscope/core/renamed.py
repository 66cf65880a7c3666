"""Public names that have changed: the old ones work for one version, with a warning that names the new one."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Mapping
from typing import Any


def renamed(module: str, names: Mapping[str, str]) -> Callable[[str], Any]:
    """A module's ``__getattr__`` that serves old names.

    Parameters
    ----------
    module : str
        Name of the module, ``__name__``.
    names : mapping of str to str
        Old name -> new name, with its module (``otoscope.studies.run_study``).

    Returns
    -------
    callable
        Gives the new object for an old name, with a DeprecationWarning; an AttributeError for any other name.
    """

    def get(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        home, _, new = names[name].rpartition(".")
        warnings.warn(
            f"{module}.{name} is now {names[name]}; the old name goes with version 0.3", DeprecationWarning, 2
        )
        return getattr(importlib.import_module(home), new)

    return get
