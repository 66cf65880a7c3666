"""The sounds of an explanation as they would be written, and what the classifier says of them."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from otoscope.audio import resample
from otoscope.classifiers import Classifier
from otoscope.core.records import Clip, Mask
from otoscope.domains import rendition_of
from otoscope.metrics.controls import energy_mask, random_mask

if TYPE_CHECKING:
    from otoscope.studies.recipe import StudyRecipe
    from otoscope.studies.worker import Found, Group

AT_ONCE = 16
CONTROLS = ("random", "energy")


class Heard:
    """Kept and removed sounds of one clip under each mask, and their probabilities.

    Parameters
    ----------
    kept, removed : ndarray (mask, time), float32
        At the clip's own rate.
    p_kept, p_removed : ndarray (mask, class)
    """

    def __init__(self, kept: np.ndarray, removed: np.ndarray, p_kept: np.ndarray, p_removed: np.ndarray):
        self.kept, self.removed, self.p_kept, self.p_removed = kept, removed, p_kept, p_removed


def hear(
    recipe: StudyRecipe, found: Found, i: int, masks: Sequence[Mask], group: Group, tick: Callable[[int], object]
) -> Heard | None:
    """All sounds of one clip, rendered at its own rate in float32, as files hold them; None where they are not asked for."""
    if not recipe.measures.heard:
        return None
    clip = group.clips[i].sound
    kept = render_masks(found, i, masks, clip)
    removed = clip.samples - kept
    p = probabilities_of(np.concatenate([kept, removed]), clip.sample_rate, group.classifier, recipe.batch_size)
    tick(2 * len(masks))
    return Heard(kept, removed, p[: len(masks)], p[len(masks) :])


def control_scores(
    recipe: StudyRecipe, found: Found, i: int, masks: Sequence[Mask], group: Group, tick: Callable[[int], object]
) -> dict[str, np.ndarray]:
    """Probabilities of the target, as heard, under a random mask and under the cells with the most energy, ``(mask,)`` each, of
    the same area as each mask; nothing where they are not asked for.
    """
    if not recipe.measures.controls:
        return {}
    clip, target = group.clips[i].sound, int(group.targets[i])
    energy = found.scored.analysis.amplitude()[i].square().cpu().numpy()
    seed = zlib.crc32(f"{recipe.seed}:{group.clips[i].name}".encode())
    controls = {
        "random": [random_mask(m.values, seed) for m in masks],
        "energy": [energy_mask(m.values, energy) for m in masks],
    }
    out: dict[str, np.ndarray] = {}
    for name, values in controls.items():
        made = [Mask(v.astype(np.float32), m.grid, name) for v, m in zip(values, masks, strict=True)]
        kept = render_masks(found, i, made, clip)
        p = probabilities_of(
            np.concatenate([kept, clip.samples - kept]), clip.sample_rate, group.classifier, recipe.batch_size
        )
        tick(2 * len(masks))
        out |= {f"{name}_heard_kept": p[: len(masks), target], f"{name}_heard_removed": p[len(masks) :, target]}
    return out


def render_masks(found: Found, i: int, masks: Sequence[Mask], clip: Clip) -> np.ndarray:
    """The kept sound of a clip under each mask, ``(mask, time)``."""
    rendition = rendition_of(found.scored.analysis, i)
    parts = []
    for start in range(0, len(masks), AT_ONCE):
        values = np.stack([m.values for m in masks[start : start + AT_ONCE]])
        parts.append(rendition.clips(clip, values, 0, clip.frames)[:, 0])
    return np.concatenate(parts)


def probabilities_of(sounds: np.ndarray, sample_rate: int, classifier: Classifier, batch_size: int) -> np.ndarray:
    """Probabilities ``(sound, class)`` of mono sounds ``(sound, time)`` at any rate."""
    there = resample(sounds, sample_rate, classifier.sample_rate)
    with torch.no_grad():
        parts = torch.from_numpy(np.ascontiguousarray(there)).to(classifier.device).split(batch_size)
        return torch.cat([classifier.probabilities(classifier(part)) for part in parts]).cpu().numpy()
