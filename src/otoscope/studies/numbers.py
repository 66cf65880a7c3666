"""Every number of one row: metrics of masks and scores, in the domain and as heard, curves, and ground truth."""

from __future__ import annotations

import math
import zlib

import numpy as np

from otoscope.attribution import FACTS
from otoscope.core import registry
from otoscope.core.records import Mask, Scores
from otoscope.explanation.batch import HeardSounds
from otoscope.explanation.pipeline import Pipeline
from otoscope.metrics import measure
from otoscope.metrics.controls import energy_mask, random_mask
from otoscope.metrics.curves import curves as draw_curves
from otoscope.metrics.curves import top_name
from otoscope.metrics.ground_truth import GroundTruth, chance_levels, measure_truth
from otoscope.studies.recipe import StudyRecipe

CONTROLS = ("random", "energy")
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


def row_numbers(
    recipe: StudyRecipe, pipeline: Pipeline, i: int, m: int, sounds: HeardSounds | None, truth: GroundTruth | None
) -> dict[str, float]:
    """The numbers of clip ``i`` under mask ``m``; what is undefined is left out."""
    target, original, mask = pipeline.clips.targets[i].index, pipeline.clips.original[i], pipeline.masks[i][m]
    scores = Scores(original, *pipeline.scores[i, m])
    heard = None if sounds is None else Scores(original, sounds.p_kept[m], sounds.p_removed[m])
    out = scores.of(target)
    if heard is not None:
        out |= {f"heard_{part}": p for part, p in heard.of(target).items()}
    settings = {"sparseness": EVEN, "complexity": EVEN} if "constant_masks" in recipe.compat else None
    out |= _quirky(recipe, measure(scores, heard, mask.values, target, settings))
    attribution = pipeline.attributions[i]
    if truth is not None and recipe.measures.truth:
        kept = None if sounds is None else sounds.kept[m, 0]
        found = measure_truth(truth, attribution.grid, attribution.values, mask.values, kept)
        out |= {f"truth_{name}": value for name, value in found.items()}
        out |= {f"chance_{name}": value for name, value in chance_levels(truth, attribution.grid).items()}
    return out | {f"method_{name}": value for name, value in attribution.facts.items()}


def control_numbers(recipe: StudyRecipe, pipeline: Pipeline, i: int, name: str) -> dict[str, np.ndarray]:
    """Probabilities of the target of clip ``i``, as heard, under control masks of the same area as each mask, ``(mask,)``.

    For random cells, which depend on the clip's name and the study's seed, and for the cells with the most energy; empty where the
    study has no controls.
    """
    if not recipe.measures.controls:
        return {}
    masks, target = pipeline.masks[i], pipeline.clips.targets[i].index
    energy = pipeline.scored.analysis.amplitude()[i].square().cpu().numpy()
    seed = zlib.crc32(f"{recipe.seed}:{name}".encode())
    controls = {
        "random": [random_mask(m.values, seed) for m in masks],
        "energy": [energy_mask(m.values, energy) for m in masks],
    }
    out: dict[str, np.ndarray] = {}
    for control, values in controls.items():
        made = [Mask(v.astype(np.float32), m.grid, control) for v, m in zip(values, masks, strict=True)]
        sounds = pipeline.heard(i, made)
        out[f"{control}_heard_kept"] = sounds.p_kept[:, target]
        out[f"{control}_heard_removed"] = sounds.p_removed[:, target]
    return out


def _quirky(recipe: StudyRecipe, numbers: dict[str, float]) -> dict[str, float]:
    if "double_softmax" in recipe.compat:
        for prefix in ("", "heard_"):
            if f"{prefix}average_drop" in numbers:
                numbers[f"{prefix}average_drop"] = numbers[f"{prefix}average_drop_speechbrain"]
    return numbers


def curve_numbers(recipe: StudyRecipe, pipeline: Pipeline) -> list[dict[str, float]]:
    """Numbers of deletion and insertion curves, for each clip; they belong to an attribution, not to a mask.

    A method that produces sound ranks no cells, so it has none.
    """
    steps, tops = recipe.measures.curve_steps, recipe.measures.top
    if pipeline.generated is not None or not (steps or tops):
        return [{} for _ in pipeline.clips.sounds]
    values = np.stack([a.values for a in pipeline.attributions])
    targets = np.array([t.index for t in pipeline.clips.targets])
    drawn = draw_curves(pipeline.scored, values, targets, steps, tops, recipe.batch_size, pipeline.progress).measures()
    return [{k: v for k, v in row.items() if not math.isnan(v)} for row in drawn]
