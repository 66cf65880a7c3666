"""Rows on disk: one Parquet file a chunk and method, written whole or not at all; all of them together at the end."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from otoscope.core.errors import OtoscopeError
from otoscope.core.files import atomic_write, make_folder
from otoscope.core.runtime import require

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


def digest(*parts: Any) -> str:
    """SHA-256 of plain values."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


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
