"""Masks that are searched for: the fewest cells, by rank, that hold the decision and without which it is lost.

The cells of an attribution are ranked; a share of them is kept, and the classifier scores both parts, as they are
heard. Two rounds of four shares, the second around what the first found, cost 16 passes for a clip.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from otoscope.core import registry
from otoscope.core.records import Attribution, Mask, Target
from otoscope.explanation.batch import ClipBatch, HeardSounds
from otoscope.masks import MaskSpec
from otoscope.masks.functions import topk

SHARES = (0.01, 0.04, 0.12, 0.35)  # of the cells, in the first round
AROUND = 4  # shares of the second
SEARCH_PASSES = 2 * (len(SHARES) + AROUND)  # for each clip and mask


class Searchable(Protocol):
    """What the search needs of a pipeline."""

    clips: ClipBatch

    @property
    def attributions(self) -> list[Attribution]:
        """Of each clip."""
        ...

    def apply(self, made: list[list[Mask]]) -> tuple[list[list[Mask]], np.ndarray]:
        """Scores in the domain."""
        ...

    def heard(self, i: int, masks: Sequence[Mask] | None = None) -> HeardSounds:
        """Scores as heard, of a clip in one window."""
        ...


def is_searched(spec: MaskSpec) -> bool:
    """Whether a mask is found with the classifier's answers; those that stand for a given mask or sound are not."""
    return spec.name in registry.names("mask") and bool(registry.get("mask", spec.name).facts["searched"])


def search_masks(pipeline: Searchable, specs: Sequence[MaskSpec]) -> list[dict[str, Mask]]:
    """The masks of searched specs for each clip, by spec.

    Parameters
    ----------
    pipeline : Pipeline
        With its attributions.
    specs : sequence of MaskSpec
        Searched ones; each is searched for by itself from the second round on.
    """
    found: list[dict[str, Mask]] = [{} for _ in pipeline.attributions]
    first = _Tried(pipeline)
    first.add([SHARES for _ in found])
    for spec in specs:
        tried = first.copy()
        tried.add([tried.next_shares(i, spec) for i in range(len(found))])
        for i, masks in enumerate(found):
            masks[str(spec)] = ranked(pipeline.attributions[i], tried.choice(i, spec), str(spec))
    return found


def ranked(attribution: Attribution, share: float, spec: str) -> Mask:
    """The share of cells with the highest values; cells of one value above 0 (a superpixel) are kept together."""
    values = attribution.values
    kept = topk(values, share)
    lowest = float(values[kept > 0].min()) if kept.any() else np.inf
    if lowest > 0:
        kept = (values >= lowest).astype(values.dtype)
    return Mask(kept.astype(np.float32), attribution.grid, spec)


class _Tried:
    """Shares that were tried on each clip, with the target's probability of the kept and of the removed part."""

    def __init__(self, pipeline: Searchable):
        self.pipeline = pipeline
        self.rows: list[list[tuple[float, float, float]]] = [[] for _ in pipeline.attributions]

    def copy(self) -> _Tried:
        other = _Tried(self.pipeline)
        other.rows = [list(rows) for rows in self.rows]
        return other

    def add(self, shares: Sequence[Sequence[float]]) -> None:
        """Try shares on each clip, as many on one as on the other."""
        pipeline = self.pipeline
        masks = [[ranked(a, s, str(s)) for s in some] for a, some in zip(pipeline.attributions, shares, strict=True)]
        for i, (target, kept, removed) in enumerate(self._scores(masks)):
            p = np.stack([kept[:, target.index], removed[:, target.index]], 1)
            self.rows[i] = sorted(
                [*self.rows[i], *((s, float(k), float(r)) for s, (k, r) in zip(shares[i], p, strict=True))]
            )

    def _scores(self, masks: list[list[Mask]]) -> list[tuple[Target, np.ndarray, np.ndarray]]:
        clips = self.pipeline.clips
        if clips.in_one_window:
            heard = [self.pipeline.heard(i, some) for i, some in enumerate(masks)]
            return [(t, h.p_kept, h.p_removed) for t, h in zip(clips.targets, heard, strict=True)]
        _, scores = self.pipeline.apply(masks)
        return [(t, p[:, 0], p[:, 1]) for t, p in zip(clips.targets, scores, strict=True)]

    def _judged(self, i: int, spec: MaskSpec) -> tuple[np.ndarray, np.ndarray]:
        """Whether each share does what is asked, and how well it does."""
        original = float(self.pipeline.clips.original[i][self.pipeline.clips.targets[i].index])
        _, kept, removed = np.array(self.rows[i]).T
        holds = kept >= spec.settings.get("kept", 0.0) * original
        loses = removed <= spec.settings.get("removed", 1.0) * original
        good = {"sufficient": kept, "necessary": -removed}.get(spec.name, kept - removed)
        return holds & loses, good

    def next_shares(self, i: int, spec: MaskSpec) -> list[float]:
        """Shares between the smallest that does what is asked and the next smaller one; without one, around the best."""
        does, good = self._judged(i, spec)
        shares = np.array([row[0] for row in self.rows[i]])
        k = int(np.argmax(does)) if does.any() else int(np.argmax(good))
        low = shares[k - 1] if k else shares[k] / 4
        high = shares[k] if does.any() else shares[k + 1] if k + 1 < len(shares) else 1.0
        between = np.geomspace(low, high, AROUND + 2)[1:-1]
        return [float(s) for s in between]

    def choice(self, i: int, spec: MaskSpec) -> float:
        """The smallest share that does what is asked, else the best."""
        does, good = self._judged(i, spec)
        return self.rows[i][int(np.argmax(does)) if does.any() else int(np.argmax(good))][0]
