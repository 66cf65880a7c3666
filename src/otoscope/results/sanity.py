"""Whether explanations depend on what they should: the study's second table, in words and numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from otoscope.core import registry
from otoscope.results.table import Table

NUMBERS = {
    "randomisation_similarity": ("random net", "randomisation_similarity"),
    "seed_agreement": ("seeds agree", "seed_agreement"),
    "seed_spread": ("seed spread", "seed_spread"),
    "noise_sensitivity": ("noise", "sensitivity_mean"),
    "shift_sensitivity": ("shift", "sensitivity_mean"),
}
"""Columns of ``sanity.json``: how they are headed, and the registered metric that says which way is better."""
ARROWS = {True: " ↑", False: " ↓", None: ""}
SAID = (
    "How alike explanations are when the network's parameters are made random (rank correlation; near 0 is right), and how much "
    "they change with the seed, with a little noise and with a shift in time."
)
UNCHANGED, CHANGED = (
    "unchanged by a random network: it does not tell what this network learnt",
    "changes with the network",
)


def sanity_heads() -> list[str]:
    """The heads of the second table."""
    better = {e.name: e.facts.get("higher_is_better") for e in registry.entries("metric")}
    shown = [f"{short}{ARROWS[better.get(name)]}" for short, name in NUMBERS.values()]
    return ["classifier", "method", "domain", "clips", *shown, "what it says"]


def sanity_rows(table: Table) -> list[list[Any]]:
    """One row a classifier, method and domain: words, numbers (NaN where nothing can be said), and what they say."""
    titles = {}
    listed = table.about.get("methods")
    for entry in listed if isinstance(listed, list) else ():
        if isinstance(entry, Mapping) and entry.get("title") and entry["title"] != entry.get("name"):
            titles[entry.get("method"), entry.get("domain")] = str(entry["title"])
    out = []
    for row in table.sanity:
        words = [str(row.get(name) or "") for name in ("classifier", "method", "domain")]
        words[1] = titles.get((row.get("method"), row.get("domain")), words[1])
        numbers = [_number(row.get(name)) for name in NUMBERS]
        out.append([*words, row.get("clips") or 0, *numbers, verdict(row)])
    return out


def verdict(row: Mapping[str, Any]) -> str:
    """What a row says, in words."""
    if row.get("error"):
        return f"failed: {row['error']}"
    if not math.isfinite(_number(row.get("randomisation_similarity"))):
        return "not asked"
    return UNCHANGED if row.get("unchanged") else CHANGED


def _number(value: Any) -> float:
    known = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if known else math.nan
