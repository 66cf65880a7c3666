"""Methods that others are compared with."""

from __future__ import annotations

from otoscope.core import registry


def role_of(method: str) -> str:
    """What a method is in a comparison.

    Parameters
    ----------
    method : str
        As it is written into rows: NAME or NAME,setting=value.

    Returns
    -------
    {"", "control", "oracle"}
        Controls know nothing of what the classifier heard; oracles know the truth.
    """
    name = method.partition(",")[0].strip()
    if name.startswith("oracle"):
        return "oracle"
    controls = {entry.name for entry in registry.entries("method") if entry.family == "control"}
    return "control" if name in controls else ""
