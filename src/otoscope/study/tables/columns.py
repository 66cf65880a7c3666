"""Which columns of the results are metrics, what is known of them, and what the named sets of them are."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from otoscope.core import registry
from otoscope.core.errors import OtoscopeError, UnknownNameError
from otoscope.study.tables.read import Rows

SEVEN = (
    "faithfulness", "average_increase", "average_drop", "average_gain", "input_fidelity", "sparseness", "complexity",
)  # fmt: skip
TRUTHS = (
    "truth_si_sdr_improvement_db", "truth_f1", "truth_relevance_mass", "truth_pointing_game", "truth_roc_auc", "truth_time_iou",
)  # fmt: skip
SHAPES = ("sparseness", "complexity", "mask_size")
NO_METRICS = (
    "seed",
    "target",
    "fold",
    "snr_db",
    "original",
    "heard_original",
    "seconds",
    "attribution_seconds",
    "passes",
)
KNOWN: dict[str, tuple[str, str, bool, str]] = {
    "kept": ("kept", "", True, "Probability of the target on the kept part."),
    "removed": ("removed", "", False, "Probability of the target on the removed part."),
    "difference": ("kept−rem.", "", True, "Probability of the target on the kept part minus that on the removed part."),
    "correct": ("right", "", True, "Share of clips whose label is the classifier's first."),
}
"""Columns that no registry names: short, unit, higher is better, meaning."""


@dataclass(frozen=True)
class Metric:
    """A numeric column of the results.

    Parameters
    ----------
    name : str
        The column.
    short, title, unit, means : str
        For heads of tables; what a number says, in one line.
    higher_is_better : bool or None
        None where nobody knows: then nothing is marked.
    heard, truth : bool
        Measured on the sound as it is written; against what is true of the clip.
    """

    name: str
    short: str
    title: str
    unit: str
    higher_is_better: bool | None
    means: str
    heard: bool
    truth: bool


SETS: dict[str, Callable[[Metric], bool]] = {
    "all": lambda m: True,
    "domain": lambda m: not m.heard and not m.truth,
    "heard": lambda m: m.heard,
    "truth": lambda m: m.truth,
    "audiointerp": lambda m: m.name in SEVEN,
}


def metrics_of(rows: Rows) -> dict[str, Metric]:
    """Every metric of the results by name, in the order of the columns; differences of kept and removed come first."""
    about = rows.about.get("metrics")
    stated = _stated(about)
    names = [f"{p}difference" for p in ("", "heard_") if f"{p}difference" not in rows.columns and _both(rows, p)]
    names += [name for name in rows.measured() if name not in NO_METRICS]
    return {name: _metric(name, stated) for name in names}


def values_of(rows: Rows, name: str) -> np.ndarray:
    """A metric of every row, ``(row,)``; differences are made of the probabilities of kept and removed."""
    if name not in rows.columns and name.endswith("difference"):
        prefix = name.removesuffix("difference")
        return rows.numbers(f"{prefix}kept") - rows.numbers(f"{prefix}removed")
    return rows.numbers(name)


def choose_metrics(rows: Rows, wanted: Sequence[str]) -> tuple[Metric, ...]:
    """The metrics that are asked for, in that order: names, or the sets all, domain, heard, truth and audiointerp.

    Parameters
    ----------
    rows : Rows
    wanted : sequence of str
        Empty for what a leaderboard shows: the main ones of truth, then the scores of the written sound (of the domain,
        where nothing was written), then the shape of the mask.

    Raises
    ------
    UnknownNameError
        For what is neither, with the nearest names.
    """
    known = {
        name: m for name, m in metrics_of(rows).items() if np.isfinite(values_of(rows, name)).any() or name in wanted
    }
    if not known:
        raise OtoscopeError("the results hold no metric: every numeric column is empty; did all rows fail?")
    if not wanted:
        return tuple(known[name] for name in _shown(known))
    chosen: dict[str, Metric] = {}
    for word in wanted:
        if word in SETS:
            chosen |= {name: m for name, m in known.items() if SETS[word](m)}
        elif word in known:
            chosen[word] = known[word]
        else:
            raise UnknownNameError("metric of the results", word, [*known, *SETS])
    if not chosen:
        raise OtoscopeError(f"the results hold no metric of {', '.join(wanted)}; they hold {', '.join(known)}")
    return tuple(chosen.values())


def _both(rows: Rows, prefix: str) -> bool:
    return all(f"{prefix}{part}" in rows.columns and rows.numeric(f"{prefix}{part}") for part in ("kept", "removed"))


def _shown(known: Mapping[str, Metric]) -> list[str]:
    prefix = "heard_" if any(m.heard for m in known.values()) else ""
    scores = [f"{prefix}{name}" for name in ("difference", *SEVEN) if name not in SHAPES]
    truths = [name for name in TRUTHS if name in known] or [name for name, m in known.items() if m.truth]
    wanted = [*truths, *scores, *SHAPES]
    return [name for name in wanted if name in known] or list(known)


def _stated(about: Any) -> dict[str, dict[str, Any]]:
    """What the study itself said of its metrics: a table by name, or a list with names."""
    if isinstance(about, Mapping):
        return {str(k): dict(v) if isinstance(v, Mapping) else {"higher_is_better": v} for k, v in about.items()}
    if isinstance(about, Sequence) and not isinstance(about, str):
        return {str(e["name"]): dict(e) for e in about if isinstance(e, Mapping) and "name" in e}
    return {}


def _metric(name: str, stated: Mapping[str, Mapping[str, Any]]) -> Metric:
    heard, truth = name.startswith("heard_"), name.startswith(("truth_", "heard_truth_"))
    bare = name.removeprefix("heard_")
    facts = dict(_facts(bare) or _facts(bare.removeprefix("truth_").removeprefix("heard_")))
    facts |= {k: v for k, v in {**stated.get(bare, {}), **stated.get(name, {})}.items() if v is not None and v != ""}
    title = str(facts.get("title") or bare.removeprefix("truth_").replace("_", " ")).capitalize()
    better = facts.get("higher_is_better")
    return Metric(
        name=name,
        short=str(facts.get("short") or bare.removeprefix("truth_").replace("_", " ")),
        title=title,
        unit=str(facts.get("unit") or ""),
        higher_is_better=better if isinstance(better, bool) else None,
        means=str(facts.get("means") or ""),
        heard=heard,
        truth=truth,
    )


def _facts(name: str) -> dict[str, Any]:
    """What is known of a metric without the study: from the registry, else from the list above."""
    known = {entry.name: entry.facts for entry in registry.entries("metric")}
    if name in known:
        return dict(known[name])
    top = re.fullmatch(r"(ff_top)_(\d+(?:\.\d+)?)((?:_\w+)?)", name)
    if top and top[1] + top[3] in known:
        facts = known[top[1] + top[3]]
        return {**facts, "short": f"{facts['short']} {top[2]} %"}
    if name in KNOWN:
        return dict(zip(("short", "unit", "higher_is_better", "means"), KNOWN[name], strict=True))
    return {}
