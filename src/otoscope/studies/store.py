"""The parts of a study: rows of one chunk and method each, in one Parquet file that is written whole or not at all."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from otoscope.core.errors import OtoscopeError
from otoscope.core.files import atomic_write, make_folder
from otoscope.core.runtime import require
from otoscope.datasets.backgrounds import Background
from otoscope.explanation.explainers import SoundExplainer
from otoscope.studies.clips import Digests, digest
from otoscope.studies.methods import MethodRun
from otoscope.studies.numbers import columns
from otoscope.studies.plan import Chunk, Plan

VERSION = 1  # of what is measured: a change makes old parts void
PARTS, RESULTS = "parts", "results.parquet"
TEXTS = (
    "key", "clip", "label", "fold", "source", "condition", "classifier", "name", "method", "domain", "mask", "status", "error",
    "target_label",
)  # fmt: skip
WHOLE = ("seed", "target")
FLAGS = ("correct",)
NUMBERS = ("snr_db", "original", "kept", "removed", "heard_original", "heard_kept", "heard_removed")
IDENTITY = ("clip", "condition", "classifier", "method", "domain", "mask", "seed", "target")
Row = dict[str, Any]


class Store:
    """The parts of a study's folder; ``columns`` are the numbers that rows have besides the usual ones."""

    def __init__(self, folder: Path, columns: Sequence[str]):
        self.arrow = require("pyarrow", "study", "otoscope study")
        self.parquet = require("pyarrow.parquet", "study", "otoscope study")
        self.folder = folder / PARTS
        self.results = folder / RESULTS
        self.schema = self._schema(columns)

    def _schema(self, columns: Sequence[str]) -> Any:
        pa = self.arrow
        numbers = dict.fromkeys((*NUMBERS, *columns, "seconds", "attribution_seconds", "passes"))
        fields = [(n, pa.string()) for n in TEXTS] + [(n, pa.int64()) for n in WHOLE] + [(n, pa.bool_()) for n in FLAGS]
        return pa.schema(fields + [(n, pa.float64()) for n in numbers])

    def file(self, fingerprint: str) -> Path:
        """Where a part lies."""
        return self.folder / f"{fingerprint[:32]}.parquet"

    def read(self, fingerprint: str) -> Any:
        """A part, or None where there is none that is whole."""
        try:
            table = self.parquet.read_table(self.file(fingerprint))
            about = {k.decode(): v.decode() for k, v in (table.schema.metadata or {}).items()}
            fits = table.schema.remove_metadata().equals(self.schema) and about.get("rows") == str(table.num_rows)
            keys = table.column("key").to_pylist() if fits else []
        except (OSError, ValueError, self.arrow.ArrowException):
            return None  # absent or damaged: it is computed again
        whole_part = fits and about.get("seal") == fingerprint and about.get("keys") == digest(keys)
        return table if whole_part else None

    def holds(self, fingerprint: str) -> bool:
        """Whether a part is there and whole."""
        return self.file(fingerprint).is_file() and self.read(fingerprint) is not None

    def write(self, fingerprint: str, rows: Iterable[Row], of_clip: Callable[[str], str]) -> None:
        """Write a part; ``of_clip`` gives the digest of what the rows of a clip depend on, by its name."""
        filled = [_filled(row, self.schema.names, of_clip(str(row["clip"]))) for row in rows]
        table = self.arrow.Table.from_pylist(filled, schema=self.schema)
        about = {"seal": fingerprint, "rows": str(len(filled)), "keys": digest([row["key"] for row in filled])}
        table = table.replace_schema_metadata(about)
        make_folder(self.folder)
        with atomic_write(self.file(fingerprint)) as part:
            self.parquet.write_table(table, part)

    def merge(self, fingerprints: Sequence[str]) -> Any:
        """All parts in the given order as one table, which is written too; an `OtoscopeError` if a part is missing."""
        tables = []
        for fingerprint in fingerprints:
            table = self.read(fingerprint)
            if table is None:
                raise OtoscopeError(
                    f"the part {self.file(fingerprint).name} of the study is missing or damaged; run the study again"
                )
            tables.append(table.replace_schema_metadata(None))
        merged = self.arrow.concat_tables(tables) if tables else self.schema.empty_table()
        with atomic_write(self.results) as part:
            self.parquet.write_table(merged, part)
        return merged


def key_of(row: Mapping[str, Any], about: str) -> str:
    """A row's key: a digest of its identity and of what its numbers depend on."""
    return digest(about, *(row.get(name) for name in IDENTITY))[:32]


def _filled(row: Row, names: Sequence[str], about: str) -> Row:
    """The row with every column, NaN where a number is undefined, and with its key."""
    usual = {**dict.fromkeys(TEXTS, ""), **dict.fromkeys(WHOLE), **dict.fromkeys(FLAGS)}
    out = {name: row.get(name, usual.get(name, math.nan)) for name in names}
    out["key"] = key_of(row, about)
    return out


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
