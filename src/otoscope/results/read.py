"""Rows of studies from Parquet files: one row a clip x classifier x method x domain x mask x condition."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from otoscope.core.errors import OtoscopeError, ParameterError, UnknownNameError
from otoscope.core.runtime import require
from otoscope.results.files import about_of, joined, sanity_of, tables_of


@dataclass(frozen=True, eq=False)
class Words:
    """A column of text.

    Parameters
    ----------
    codes : ndarray (row,), int
        Places in ``names``.
    names : tuple of str
        Each once, sorted; nothing (null) is the empty text.
    """

    codes: np.ndarray
    names: tuple[str, ...]

    def each(self) -> list[str]:
        """The text of every row."""
        return [self.names[code] for code in self.codes]


class Rows:
    """Rows of one or several studies, decoded column by column when they are asked for.

    Parameters
    ----------
    table : pyarrow.Table
    about : mapping
        What ``study.json`` says; of several studies, of the first that has one.
    notes : tuple of str
        What a reader of the rows must know of how they were read.
    sanity : tuple of mapping
        What the studies found of whether explanations depend on what they should (``sanity.json``).
    """

    def __init__(
        self,
        table: Any,
        about: Mapping[str, Any] | None = None,
        notes: Sequence[str] = (),
        sanity: Sequence[Mapping[str, Any]] = (),
    ):
        self.table, self.about, self.notes, self.sanity = table, dict(about or {}), tuple(notes), tuple(sanity)
        self._words: dict[str, Words] = {}
        self._numbers: dict[str, np.ndarray] = {}

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @property
    def columns(self) -> list[str]:
        """Names of all columns, unknown ones too."""
        return list(self.table.column_names)

    def numeric(self, name: str) -> bool:
        """Whether a column holds numbers (truth values are the numbers 0 and 1)."""
        import pyarrow.types as kinds

        kind = self.table.schema.field(name).type
        return any(test(kind) for test in (kinds.is_integer, kinds.is_floating, kinds.is_boolean))

    def numbers(self, name: str) -> np.ndarray:
        """A numeric column, ``(row,)`` float64; NaN where nothing can be said.

        Raises
        ------
        UnknownNameError, ParameterError
            For a column that is not there, or holds no numbers.
        """
        if name not in self._numbers:
            self._known(name)
            if not self.numeric(name):
                raise ParameterError(f"the column {name!r} holds no numbers; numeric are {', '.join(self.measured())}")
            import pyarrow as pa

            values = self.table.column(name).cast(pa.float64(), safe=False).to_numpy()
            self._numbers[name] = np.asarray(values, np.float64)
        return self._numbers[name]

    def words(self, name: str) -> Words:
        """A column as text: numbers as they are written shortest, truth values as yes and no.

        Raises
        ------
        UnknownNameError
            For a column that is not there.
        """
        if name not in self._words:
            self._known(name)
            self._words[name] = self._decoded(name)
        return self._words[name]

    def measured(self) -> list[str]:
        """Names of the numeric columns."""
        return [name for name in self.columns if self.numeric(name)]

    def take(self, chosen: np.ndarray) -> Rows:
        """The rows where ``chosen`` is true, or those that it numbers; in that order."""
        import pyarrow as pa

        index = np.flatnonzero(chosen) if chosen.dtype == bool else chosen
        return Rows(self.table.take(pa.array(index)), self.about, self.notes, self.sanity)

    def row(self, i: int) -> dict[str, Any]:
        """One row as plain data, as the study wrote it."""
        found: dict[str, Any] = self.table.slice(i, 1).to_pylist()[0]
        return found

    def _known(self, name: str) -> None:
        if name not in self.columns:
            raise UnknownNameError("column of the results", name, self.columns)

    def _decoded(self, name: str) -> Words:
        import pyarrow as pa

        column = self.table.column(name)
        if pa.types.is_boolean(column.type):
            texts = ["" if v is None else "yes" if v else "no" for v in (None, False, True)]
            values = self.numbers(name)
            return _sorted(np.where(np.isnan(values), 0, 1 + np.nan_to_num(values)).astype(np.int64), texts)
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if pa.types.is_nested(column.type):
            column = pa.chunked_array(
                [pa.array([None if v is None else str(v) for v in column.to_pylist()], pa.string())]
            )
        coded = pa.concat_arrays(column.chunks).dictionary_encode()
        texts = ["", *(_short(v) for v in coded.dictionary.to_pylist())]
        codes = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64) + 1
        return _sorted(codes, texts)


def _short(value: Any) -> str:
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _sorted(codes: np.ndarray, texts: Sequence[str]) -> Words:
    """Only the names that occur, each once, sorted."""
    names, back = np.unique(np.array(texts, object), return_inverse=True)
    used, codes = np.unique(back[codes], return_inverse=True)
    return Words(codes, tuple(str(names[u]) for u in used))


def read_rows(results: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> Rows:
    """Rows of one or several results.

    Parameters
    ----------
    results : path or sequence of paths
        Folders of studies (their ``results.parquet``, or what is whole of the ``parts`` where that is not there, damaged or
        older than the study as it stands), or Parquet files.

    Returns
    -------
    Rows
        Rows that are there twice, by their ``key``, are kept once: the one that did not fail.

    Raises
    ------
    OtoscopeError
        For a path where no results are or none is whole, a file that is damaged or no Parquet file, one that lacks the columns
        of a study, or files whose columns contradict each other.
    MissingExtraError
        Without pyarrow.
    """
    require("pyarrow", "study", "otoscope table")
    paths = [results] if isinstance(results, str | os.PathLike) else list(results)
    if not paths:
        raise ParameterError("no results are named; give the folder of a study, or Parquet files")
    notes: list[str] = []
    found = {file: table for path in dict.fromkeys(map(Path, paths)) for file, table in tables_of(path, notes)}
    table = joined(list(found.items()))
    if not table.num_rows:
        raise OtoscopeError(f"{', '.join(map(str, paths))}: the results hold no rows; run the study first")
    places = [Path(path) for path in paths]
    about, sanity = about_of(places, notes), sanity_of(places, notes)
    return _once(Rows(table, about, notes, sanity), notes)


def _once(rows: Rows, notes: list[str]) -> Rows:
    """Each key once: of rows that are there twice, the first that did not fail."""
    kept = Rows(rows.table, rows.about, notes, rows.sanity)
    if "key" not in rows.columns:
        return kept
    keys = rows.words("key")
    named = np.array([bool(name) for name in keys.names])[keys.codes]
    if len(keys.names) == len(rows) or not named.any():
        return kept
    order = np.lexsort((np.arange(len(rows)), failed(rows), keys.codes))
    first = np.ones(len(rows), bool)
    first[1:] = keys.codes[order][1:] != keys.codes[order][:-1]
    chosen = np.sort(np.concatenate([order[first & named[order]], np.flatnonzero(~named)]))
    dropped = len(rows) - len(chosen)
    if dropped:
        notes.append(f"{dropped} rows were there twice and are counted once.")
    return Rows(rows.table, rows.about, notes, rows.sanity).take(chosen)


def failed(rows: Rows) -> np.ndarray:
    """Which rows failed, ``(row,)`` bool: all whose status is not ``ok``."""
    status = rows.words("status")
    return np.array([name != "ok" for name in status.names])[status.codes]
