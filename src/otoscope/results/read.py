"""Results of studies from Parquet files: one row per clip, classifier, method, domain, mask and condition."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from otoscope.core.errors import OtoscopeError, ParameterError, UnknownNameError
from otoscope.core.runtime import require

REQUIRED = ("clip", "condition", "classifier", "method", "domain", "mask", "status")
RESULTS, PARTS, LISTED, ABOUT, SANITY = "results.parquet", "parts", "parts.json", "study.json", "sanity.json"
INTEGERS = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
DAMAGED = object()


def pandas() -> Any:
    """Pandas, or an error that names the extra which installs it."""
    return require("pandas", "study", "otoscope table")


class TextColumn(NamedTuple):
    """A column as text: the code of each row, an index into its distinct texts, sorted; a missing value is the empty text."""

    codes: np.ndarray
    names: tuple[str, ...]

    def each(self) -> list[str]:
        """The text of every row."""
        return [self.names[code] for code in self.codes]

    def matches(self, wanted: Sequence[str]) -> np.ndarray:
        """Which rows have one of the texts, ``(row,)`` bool."""
        return np.array([name in wanted for name in self.names], bool)[self.codes]


class Results:
    """Rows of one or several studies.

    Parameters
    ----------
    frame : pandas.DataFrame
        One row per clip, condition, classifier, method, domain and mask.
    about : mapping
        Contents of ``study.json``; with several studies, of the first that has one.
    notes : sequence of str
        Notes on how the rows were read.
    sanity : sequence of mapping
        Contents of ``sanity.json`` of all studies.

    Examples
    --------
    >>> results = read_results("study")
    >>> results.labels("method").names, round(float(results.numbers("kept").mean()), 2)
    (('gradient', 'lime'), 0.7)
    >>> len(results.where({"method": ["lime"]}))
    2
    """

    def __init__(
        self,
        frame: Any,
        about: Mapping[str, Any] | None = None,
        notes: Sequence[str] = (),
        sanity: Sequence[Mapping[str, Any]] = (),
    ):
        self.frame, self.about, self.notes, self.sanity = frame, dict(about or {}), tuple(notes), tuple(sanity)
        self._labels: dict[str, TextColumn] = {}
        self._numbers: dict[str, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def columns(self) -> list[str]:
        """Names of all columns."""
        return list(self.frame.columns)

    def numeric(self, name: str) -> bool:
        """Whether a column holds numbers; booleans count as the numbers 0 and 1."""
        return bool(pandas().api.types.is_numeric_dtype(self.frame[name].dtype))

    def measured(self) -> list[str]:
        """Names of the numeric columns."""
        return [name for name in self.columns if self.numeric(name)]

    def numbers(self, name: str) -> np.ndarray:
        """A numeric column, ``(row,)`` float64 with NaN for missing values.

        Raises
        ------
        UnknownNameError, ParameterError
            If the column does not exist or is not numeric.
        """
        if name not in self._numbers:
            self._require(name)
            if not self.numeric(name):
                raise ParameterError(f"the column {name!r} is not numeric; numeric are {', '.join(self.measured())}")
            self._numbers[name] = self.frame[name].to_numpy(np.float64, na_value=np.nan)
        return self._numbers[name]

    def labels(self, name: str) -> TextColumn:
        """A column as text: numbers in their shortest form, booleans as yes and no.

        Raises
        ------
        UnknownNameError
            If the column does not exist.
        """
        if name not in self._labels:
            self._require(name)
            column = self.frame[name]
            try:
                codes, values = pandas().factorize(column)
            except TypeError:  # lists and tables have no hash
                codes, values = pandas().factorize(column.map(str, na_action="ignore"))
            texts = np.array(["", *map(_text, values)], object)
            names, back = np.unique(texts, return_inverse=True)
            used, codes = np.unique(back[codes + 1], return_inverse=True)
            self._labels[name] = TextColumn(codes, tuple(names[used]))
        return self._labels[name]

    @property
    def failed(self) -> np.ndarray:
        """Which rows failed, ``(row,)`` bool: all whose status is not ``ok``."""
        return ~self.labels("status").matches(["ok"])

    def take(self, chosen: np.ndarray) -> Results:
        """The rows that a boolean mask or indices choose, in that order."""
        index = np.flatnonzero(chosen) if chosen.dtype == bool else chosen
        return Results(self.frame.iloc[index], self.about, self.notes, self.sanity)

    def where(self, only: Mapping[str, Sequence[str]]) -> Results:
        """The rows that have one of the given texts in each of the given columns.

        Raises
        ------
        UnknownNameError
            For an unknown column or text.
        OtoscopeError
            If no row has them all.
        """
        chosen = np.ones(len(self), bool)
        for column, wanted in only.items():
            labels = self.labels(column)
            for text in wanted:
                if text not in labels.names:
                    raise UnknownNameError(f"{column} of the results", text, labels.names)
            chosen &= labels.matches(wanted)
        if not chosen.any():
            wanted_texts = "; ".join(f"{column} {', '.join(wanted)}" for column, wanted in only.items())
            raise OtoscopeError(f"no row of the results has {wanted_texts} together; drop one of them")
        return self if chosen.all() else self.take(chosen)

    def row(self, i: int) -> dict[str, Any]:
        """One row as plain Python values; missing ones are None."""
        return {name: _plain(self.frame[name].iloc[i]) for name in self.columns}

    def _require(self, name: str) -> None:
        if name not in self.columns:
            raise UnknownNameError("column of the results", name, self.columns)


def _text(value: Any) -> str:
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float | np.floating) else str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, list | dict):
        return value
    return None if pandas().isna(value) else value.item() if isinstance(value, np.generic) else value


def read_results(results: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> Results:
    """Read the rows of one or several studies.

    Parameters
    ----------
    results : path or sequence of paths
        Folders of studies or Parquet files. Of a folder, ``results.parquet`` is read; if it is missing, damaged or older than
        the study, the intact files in ``parts``.

    Returns
    -------
    Results
        Of rows with the same ``key``, one is kept, preferably one that did not fail.

    Raises
    ------
    OtoscopeError
        If a path holds no intact results, a file is not a Parquet file of a study, or columns of files have incompatible types.
    MissingExtraError
        Without pandas and pyarrow.

    Examples
    --------
    >>> results = read_results("study")
    >>> len(results), results.row(0)["clip"]
    (4, 'a.wav')
    """
    require("pyarrow", "study", "otoscope table")
    paths = [Path(results)] if isinstance(results, str | os.PathLike) else [Path(path) for path in results]
    if not paths:
        raise ParameterError("no results given; expected the folder of a study or Parquet files")
    notes: list[str] = []
    table = _concatenated([pair for path in dict.fromkeys(paths) for pair in _tables(path, notes)])
    if not table.num_rows:
        raise OtoscopeError(f"{', '.join(map(str, paths))}: the results hold no rows; run the study first")
    about: dict[str, Any] = next(iter(_readable(paths, ABOUT, lambda content: isinstance(content, dict), notes)), {})
    tables = _readable(paths, SANITY, lambda c: isinstance(c, list) and all(isinstance(r, dict) for r in c), notes)
    sanity = [row for rows in tables for row in rows]
    found = Results(_frame(table), about, (), sanity)
    chosen = _first_of_each_key(found)
    if len(chosen) < len(found):
        notes.append(f"{len(found) - len(chosen)} duplicate rows were dropped.")
        found = found.take(chosen)
    return Results(found.frame, about, notes, sanity)


def _frame(table: Any) -> Any:
    """A pandas frame of an Arrow table: whole numbers and booleans stay what they are if some are missing."""
    import pyarrow as pa

    pd = pandas()
    nullable = {
        getattr(pa, name)(): getattr(pd, name.replace("i", "I").replace("u", "U") + "Dtype")() for name in INTEGERS
    }
    nullable[pa.bool_()] = pd.BooleanDtype()
    nested = [field.name for field in table.schema if pa.types.is_nested(field.type)]
    frame = table.drop_columns(nested).to_pandas(types_mapper=nullable.get, strings_to_categorical=False)
    for name in nested:
        cells = np.empty(table.num_rows, object)
        cells[:] = table.column(name).to_pylist()
        frame[name] = pd.Series(cells, dtype=object)
    return frame[table.column_names]


def _first_of_each_key(found: Results) -> np.ndarray:
    """Indices of the rows that count: of rows with one key the first that did not fail, and all rows without a key."""
    if "key" not in found.columns:
        return np.arange(len(found))
    keys = found.labels("key")
    order = np.argsort(found.failed, kind="stable")
    first = np.zeros(len(found), bool)
    first[order[np.unique(keys.codes[order], return_index=True)[1]]] = True
    return np.flatnonzero(first | keys.matches([""]))


# --- files ----------------------------------------------------------------------------------------------------------


def _tables(path: Path, notes: list[str]) -> list[tuple[Path, Any]]:
    """Files of a path and their Arrow tables; appends to ``notes`` how they were read."""
    if path.is_file():
        return [(path, _table(path))]
    if not path.is_dir():
        raise OtoscopeError(f"{path} does not exist; give the folder of a study or Parquet files")
    listed, file = _listed(path, notes), path / RESULTS
    parts = sorted((path / PARTS).glob("*.parquet")) if listed is None else [path / PARTS / name for name in listed]
    exists, written, damage = file.is_file(), any(part.is_file() for part in parts), None
    older = exists and listed is not None and file.stat().st_mtime_ns < (path / LISTED).stat().st_mtime_ns
    if exists and not (older and written):
        try:
            return [(file, _table(file))]
        except OtoscopeError as error:
            damage = error
            if not written:
                raise
    parts = parts or sorted(path.glob("*.parquet"))
    if listed is not None and not any(part.is_file() for part in parts):
        raise OtoscopeError(f"{path} holds a study without rows; run it first")
    if not parts:
        raise OtoscopeError(f"{path} holds no results; expected {RESULTS} or {PARTS}/*.parquet; run the study first")
    found = _intact(path, parts, notes)
    why = f"{file} is damaged" if damage else f"{file} is older than the study" if older else ""
    notes.append(
        f"{why}: its {len(found)} parts were read."
        if why
        else f"{path} is unfinished: its {len(found)} parts so far were read."
    )
    return found


def _table(file: Path) -> Any:
    """One Parquet file of a study as an Arrow table; an `OtoscopeError` if it is not one."""
    import pyarrow as pa
    import pyarrow.parquet as parquet

    try:
        with file.open("rb") as data, parquet.ParquetFile(data) as opened:
            table = opened.read()
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise OtoscopeError(
            f"{file} is damaged or not a Parquet file ({reason:.120}); give the results of a study, or run the study again"
        ) from error
    names = list(table.column_names)
    lacking = [name for name in REQUIRED if name not in names]
    if lacking:
        raise OtoscopeError(
            f"{file} is not a file of results: it lacks the columns {', '.join(lacking)}; it has {', '.join(names[:12])}"
        )
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise OtoscopeError(f"{file} has the column {twice!r} twice; give the results of a study")
    return table


def _concatenated(tables: Sequence[tuple[Path, Any]]) -> Any:
    """All tables below each other; columns that one lacks are null."""
    import pyarrow as pa

    def join(so_far: Any, more: tuple[Path, Any]) -> Any:
        try:
            return pa.concat_tables([so_far, more[1]], promote_options="permissive")
        except (pa.ArrowException, ValueError) as error:
            said = f"{' '.join(str(error).split()):.160}"
            raise OtoscopeError(f"{more[0]} does not fit {tables[0][0]}: {said}; read them separately") from error

    try:
        return pa.concat_tables([table for _, table in tables], promote_options="permissive")
    except (pa.ArrowException, ValueError):
        return reduce(join, tables[1:], tables[0][1])  # names the file that does not fit


def _intact(folder: Path, parts: Sequence[Path], notes: list[str]) -> list[tuple[Path, Any]]:
    """The parts that can be read and have the columns of most of them."""
    found, damage = [], None
    for part in parts:
        try:
            found.append((part, _table(part)))
        except OtoscopeError as error:
            damage = damage or error
    if not found:
        raise damage or OtoscopeError(f"{folder} holds no results; run the study first")
    usual = Counter(tuple(table.column_names) for _, table in found).most_common(1)[0][0]
    kept = [(part, table) for part, table in found if tuple(table.column_names) == usual]
    again = f"run the study again ({folder})."
    if len(found) < len(parts):
        notes.append(f"{len(parts) - len(found)} of {len(parts)} parts are missing or damaged: {again}")
    if len(kept) < len(found):
        other = f"{len(found) - len(kept)} of {len(parts)} parts have different columns"
        notes.append(f"{other} and were left out: {again}")
    return kept


def _readable(paths: Sequence[Path], name: str, valid: Callable[[Any], bool], notes: list[str]) -> list[Any]:
    """Contents of a JSON file of each study that has it; an invalid one is noted."""
    out = []
    for folder in dict.fromkeys(map(study_folder, paths)):
        found = _json(folder / name)
        if found is not None and valid(found):
            out.append(found)
        elif found is not None:
            notes.append(f"{folder / name} is damaged and was ignored.")
    return out


def _listed(folder: Path, notes: list[str]) -> list[str] | None:
    """Names of the parts of the study with its current recipe; None without a readable ``parts.json``."""
    found = _json(folder / LISTED)
    if isinstance(found, list) and all(isinstance(name, str) for name in found):
        return [Path(name).name for name in found]
    if found is not None:
        notes.append(f"{folder / LISTED} is damaged; all parts were read.")
    return None


def study_folder(path: str | os.PathLike[str]) -> Path:
    """The folder of results: the path itself, or that of a Parquet file."""
    return Path(path) if Path(path).is_dir() else Path(path).parent


def _json(file: Path) -> Any:
    """Contents of a JSON file; None if it does not exist, `DAMAGED` if it cannot be read."""
    if not file.is_file():
        return None
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return DAMAGED
    return DAMAGED if found is None else found
