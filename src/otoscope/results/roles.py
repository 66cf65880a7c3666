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
    kind = name.partition(":")[0]
    if kind in ("oracle", "control"):  # of the study itself, as oracle:ratio and control:ones
        return kind
    controls = {entry.name for entry in registry.entries("method") if entry.family == "control"}
    return "control" if name in controls else ""
