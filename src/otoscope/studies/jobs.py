"""Which parts a study consists of, and which of them are there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

from otoscope.datasets.backgrounds import Background
from otoscope.explanation.explainers import SoundExplainer
from otoscope.studies.clips import Digests
from otoscope.studies.methods import MethodRun
from otoscope.studies.numbers import columns
from otoscope.studies.plan import Chunk, Plan
from otoscope.studies.store import Store, digest

VERSION = 1  # of what is measured: a change makes old parts void


class Jobs:
    """The parts of a plan: a chunk of clips by a method in a domain, each under a fingerprint of all that its rows depend on."""

    def __init__(self, plan: Plan):
        self.plan = plan
        self.digests = Digests()
        self._known: dict[int, list[Any]] = {}

    @cached_property
    def store(self) -> Store:
        """The parts on disk."""
        return Store(self.plan.out, columns(self.plan.recipe))

    def _clip(self, number: int) -> list[Any]:
        """A clip's name, and what identifies its sound and what is known of it."""
        if number not in self._known:
            own = self.digests.of_example(self.plan.examples[number], self.plan.recipe.data)
            self._known[number] = [self.plan.names[number], *own]
        return self._known[number]

    @cached_property
    def _shared(self) -> dict[str, Any]:
        """What the rows of every part depend on."""
        recipe = self.plan.recipe
        return {
            "version": VERSION, "seed": recipe.seed, "target": recipe.target, "compat": recipe.compat,
            "measures": recipe.measures.model_dump(), **recipe.data.model_dump(include={"seconds", "peak", "names"}),
        }  # fmt: skip

    @cached_property
    def _pool(self) -> list[str]:
        """Clips that contamination with other clips draws from."""
        return [self.digests.of(e.path) for e in self.plan.examples]

    def _condition(self, name: str) -> list[Any]:
        """What a condition does, and the recordings that it does it with."""
        condition = self.plan.recipe.conditions[name]
        does = condition.model_dump(exclude={"title", "without", "snr_db"})
        pool = self._pool if condition.contaminate.split(",")[0].strip() == "clip" else []
        return [name, does, self.digests.of_noise(condition, self.plan.recipe.data), pool]

    def _files(self, classifier: str, run: MethodRun) -> list[Any]:
        """Digests of the files that a method or a domain reads."""
        background, stems = run.background, dict(run.request.domain.settings).get("stems")
        if isinstance(background, Background):
            compared = [self.digests.of(sound.path) for sound in background.sounds]
        else:
            compared = self.digests.of_folder(str(background)) if background else []
        found = [compared, self.digests.of_folder(str(stems)) if stems else []]
        explainer = self.plan.explainer(classifier, run) if run.gives == "sound" else None
        if isinstance(explainer, SoundExplainer):
            found.append([str(explainer.generator.facts().get("sha256"))])
        return found

    def classifier_fingerprint(self, name: str) -> list[Any]:
        """What a classifier's output depends on."""
        model = self.plan.classifiers[name]
        return [name, model.digest(), list(model.labels), model.multilabel, model.sample_rate, str(model.frontend)]

    def fingerprint(self, chunk: Chunk, run: MethodRun) -> str:
        """What identifies a part: the same fingerprint, the same rows."""
        return digest(self._about(chunk, run), [self._clip(i) for i in chunk.clips], [str(m) for m in run.masks])

    def of_clip(self, chunk: Chunk, run: MethodRun) -> Callable[[str], str]:
        """What the rows of each clip depend on, by its name, whatever other clips and masks are in the part."""
        about = self._about(chunk, run)
        return lambda name: digest(about, self._clip(self.plan.names.index(name)))

    def _about(self, chunk: Chunk, run: MethodRun) -> str:
        return digest(
            self._shared, self._condition(chunk.condition), self.classifier_fingerprint(chunk.classifier),
            self._files(chunk.classifier, run), run.name, run.method, run.settings, run.domain, run.scored.spec["domain"],
            run.precision,
        )  # fmt: skip

    def fingerprints(self) -> list[str]:
        """All of them, in order."""
        runs_of = self.plan.runs_of
        return [self.fingerprint(chunk, run) for chunk in self.plan.chunks for run in runs_of(chunk.classifier)]

    def missing(self) -> Iterator[tuple[Chunk, list[MethodRun]]]:
        """Chunks of which parts are not there yet, with these."""
        for chunk in self.plan.chunks:
            runs = [r for r in self.plan.runs_of(chunk.classifier) if not self.store.holds(self.fingerprint(chunk, r))]
            if runs:
                yield chunk, runs
