"""The work on one chunk: attributions once, all masks of them in batches, every number of each; failures become rows."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from otoscope.attribution import Problem, Result, as_attributions, attribute
from otoscope.audio import Span
from otoscope.classifiers import Classifier, Inspected
from otoscope.core import registry
from otoscope.core.errors import OtoscopeError
from otoscope.core.records import Attribution, Mask, Scores
from otoscope.domains.base import bound, grid_of, pool_segments
from otoscope.explanation.listen import piece
from otoscope.masks import to_mask
from otoscope.metrics.ground_truth import GroundTruth
from otoscope.studies.clips import StudyClip
from otoscope.studies.heard import control_scores, hear
from otoscope.studies.numbers import all_numbers, curves
from otoscope.studies.plan import Asked, Chunk, Plan
from otoscope.studies.recipe import GIVEN
from otoscope.studies.store import digest
from otoscope.studies.truth import given_values, known_of

Row = dict[str, Any]
Progress = Callable[[int], object]


@dataclass(frozen=True, eq=False)
class Group:
    """Clips of one rate and length, heard by one classifier, and what it says of them.

    Parameters
    ----------
    clips : list of StudyClip
    classifier : Classifier
    waveforms : Tensor (batch, time)
        At the classifier's rate.
    original : ndarray (batch, class)
        Probabilities.
    targets : ndarray (batch,)
    correct : list of bool or None
        Whether the most probable class is the clip's; None where the classifier does not know that class.
    """

    clips: list[StudyClip]
    classifier: Classifier
    waveforms: Tensor
    original: np.ndarray
    targets: np.ndarray
    correct: list[bool | None]

    def part(self, i: int) -> Group:
        """One clip alone."""
        cut = slice(i, i + 1)
        return Group(
            self.clips[cut],
            self.classifier,
            self.waveforms[cut],
            self.original[cut],
            self.targets[cut],
            self.correct[cut],
        )


class Worker:
    """Works on chunks; keeps what they share.

    Parameters
    ----------
    plan : Plan
    tick : callable
        Called with the number of passes done.
    """

    def __init__(self, plan: Plan, tick: Progress = lambda _n: None):
        self.plan, self.tick = plan, tick
        self.prepare = plan.preparations()
        self._ready: dict[tuple[str, int], StudyClip | OtoscopeError] = {}

    def clip(self, condition: str, number: int) -> StudyClip | OtoscopeError:
        """A clip, ready, or why it is not; the last few are kept."""
        key = (condition, number)
        if key not in self._ready:
            if len(self._ready) > 4 * self.plan.recipe.chunk:
                self._ready.clear()
            try:
                self._ready[key] = self.prepare[condition](self.plan.examples[number], self.plan.names[number])
            except Exception as error:  # noqa: BLE001  (whatever it is, the other clips go on, and its rows say so)
                self._ready[key] = as_ours(error)
        return self._ready[key]

    def groups(self, chunk: Chunk) -> tuple[list[Group], list[tuple[int, OtoscopeError]]]:
        """The chunk's clips, heard once; and those that could not be had, by number."""
        ready, lost = [], []
        for number in chunk.clips:
            found = self.clip(chunk.condition, number)
            if isinstance(found, OtoscopeError):
                lost.append((number, found))
            else:
                ready.append((number, found))
        sizes = {(c.sound.sample_rate, c.sound.frames): 0 for _, c in ready}
        groups = []
        for size in sizes:
            members = [(n, c) for n, c in ready if (c.sound.sample_rate, c.sound.frames) == size]
            groups += self._heard(chunk, members, lost)
        return groups, lost

    def _heard(
        self, chunk: Chunk, members: list[tuple[int, StudyClip]], lost: list[tuple[int, OtoscopeError]]
    ) -> list[Group]:
        """One group of clips of one size; where they cannot be heard together, those that can be heard alone."""
        try:
            return [self._group(chunk, [c for _, c in members])]
        except Exception as error:  # noqa: BLE001
            if len(members) == 1:
                lost.append((members[0][0], as_ours(error)))
                return []
            return [g for member in members for g in self._heard(chunk, [member], lost)]

    def _group(self, chunk: Chunk, clips: list[StudyClip]) -> Group:
        classifier = self.plan.classifiers[chunk.classifier]
        pieces = [piece(c.sound, Span(0, c.sound.frames), classifier.sample_rate) for c in clips]
        waveforms = torch.from_numpy(np.stack(pieces)).to(classifier.device)
        with torch.no_grad():
            parts = waveforms.split(self.plan.recipe.batch_size)
            original = torch.cat([classifier.probabilities(classifier(part)) for part in parts]).cpu().numpy()
        self.tick(len(clips))
        targets, correct = [], []
        for clip, p in zip(clips, original, strict=True):
            wanted = self.plan.target_of(chunk.classifier, clip.label, chunk.condition)
            targets.append(classifier.target(wanted, p).index)
            number = self.plan.number_of(chunk.classifier, clip.label)
            correct.append(None if number is None else bool(int(np.argmax(p)) == number))
        return Group(clips, classifier, waveforms, original, np.array(targets), correct)

    def rows(self, chunk: Chunk, asked: Asked, groups: list[Group], lost: list[tuple[int, OtoscopeError]]) -> list[Row]:
        """All rows of a method in a domain; what fails together is tried alone, and what fails alone is a row that says so."""
        rows: list[Row] = []
        for group in groups:
            try:
                rows += self._measured(chunk, asked, group)
            except Exception as error:  # noqa: BLE001
                failure = as_ours(error)
                alone = [group.part(i) for i in range(len(group.clips))] if len(group.clips) > 1 else []
                if alone:
                    rows += self.rows(chunk, asked, alone, [])
                else:
                    rows += [self._row(chunk, asked, group, 0, m, failure) for m in range(len(asked.masks))]
        for number, reason in lost:
            example = self.plan.examples[number]
            about = {"clip": self.plan.names[number], "label": example.label, "fold": str(example.fold)}
            about["source"] = str(example.source)
            rows += [{**self._named(chunk, asked, m), **about, **_failed(reason)} for m in range(len(asked.masks))]
        return rows

    def _named(self, chunk: Chunk, asked: Asked, mask: int) -> Row:
        return {
            "condition": chunk.condition,
            "classifier": chunk.classifier,
            "name": asked.name,
            "method": asked.method,
            "domain": asked.domain,
            "mask": str(asked.masks[mask]),
            "seed": self.plan.recipe.seed,
        }

    def _row(
        self, chunk: Chunk, asked: Asked, group: Group, i: int, mask: int, error: OtoscopeError | None = None
    ) -> Row:
        clip, target = group.clips[i], int(group.targets[i])
        row = {
            **self._named(chunk, asked, mask),
            "clip": clip.name,
            "label": clip.label,
            "fold": clip.fold,
            "source": clip.source,
            "snr_db": clip.snr_db,
            "target": target,
            "target_label": group.classifier.labels[target],
            "correct": group.correct[i],
            "original": float(group.original[i, target]),
        }
        return row | (_failed(error) if error is not None else {"status": "ok", "error": ""})

    def _measured(self, chunk: Chunk, asked: Asked, group: Group) -> list[Row]:
        started = time.perf_counter()
        found = explain_group(self.plan, asked, group, self.tick)
        attribution_s = (time.perf_counter() - started) / len(group.clips)
        drawn = curves(self.plan.recipe, found, group, self.tick)
        started = time.perf_counter()
        masks = [found.masks(i, asked) for i in range(len(group.clips))]
        kept, removed = score_masks(found.scored, masks, self.plan.recipe.batch_size, self.tick)
        rows = []
        for i in range(len(group.clips)):
            sounds = hear(self.plan.recipe, found, i, masks[i], group, self.tick)
            beside = control_scores(self.plan.recipe, found, i, masks[i], group, self.tick)
            for m, mask in enumerate(masks[i]):
                row = self._row(chunk, asked, group, i, m)
                scores = Scores(group.original[i], kept[i, m], removed[i, m])
                row |= all_numbers(self.plan.recipe, scores, sounds, m, mask, found, i, int(group.targets[i]))
                row |= {name: float(values[m]) for name, values in beside.items()}
                row |= {f"method_{name}": value for name, value in found.attributions[i].facts.items()}
                rows.append(row | {k: v[i] for k, v in drawn.items()} | {"attribution_seconds": attribution_s})
        seconds = (time.perf_counter() - started) / max(1, len(rows))
        passes = found.passes + self.plan.passes_of(asked) - asked.passes
        return [row | {"seconds": seconds, "passes": passes} for row in rows]


def as_ours(error: Exception) -> OtoscopeError:
    """Any error as one of ours, with its own words."""
    if isinstance(error, OtoscopeError):
        return error
    return OtoscopeError(f"{type(error).__name__}: {error}")


def _failed(error: OtoscopeError) -> Row:
    return {"status": "failed", "error": " ".join(str(error).split())}


@dataclass(frozen=True, eq=False)
class Found:
    """Attributions of a group, and the inspected classifier whose masking is scored.

    Parameters
    ----------
    attributions : list of Attribution
    scored : Inspected
    truths : list of Known or None
        What is true of the cells, where it is known.
    passes : float
        Of the method, for each clip.
    """

    attributions: list[Attribution]
    scored: Inspected
    truths: list[GroundTruth | None]
    passes: float

    def masks(self, i: int, asked: Asked) -> list[Mask]:
        """All masks of a clip, as they are scored and heard."""
        analysis, grid = self.scored.analysis, grid_of(self.scored.analysis, i)
        if asked.method in GIVEN:
            return [Mask(self.attributions[i].values, grid, str(asked.masks[0]))]
        made = [to_mask(self.attributions[i], spec) for spec in asked.masks]
        values = torch.from_numpy(np.stack([m.values for m in made])).to(self.scored.waveform.device)
        index = torch.full((len(made),), i, device=values.device)
        whole = pool_segments(analysis, values, index).clamp(0, 1).cpu().numpy()
        return [Mask(v, grid, m.spec) for v, m in zip(whole, made, strict=True)]


def explain_group(plan: Plan, asked: Asked, group: Group, tick: Progress) -> Found:
    """Attributions of all clips of a group by one method in one domain."""
    sounds = [c.sound for c in group.clips]
    inspected = Inspected(group.classifier, bound(asked.request.domain, sounds), group.waveforms)
    scored = inspected
    if asked.scored is not asked.request:
        scored = Inspected(group.classifier, bound(asked.scored.domain, sounds), group.waveforms)
        if scored.grid.shape != inspected.grid.shape:
            raise OtoscopeError(
                f"{asked.scored.domain.name} has a grid of {scored.grid.shape}, {asked.domain} one of {inspected.grid.shape}: "
                "what is explained in one cannot be scored in the other"
            )
    truths = [known_of(clip, inspected, group.classifier, i) for i, clip in enumerate(group.clips)]
    done = [0]

    def count(n: int) -> None:
        done[0] += n
        tick(n)

    if asked.method in GIVEN:
        given = [given_values(asked.method, truth, inspected.grid.shape) for truth in truths]
        attributions = [Attribution(values, inspected.grid, asked.method) for values in given]
    elif registry.get("method", asked.request.method).facts.get("blind"):
        drawn = [_drawn(plan, asked, group.part(i)) for i in range(len(group.clips))]
        attributions = [Attribution(values, inspected.grid, asked.method) for values in drawn]
    else:
        result = answer(plan, asked, inspected, group.targets, plan.recipe.seed, count)
        attributions = as_attributions(result, [inspected.grid] * len(group.clips), asked.method)
    return Found(attributions, scored, truths, done[0] / len(group.clips))


def answer(
    plan: Plan, asked: Asked, inspected: Inspected, targets: np.ndarray, seed: int, tick: Progress = lambda _n: None
) -> Result:
    """What a method says of some targets, asked in its own precision; the inspected classifier is in float32 again afterwards."""
    numbers = torch.from_numpy(targets).to(inspected.waveform.device)
    problem = Problem(inspected, numbers, seed, plan.recipe.batch_size, tick)
    inspected.precision = getattr(torch, asked.precision)
    try:
        return attribute(problem, asked.request.method, asked.request.method_settings)
    finally:
        inspected.precision = torch.float32


def _drawn(plan: Plan, asked: Asked, alone: Group) -> np.ndarray:
    """Values of a method that does not look at the sound: drawn anew for each clip, so that means over clips even them out."""
    seed = int(digest(plan.recipe.seed, alone.clips[0].name, asked.domain)[:8], 16) % 2**31
    inspected = Inspected(alone.classifier, bound(asked.request.domain, [alone.clips[0].sound]), alone.waveforms)
    return answer(plan, asked, inspected, alone.targets, seed).values[0].cpu().numpy()


def score_masks(
    inspected: Inspected, masks: Sequence[Sequence[Mask]], batch_size: int, tick: Progress
) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of kept and removed parts of every clip under each of its masks, ``(clip, mask, class)`` each."""
    device = inspected.waveform.device
    flat = [(i, mask.values) for i, some in enumerate(masks) for mask in some]
    n_masks = len(masks[0])
    step = max(1, math.ceil(batch_size / 2))
    found = []
    with torch.no_grad():
        for start in range(0, len(flat), step):
            some = flat[start : start + step]
            index = torch.tensor([i for i, _ in some], device=device)
            values = torch.from_numpy(np.stack([v for _, v in some])).to(device)
            kept = inspected.analysis.synthesise(values, index)
            logits = inspected.classify(torch.cat([kept, inspected.analysis.complement(kept, index)]))
            p = inspected.classifier.probabilities(logits).cpu().numpy()
            found.append(np.stack([p[: len(some)], p[len(some) :]], 1))
            tick(2 * len(some))
    every = np.concatenate(found).reshape(len(masks), n_masks, 2, -1)
    return every[:, :, 0], every[:, :, 1]
