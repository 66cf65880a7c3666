"""All metrics of one explanation."""

from __future__ import annotations

import inspect

import numpy as np

from otoscope.core import registry
from otoscope.core.records import Scores


def measure(scores: Scores, heard: Scores | None, mask: np.ndarray, target: int) -> dict[str, float]:
    """Every registered metric, from the scores in the domain and, as ``heard_*``, from the written sound.

    Parameters
    ----------
    scores : Scores
        Of the masked clip in the domain.
    heard : Scores, optional
        Of the files as written; its ``original`` is that of the original file.
    mask : ndarray (freq, frame)
    target : int

    Returns
    -------
    dict
        Name -> value; NaN where a metric says nothing.
    """
    out: dict[str, float] = {}
    for entry in registry.entries("metric"):
        if entry.facts["of"] == "mask":
            out[entry.name] = entry.target(mask)
            continue
        for prefix, found in (("", scores), ("heard_", heard)):
            if found is not None:
                out[prefix + entry.name] = _scored(entry, found, target)
    return out


def _scored(entry: registry.Entry, scores: Scores, target: int) -> float:
    taken = inspect.signature(entry.target).parameters
    wanted = {name: getattr(scores, name) for name in ("original", "kept", "removed") if name in taken}
    if entry.name != "input_fidelity":
        wanted = {name: float(values[target]) for name, values in wanted.items()}
    return float(entry.target(**wanted))
