"""All metrics of one explanation."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from otoscope.core import registry
from otoscope.core.errors import UnknownNameError
from otoscope.core.records import Scores

HEARD, TRUTH = "heard_", "truth_"
SHARE = re.compile(r"^(ff_top)_\d+(?:_\d+)?(_probability)?$")
Settings = Mapping[str, Mapping[str, Any]]


def measure(
    scores: Scores, heard: Scores | None, mask: np.ndarray, target: int, settings: Settings | None = None
) -> dict[str, float]:
    """Every registered metric of masks and of scores, the latter also as ``heard_*`` from the written sound.

    Parameters
    ----------
    scores : Scores
        Of the masked clip in the domain.
    heard : Scores, optional
        Of the files as written; its ``original`` is that of the original file.
    mask : ndarray (freq, frame)
        Mask values in [0, 1].
    target : int
        Index of the explained class.
    settings : mapping of str to mapping, optional
        Metric -> its settings where they differ from their defaults, such as ``{"average_increase": {"margin": 0}}``.

    Returns
    -------
    dict
        Name -> value; NaN where a metric is undefined.

    Raises
    ------
    UnknownNameError, ParameterError
        For settings of an unknown metric, or an unknown setting.

    Examples
    --------
    >>> scores = Scores(np.array([0.25, 0.75]), np.array([0.5, 0.5]), np.array([0.75, 0.25]))
    >>> measure(scores, None, np.array([[1.0, 0.0]]), target=1)["faithfulness"]
    0.5
    """
    out: dict[str, float] = {}
    for entry, chosen in metrics_with_settings(("mask", "scores"), settings, "metric of masks or scores"):
        if entry.facts["of"] == "mask":
            out[entry.name] = float(entry.target(mask, **chosen))
            continue
        for prefix, given in (("", scores), (HEARD, heard)):
            if given is not None:
                out[prefix + entry.name] = _scored(entry, given, target, chosen)
    return out


def metrics_with_settings(
    of: tuple[str, ...], settings: Settings | None, what: str
) -> list[tuple[registry.Entry, dict[str, Any]]]:
    """The registered metrics ``of`` some things with their settings; ``what`` names them in the error for an unknown one."""
    found = {e.name: e for e in registry.entries("metric") if e.facts["of"] in of}
    for name in settings or {}:
        if name not in found:
            raise UnknownNameError(what, name, found)
    return [(entry, entry.settings((settings or {}).get(name))) for name, entry in found.items()]


def _scored(entry: registry.Entry, scores: Scores, target: int, settings: Mapping[str, Any]) -> float:
    """One metric of scores: of all classes' if it declares ``classes=True``, else of the target's."""
    taken = inspect.signature(entry.target).parameters
    wanted = {name: getattr(scores, name) for name in ("original", "kept", "removed") if name in taken}
    if not entry.facts.get("classes", False):
        wanted = {name: float(values[target]) for name, values in wanted.items()}
    elif "target" in taken:
        wanted["target"] = target
    return float(entry.target(**wanted, **settings))


def metric_of(column: str) -> registry.Entry | None:
    """The registered metric of a column of results.

    Parameters
    ----------
    column : str
        A metric's name, with ``heard_`` or ``truth_`` in front, or ``ff_top_X`` for a share of X %.

    Returns
    -------
    Entry or None
        None for a column that holds no metric.

    Examples
    --------
    >>> metric_of("heard_average_drop").facts["higher_is_better"]
    False
    >>> metric_of("ff_top_20").name
    'ff_top'
    """
    known = {e.name: e for e in registry.entries("metric")}
    share = SHARE.match(column)
    if share:
        return known[share[1] + (share[2] or "")]
    for prefix, of in ((TRUTH, "truth"), (HEARD, "scores")):
        if column.startswith(prefix):
            found = known.get(column.removeprefix(prefix))
            return found if found is not None and found.facts["of"] == of else None
    return known.get(column)
