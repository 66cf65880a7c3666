"""Metrics of results: their columns, titles, units and directions, and named sets of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from otoscope.core.errors import OtoscopeError, UnknownNameError
from otoscope.metrics.measure import metric_of
from otoscope.results.read import Results

SEVEN = (
    "faithfulness", "average_increase", "average_drop", "average_gain", "input_fidelity", "sparseness", "complexity",
)  # fmt: skip
TRUTHS = (
    "truth_si_sdr_improvement_db", "truth_f1", "truth_relevance_mass", "truth_pointing_game", "truth_roc_auc", "truth_time_iou",
)  # fmt: skip
SHAPES = ("sparseness", "complexity", "mask_size")
NO_METRICS = (
    "seed", "target", "fold", "snr_db", "original", "heard_original", "seconds", "attribution_seconds", "passes",
)  # fmt: skip
TRUTH, CHANCE, ABOVE = "truth_", "chance_", "_above_chance"
OF_METHOD = "method_"  # facts that a method reports
SOUND = "si_sdr_improvement_db"
KNOWN: dict[str, tuple[str, str, bool, str]] = {
    "kept": ("kept", "", True, "Probability of the target on the kept part."),
    "removed": ("removed", "", False, "Probability of the target on the removed part."),
    "difference": ("kept−rem.", "", True, "Probability of the target on the kept part minus that on the removed part."),
    "correct": ("right", "", True, "Share of clips whose label is the classifier's first."),
}
"""Columns outside the registry: short name, unit, whether higher is better, meaning."""


@dataclass(frozen=True)
class Metric:
    """A numeric column of the results.

    Parameters
    ----------
    name : str
        The column.
    short, title, unit, means : str
        Column head, full title, unit, and the meaning in one line.
    higher_is_better : bool or None
        None if neither direction is better: then nothing is marked.
    heard, truth : bool
        Whether it is measured on the written sound, and whether it compares with the ground truth.
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
        """Whether it is comparable across domains: it rates a sound or is corrected for chance; the others depend on the grid."""
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


def metrics_of(results: Results) -> dict[str, Metric]:
    """Every metric of the results by name, in the order of the columns; differences of kept and removed come first.

    Ground-truth metrics with a known chance level have a second entry, ``NAME_above_chance``: the value minus that level.
    """
    stated = _stated(results.about.get("metrics"))
    names = [f"{p}difference" for p in ("", "heard_") if f"{p}difference" not in results.columns and _both(results, p)]
    for name in results.measured():
        if name not in NO_METRICS and not name.startswith(CHANCE):
            names.append(name)
            if name.startswith(TRUTH) and name != f"{TRUTH}{SOUND}" and chance_of(results, name) is not None:
                names.append(name + ABOVE)
    return {name: _metric(name, stated) for name in names}


def values_of(results: Results, name: str) -> np.ndarray:
    """A metric of every row, ``(row,)``; differences are computed from the probabilities of kept and removed."""
    if name not in results.columns and name.endswith("difference"):
        prefix = name.removesuffix("difference")
        return results.numbers(f"{prefix}kept") - results.numbers(f"{prefix}removed")
    if name not in results.columns and name.endswith(ABOVE):
        chance = chance_of(results, name)
        if chance is not None:
            return results.numbers(name.removesuffix(ABOVE)) - chance
    return results.numbers(name)


def chance_of(results: Results, name: str) -> np.ndarray | None:
    """Chance level of a ground-truth metric, ``(row,)`` with NaN if unknown; None if the results do not hold it."""
    column = CHANCE + name.removeprefix(TRUTH).removesuffix(ABOVE)
    known = name.startswith(TRUTH) and column in results.columns and results.numeric(column)
    return results.numbers(column) if known else None


def domain_name(domain: str) -> str:
    """The name of a domain without its settings; within it, metrics that depend on the grid are comparable."""
    return domain.partition(",")[0].strip()


def choose_metrics(results: Results, wanted: Sequence[str]) -> tuple[Metric, ...]:
    """The requested metrics in order: names, or the sets all, domain, heard, truth and audiointerp.

    If none is ``wanted``, the defaults of a leaderboard: the main ground-truth metrics, the scores of the written sound (of the
    domain if no sound was written), the shape of the mask.
    """
    known = {
        name: m
        for name, m in metrics_of(results).items()
        if np.isfinite(values_of(results, name)).any() or name in wanted
    }
    if not known:
        raise OtoscopeError("the results hold no metric: every numeric column is empty; check whether all rows failed")
    if not wanted:
        return tuple(known[name] for name in _shown(known, _instead(results, known)))
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


def _both(results: Results, prefix: str) -> bool:
    return all(
        f"{prefix}{part}" in results.columns and results.numeric(f"{prefix}{part}") for part in ("kept", "removed")
    )


def _instead(results: Results, known: Mapping[str, Metric]) -> dict[str, str]:
    """With several domains: the chance-corrected variant of each ground-truth metric whose chance level is always known."""
    if len({domain_name(domain) for domain in results.labels("domain").names}) < 2:
        return {}
    above = {name.removesuffix(ABOVE): name for name in known if name.endswith(ABOVE)}
    told = {name: np.isfinite(values_of(results, name)) for pair in above.items() for name in pair}
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
    """Facts about metrics in ``study.json``: a mapping by name, or a list of mappings with names."""
    if isinstance(about, Mapping):
        return {str(k): dict(v) if isinstance(v, Mapping) else {"higher_is_better": v} for k, v in about.items()}
    if isinstance(about, Sequence) and not isinstance(about, str):
        return {str(e["name"]): dict(e) for e in about if isinstance(e, Mapping) and "name" in e}
    return {}


def _metric(name: str, stated: Mapping[str, Mapping[str, Any]]) -> Metric:
    if name.endswith(ABOVE):
        plain = _metric(name.removesuffix(ABOVE), stated)
        means = f"{plain.means} Minus the chance level on the same grid." if plain.means else ""
        return replace(
            plain, name=name, short=f"{plain.short}−chance", title=f"{plain.title} above chance", means=means
        )
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
    """Facts about a metric from the registry, else from `KNOWN`."""
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
