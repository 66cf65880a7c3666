"""Every number of one row: metrics of masks and scores, in the domain and as heard, curves, and what the truth says."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from otoscope.attribution import FACTS
from otoscope.core import registry
from otoscope.core.records import Mask, Scores
from otoscope.metrics import measure
from otoscope.metrics.curves import curves as draw_curves
from otoscope.metrics.curves import top_name
from otoscope.metrics.ground_truth import chance_levels, measure_truth
from otoscope.studies.heard import CONTROLS, Heard
from otoscope.studies.recipe import StudyRecipe

if TYPE_CHECKING:
    from otoscope.studies.worker import Found, Group

EVEN = {"even_as_zero": True}


def columns(recipe: StudyRecipe) -> list[str]:
    """Names of all numbers of a row, in order."""
    found = [f"method_{name}" for name in FACTS]
    for entry in registry.entries("metric"):
        if entry.facts["of"] in ("mask", "scores"):
            found.append(entry.name)
        if entry.facts["of"] == "scores":
            found.append(f"heard_{entry.name}")
    if recipe.measures.curve_steps:
        found += ["deletion_auc", "insertion_auc"]
    for share in recipe.measures.top:
        found += [top_name(share), f"{top_name(share)}_probability"]
    if recipe.measures.controls:
        found += [f"{control}_heard_{part}" for control in CONTROLS for part in ("kept", "removed")]
    if recipe.measures.truth:
        found += [f"chance_{e.name}" for e in registry.entries("metric") if e.facts["of"] == "truth"]
        found += [f"truth_{e.name}" for e in registry.entries("metric") if e.facts["of"] == "truth"]
    return found


def all_numbers(
    recipe: StudyRecipe, scores: Scores, sounds: Heard | None, m: int, mask: Mask, found: Found, i: int, target: int
) -> dict[str, float]:
    """The numbers of the explanation of clip ``i`` by its mask ``m``; what nobody can say is not in it."""
    heard = None if sounds is None else Scores(scores.original, sounds.p_kept[m], sounds.p_removed[m])
    out = {part: float(getattr(scores, part)[target]) for part in ("original", "kept", "removed")}
    if heard is not None:
        out |= {f"heard_{part}": float(getattr(heard, part)[target]) for part in ("original", "kept", "removed")}
    out |= _quirky(recipe, measure(scores, heard, mask.values, target, _settings(recipe)))
    truth = found.truths[i]
    if truth is not None and recipe.measures.truth:
        attribution = found.attributions[i]
        kept = None if sounds is None else sounds.kept[m]
        told = measure_truth(truth, attribution.grid, attribution.values, mask.values, kept)
        out |= {f"truth_{name}": value for name, value in told.items()}
        out |= {f"chance_{name}": value for name, value in chance_levels(truth, attribution.grid).items()}
    return out


def _settings(recipe: StudyRecipe) -> dict[str, dict[str, Any]]:
    """Published quirks of metrics that their own settings bring back."""
    if "constant_masks" not in recipe.compat:
        return {}
    return {"sparseness": EVEN, "complexity": EVEN}


def _quirky(recipe: StudyRecipe, numbers: dict[str, float]) -> dict[str, float]:
    if "double_softmax" in recipe.compat:
        for prefix in ("", "heard_"):
            if f"{prefix}average_drop" in numbers:
                numbers[f"{prefix}average_drop"] = numbers[f"{prefix}average_drop_speechbrain"]
    return numbers


def curves(recipe: StudyRecipe, found: Found, group: Group, tick: Callable[[int], object]) -> dict[str, list[float]]:
    """Numbers of deletion and insertion curves, one a clip; they belong to the attribution, not to a mask."""
    steps, tops = recipe.measures.curve_steps, recipe.measures.top
    if not steps and not tops:
        return {}
    values = np.stack([a.values for a in found.attributions])
    drawn = draw_curves(found.scored, values, group.targets, steps, tops, recipe.batch_size, tick).measures()
    rows = [{k: v for k, v in row.items() if not math.isnan(v)} for row in drawn]
    return {name: [row.get(name, math.nan) for row in rows] for name in {k for row in rows for k in row}}
