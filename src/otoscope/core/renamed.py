"""Public names that have changed: the old ones work for one version, with a warning that names the new one."""

from __future__ import annotations

import pkgutil
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
        Old name -> new name, with its module (``otoscope.studies.run_study``), or of a method, with its class.

    Returns
    -------
    callable
        Gives the new object for an old name, with a DeprecationWarning; an AttributeError for any other name.
    """

    def get(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        warnings.warn(
            f"{module}.{name} is now {names[name]}; the old name goes with version 0.3", DeprecationWarning, 2
        )
        home, _, new = names[name].rpartition(".")
        owner = pkgutil.resolve_name(home)
        if isinstance(owner, type):  # a function that became a method: call that of the object's own class
            return lambda thing, *args, **kwargs: getattr(thing, new)(*args, **kwargs)
        return getattr(owner, new)

    return get
