"""The work on one chunk of clips: one pipeline for each method, and a row of numbers for each clip and mask.

A clip or a method that fails becomes rows that say so; the others are not affected.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from otoscope.core.errors import OtoscopeError, UnsupportedError
from otoscope.explanation.batch import ClipBatch
from otoscope.explanation.explainers import Progress
from otoscope.explanation.pipeline import Pipeline
from otoscope.studies.clips import StudyClip, truth_on_grid
from otoscope.studies.methods import MethodRun
from otoscope.studies.numbers import control_numbers, curve_numbers, row_numbers
from otoscope.studies.plan import Chunk, Plan

Row = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Group:
    """Clips of one rate and length, with what one classifier makes of them.

    ``correct`` is whether the most probable class is the clip's; None where the classifier does not know that class.
    """

    clips: list[StudyClip]
    batch: ClipBatch
    correct: list[bool | None]

    def part(self, i: int) -> Group:
        """One clip alone."""
        return Group(self.clips[i : i + 1], self.batch.only(i), self.correct[i : i + 1])


class Worker:
    """Works on chunks, and keeps what they share; ``progress`` is called with the number of passes done."""

    def __init__(self, plan: Plan, progress: Progress = lambda _n: None):
        self.plan, self.progress = plan, progress
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
        lost: list[tuple[int, OtoscopeError]] = []
        of_size: dict[tuple[int, int], list[tuple[int, StudyClip]]] = {}
        for number in chunk.clips:
            found = self.clip(chunk.condition, number)
            if isinstance(found, OtoscopeError):
                lost.append((number, found))
            else:
                of_size.setdefault((found.sound.sample_rate, found.sound.frames), []).append((number, found))
        return [group for members in of_size.values() for group in self._heard(chunk, members, lost)], lost

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
        classifier, plan = self.plan.classifiers[chunk.classifier], self.plan
        batch = ClipBatch([c.sound for c in clips], classifier, plan.recipe.batch_size, lambda n: self.progress(n))
        if not batch.in_one_window:
            raise UnsupportedError(
                f"{clips[0].name} lasts {clips[0].sound.duration:.1f} s, more than {classifier.name!r} hears at once; give "
                "data.seconds"
            )
        batch.choose_targets([plan.target_of(chunk.classifier, c.label, chunk.condition) for c in clips])
        numbers = [plan.number_of(chunk.classifier, c.label) for c in clips]
        correct = [
            None if n is None else bool(int(np.argmax(p)) == n) for n, p in zip(numbers, batch.original, strict=True)
        ]
        return Group(clips, batch, correct)

    def pipeline(self, chunk: Chunk, run: MethodRun, group: Group) -> Pipeline:
        """The pipeline of a method on a group of clips."""
        made = Pipeline(
            group.batch,
            self.plan.explainer(chunk.classifier, run, group.clips),
            run.request.domain,
            run.masks,
            self.plan.recipe.seed,
            None if run.scored is run.request else run.scored.domain,
        )
        if run.scored is not run.request and made.scored.grid.shape != made.inspected.grid.shape:
            raise OtoscopeError(
                f"{run.scored.domain.name} has a grid of {made.scored.grid.shape}, {run.domain} one of "
                f"{made.inspected.grid.shape}: attributions of one cannot be scored in the other"
            )
        return made

    def rows(
        self, chunk: Chunk, run: MethodRun, groups: list[Group], lost: list[tuple[int, OtoscopeError]]
    ) -> list[Row]:
        """All rows of a method in a domain.

        Clips that fail together are tried one by one; one that still fails gives rows of status ``failed``.
        """
        rows: list[Row] = []
        for group in groups:
            try:
                rows += self._measured(chunk, run, group)
            except Exception as error:  # noqa: BLE001
                if len(group.clips) > 1:
                    rows += self.rows(chunk, run, [group.part(i) for i in range(len(group.clips))], [])
                else:
                    failed = _failed(as_ours(error))
                    rows += [self._row(chunk, run, group, 0, m) | failed for m in range(len(run.masks))]
        for number, reason in lost:
            name, example = self.plan.names[number], self.plan.examples[number]
            about = {
                "clip": name, "label": example.label, "fold": str(example.fold), "source": str(example.source),
                **_failed(reason),
            }  # fmt: skip
            rows += [self._named(chunk, run, m) | about for m in range(len(run.masks))]
        return rows

    def _named(self, chunk: Chunk, run: MethodRun, mask: int) -> Row:
        return {
            "condition": chunk.condition,
            "classifier": chunk.classifier,
            "name": run.name,
            "method": run.method,
            "domain": run.domain,
            "mask": str(run.masks[mask]),
            "seed": self.plan.recipe.seed,
        }

    def _row(self, chunk: Chunk, run: MethodRun, group: Group, i: int, mask: int) -> Row:
        clip, target = group.clips[i], group.batch.targets[i]
        return {
            **self._named(chunk, run, mask),
            "clip": clip.name,
            "label": clip.label,
            "fold": clip.fold,
            "source": clip.source,
            "snr_db": clip.snr_db,
            "target": target.index,
            "target_label": target.label,
            "correct": group.correct[i],
            "original": float(group.batch.original[i, target.index]),
            "status": "ok",
            "error": "",
        }

    def _measured(self, chunk: Chunk, run: MethodRun, group: Group) -> list[Row]:
        recipe, n = self.plan.recipe, len(group.clips)
        started, passes = time.perf_counter(), [0]
        pipeline = self.pipeline(chunk, run, group)
        pipeline.progress = _counted(passes, pipeline.progress)
        truths = [truth_on_grid(clip, pipeline.inspected, i) for i, clip in enumerate(group.clips)]
        if pipeline.generated is None:  # either is computed here, so that its passes and seconds are the method's
            pipeline.attributions  # noqa: B018
        attribution_s, method_passes = (time.perf_counter() - started) / n, passes[0] / n
        curves = curve_numbers(recipe, pipeline)
        started = time.perf_counter()
        rows = []
        for i, clip in enumerate(group.clips):
            sounds = pipeline.heard(i) if recipe.measures.heard else None
            controls = control_numbers(recipe, pipeline, i, clip.name)
            for m in range(len(pipeline.masks[i])):
                row = self._row(chunk, run, group, i, m) | row_numbers(recipe, pipeline, i, m, sounds, truths[i])
                row |= {name: float(values[m]) for name, values in controls.items()}
                rows.append(row | curves[i] | {"attribution_seconds": attribution_s})
        seconds = (time.perf_counter() - started) / max(1, len(rows))
        total = method_passes + self.plan.passes_of(run) - run.passes
        return [row | {"seconds": seconds, "passes": total} for row in rows]


def _counted(done: list[int], progress: Progress) -> Progress:
    def count(n: int) -> None:
        done[0] += n
        progress(n)

    return count


def as_ours(error: Exception) -> OtoscopeError:
    """Any error as one of ours, with its own words."""
    if isinstance(error, OtoscopeError):
        return error
    return OtoscopeError(f"{type(error).__name__}: {error}")


def _failed(error: OtoscopeError) -> Row:
    return {"status": "failed", "error": " ".join(str(error).split())}
