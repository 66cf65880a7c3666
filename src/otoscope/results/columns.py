"""Which columns of the results are metrics, what is known of them, and what the named sets of them are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from otoscope.core.errors import OtoscopeError, UnknownNameError
from otoscope.metrics.measure import metric_of
from otoscope.results.read import Rows

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
TRUTH, CHANCE, ABOVE = "truth_", "chance_", "_above_chance"
OF_METHOD = "method_"  # what a method found out on the way
SOUND = "si_sdr_improvement_db"
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

    @property
    def across(self) -> bool:
        """Whether domains can be compared by it: it is of a sound, or less what chance gets; the others hang on the grid."""
        if self.truth:
            return self.name == f"{TRUTH}{SOUND}" or self.name.endswith(ABOVE)
        return self.heard or self.name == "correct"


SETS: dict[str, Callable[[Metric], bool]] = {
    "all": lambda m: not m.name.startswith(OF_METHOD),
    "domain": lambda m: not m.heard and not m.truth and not m.name.startswith(OF_METHOD),
    "heard": lambda m: m.heard,
    "truth": lambda m: m.truth,
    "audiointerp": lambda m: m.name in SEVEN,
}


def metrics_of(rows: Rows) -> dict[str, Metric]:
    """Every metric of the results by name, in the order of the columns; differences of kept and removed come first.

    Metrics of truth whose level by chance is known come once more, less that level, as ``NAME_above_chance``.
    """
    stated = _stated(rows.about.get("metrics"))
    names = [f"{p}difference" for p in ("", "heard_") if f"{p}difference" not in rows.columns and _both(rows, p)]
    for name in rows.measured():
        if name not in NO_METRICS and not name.startswith(CHANCE):
            names.append(name)
            if name.startswith(TRUTH) and name != f"{TRUTH}{SOUND}" and chance_of(rows, name) is not None:
                names.append(name + ABOVE)
    return {name: _metric(name, stated) for name in names}


def values_of(rows: Rows, name: str) -> np.ndarray:
    """A metric of every row, ``(row,)``; differences are made of the probabilities of kept and removed."""
    if name not in rows.columns and name.endswith("difference"):
        prefix = name.removesuffix("difference")
        return rows.numbers(f"{prefix}kept") - rows.numbers(f"{prefix}removed")
    if name not in rows.columns and name.endswith(ABOVE):
        chance = chance_of(rows, name)
        if chance is not None:
            return rows.numbers(name.removesuffix(ABOVE)) - chance
    return rows.numbers(name)


def chance_of(rows: Rows, name: str) -> np.ndarray | None:
    """What chance gets by a metric of truth, ``(row,)``, NaN where nobody knows; None where the results do not say."""
    column = CHANCE + name.removeprefix(TRUTH).removesuffix(ABOVE)
    told = name.startswith(TRUTH) and column in rows.columns and rows.numeric(column)
    return rows.numbers(column) if told else None


def domain_name(domain: str) -> str:
    """The name of a domain without its settings: within it, metrics that hang on the grid may be compared."""
    return domain.partition(",")[0].strip()


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
        return tuple(known[name] for name in _shown(known, _instead(rows, known)))
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


def _instead(rows: Rows, known: Mapping[str, Metric]) -> dict[str, str]:
    """With several domains: metrics of truth that stand less chance, where it is known wherever they are."""
    if len({domain_name(domain) for domain in rows.words("domain").names}) < 2:
        return {}
    above = {name.removesuffix(ABOVE): name for name in known if name.endswith(ABOVE)}
    told = {name: np.isfinite(values_of(rows, name)) for pair in above.items() for name in pair}
    return {plain: less for plain, less in above.items() if (told[plain] == told[less]).all()}


def _shown(known: Mapping[str, Metric], instead: Mapping[str, str]) -> list[str]:
    prefix = "heard_" if any(m.heard for m in known.values()) else ""
    scores = [f"{prefix}{name}" for name in ("difference", *SEVEN) if name not in SHAPES]
    truths = [name for name in TRUTHS if name in known] or [
        name for name, m in known.items() if m.truth and not name.endswith(ABOVE)
    ]
    wanted = [*(instead.get(name, name) for name in truths), *scores, *SHAPES]
    return [name for name in wanted if name in known] or list(known)


def _stated(about: Any) -> dict[str, dict[str, Any]]:
    """What the study itself said of its metrics: a table by name, or a list with names."""
    if isinstance(about, Mapping):
        return {str(k): dict(v) if isinstance(v, Mapping) else {"higher_is_better": v} for k, v in about.items()}
    if isinstance(about, Sequence) and not isinstance(about, str):
        return {str(e["name"]): dict(e) for e in about if isinstance(e, Mapping) and "name" in e}
    return {}


def _metric(name: str, stated: Mapping[str, Mapping[str, Any]]) -> Metric:
    if name.endswith(ABOVE):
        plain = _metric(name.removesuffix(ABOVE), stated)
        said = f"{plain.means} Less what chance gets on the same grid." if plain.means else ""
        return replace(plain, name=name, short=f"{plain.short}−chance", title=f"{plain.title} above chance", means=said)
    heard, truth = name.startswith("heard_"), name.startswith(TRUTH)
    bare = name.removeprefix("heard_")
    facts = _facts(name)
    facts |= {k: v for k, v in {**stated.get(bare, {}), **stated.get(name, {})}.items() if v is not None and v != ""}
    title = str(facts.get("title") or bare.removeprefix(TRUTH).replace("_", " "))
    better = facts.get("higher_is_better")
    return Metric(
        name=name,
        short=str(facts.get("short") or bare.removeprefix(TRUTH).replace("_", " ")),
        title=title[:1].upper() + title[1:],
        unit=str(facts.get("unit") or ""),
        higher_is_better=better if isinstance(better, bool) else None,
        means=str(facts.get("means") or ""),
        heard=heard,
        truth=truth,
    )


def _facts(name: str) -> dict[str, Any]:
    """What is known of a metric without the study: from the registry, else from the list above."""
    found = metric_of(name)
    if found is not None:
        facts = dict(found.facts)
        if found.name.startswith("ff_top"):
            share = name.removeprefix("ff_top_").removesuffix("_probability").replace("_", ".")
            facts["short"] = f"{facts['short']} {share} %"
        return facts
    bare = name.removeprefix("heard_")
    if bare in KNOWN:
        return dict(zip(("short", "unit", "higher_is_better", "means"), KNOWN[bare], strict=True))
    return {}
