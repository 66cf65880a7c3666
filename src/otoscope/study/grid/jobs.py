"""Which parts a study consists of, and which of them are there."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from functools import cached_property
from typing import Any

from otoscope.study.grid.clips import Digests
from otoscope.study.grid.numbers import columns
from otoscope.study.grid.plan import Asked, Chunk, Plan
from otoscope.study.grid.store import Store, digest

VERSION = 1  # of what is measured: a change makes old parts void


class Jobs:
    """The parts of a plan: a chunk of clips by a method in a domain, each under a seal of all that its rows hang on.

    Parameters
    ----------
    plan : Plan
    """

    def __init__(self, plan: Plan):
        self.plan = plan
        self.chunks = plan.chunks()
        self.digests = Digests()

    @cached_property
    def store(self) -> Store:
        """The parts on disk."""
        return Store(self.plan.out, columns(self.plan.recipe))

    @cached_property
    def _clips(self) -> list[list[Any]]:
        return [self.digests.of_example(e) for e in self.plan.examples]

    @cached_property
    def _shared(self) -> dict[str, Any]:
        """What the rows of every part hang on."""
        recipe = self.plan.recipe
        data = dataclasses.asdict(recipe.data)
        about = {key: data[key] for key in ("seconds", "peak", "names")}
        background = [self.digests.of(e.path) for e in self.plan.background()] if self.plan.needs_background else []
        return {
            "version": VERSION, "seed": recipe.seed, "target": recipe.target, "compat": recipe.compat,
            "measures": dataclasses.asdict(recipe.measures), "background": background, **about,
        }  # fmt: skip

    def seal(self, chunk: Chunk, asked: Asked) -> str:
        """What identifies a part: the same seal, the same rows."""
        condition = self.plan.recipe.conditions[chunk.condition]
        heard = {k: v for k, v in dataclasses.asdict(condition).items() if k not in ("title", "without", "snr_db")}
        return digest(
            self._shared, chunk.condition, heard, chunk.classifier, self.plan.classifiers[chunk.classifier].digest(),
            [self._clips[i] for i in chunk.clips], asked.method, asked.settings, asked.domain, asked.scored.spelled["domain"],
            [str(m) for m in asked.masks], asked.precision,
        )  # fmt: skip

    def seals(self) -> list[str]:
        """All of them, in order."""
        return [self.seal(chunk, asked) for chunk in self.chunks for asked in self.plan.asked_of(chunk.classifier)]

    def missing(self) -> Iterator[tuple[Chunk, list[Asked]]]:
        """Chunks of which parts are not there yet, with these."""
        for chunk in self.chunks:
            asked = [a for a in self.plan.asked_of(chunk.classifier) if not self.store.holds(self.seal(chunk, a))]
            if asked:
                yield chunk, asked
