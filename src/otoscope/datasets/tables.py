"""Tables of clips: CSV and Parquet files, the columns that are needed, paths that stay in their folder."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath

from otoscope.core.errors import ParameterError
from otoscope.core.runtime import require
from otoscope.datasets.records import Dataset, DatasetError, Example, Fold

Row = dict[str, str]
LONGEST_NAME, LONGEST_PATH = 255, 3000
"""Bytes of a file's name, characters of a path in a table, that disks take."""


def read_rows(table: Path, columns: Iterable[str] = (), advice: str = "check the path") -> list[Row]:
    """The rows of a CSV or Parquet file as text, without spaces around.

    Raises
    ------
    DatasetError
        If it is not there, cannot be read, is empty, or lacks a column.
    """
    if not table.is_file():
        raise DatasetError(f"{table} is not there; {advice}")
    rows = _parquet(table) if table.suffix.lower() in (".parquet", ".pq") else _csv(table)
    if not rows:
        raise DatasetError(f"{table} lists no clips; one row per clip is expected")
    missing = sorted(set(columns) - set(rows[0]))
    if missing:
        raise DatasetError(f"{table} lacks the columns {missing}; it has {sorted(rows[0])}")
    return rows


def _csv(table: Path) -> list[Row]:
    try:
        with table.open(encoding="utf-8-sig", newline="") as lines:
            sample = lines.readline()
            lines.seek(0)
            tabs = "\t" in sample and "," not in sample
            reader = csv.DictReader(lines, delimiter="\t" if tabs else ",", strict=True)
            refuse_columns(table, reader.fieldnames or ())
            rows = []
            for row in reader:
                if None in row or None in row.values():
                    raise DatasetError(
                        f"{table}: line {reader.line_num} has more or fewer cells than the {len(reader.fieldnames or ())} "
                        "columns of its head; put cells that hold a comma in quotes"
                    )
                rows.append({k.strip(): v.strip() for k, v in row.items()})
            return rows
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        if isinstance(error, DatasetError):
            raise
        raise DatasetError(f"{table} cannot be read as CSV in UTF-8 ({error})") from error


def _parquet(table: Path) -> list[Row]:
    parquet = require("pyarrow.parquet", "data", "reading Parquet tables", package="pyarrow")
    try:
        refuse_columns(table, parquet.read_schema(table).names)
        found = parquet.read_table(table).to_pylist()
    except (OSError, ValueError) as error:
        if isinstance(error, DatasetError):
            raise
        raise DatasetError(f"{table} cannot be read as Parquet ({str(error).splitlines()[0]})") from error
    return [{str(k): "" if v is None else str(v).strip() for k, v in row.items()} for row in found]


def whole_number(table: Path, row: Row, column: str) -> int:
    """A cell as an int.

    Raises
    ------
    ParameterError
    """
    try:
        return int(row[column])
    except ValueError:
        raise ParameterError(
            f"{table}: the cells of {column} must be whole numbers; got {row[column]!r} in {dict(list(row.items())[:3])}"
        ) from None


def inside(root: Path, name: str | Path, table: Path) -> Path:
    """A path of a table, relative to its folder; an absolute one is kept.

    Raises
    ------
    DatasetError
        If it is empty, too long for any disk, or climbs out of the folder.
    """
    text = os.fspath(name)
    parts = {*PurePosixPath(text).parts, *PureWindowsPath(text).parts}
    if not text or "\0" in text:
        raise DatasetError(f"{table}: a row names no file; got {text!r}")
    if ".." in parts:
        raise DatasetError(f"{table}: {text!r} leads out of {root}; put the clips in it, or write an absolute path")
    longest = max(len(part.encode("utf-8", "surrogatepass")) for part in {*parts, ""})
    if longest > LONGEST_NAME or len(text) > LONGEST_PATH:
        raise DatasetError(
            f"{table}: a file name that begins with {text[:40]!r} is too long ({len(text)} characters); a name has at most "
            f"{LONGEST_NAME} bytes"
        )
    return root / text


def classes_of(
    table: Path, root: Path, rows: Sequence[tuple[int, str, Path, Fold, str]]
) -> tuple[tuple[str, ...], tuple[Example, ...]]:
    """Labels in the order of the classes' numbers, and examples, from (number, name, file, fold, source).

    Raises
    ------
    DatasetError
        If a class has two names or a file two rows.
    """
    names: dict[int, str] = {}
    for number, label, _, _, _ in rows:
        if names.setdefault(number, label) != label:
            raise DatasetError(f"{table}: class {number} is called {names[number]!r} and {label!r}; one name per class")
    shared = [label for label, count in Counter(names.values()).items() if count > 1]
    if shared:
        raise DatasetError(f"{table}: {shared[0]!r} is the name of more than one class; one name per class")
    order = {number: i for i, number in enumerate(sorted(names))}
    files = [inside(root, file, table) for _, _, file, _, _ in rows]
    refuse_twice(table, files)
    examples = tuple(
        Example(path, label, order[number], fold, source)
        for path, (number, label, _, fold, source) in zip(files, rows, strict=True)
    )
    return tuple(names[n] for n in sorted(names)), examples


def refuse_columns(table: Path, names: Iterable[str]) -> None:
    """Refuse a head that names a column twice; columns without a name do not matter."""
    twice = [name for name, count in Counter(str(n).strip() for n in names).items() if name and count > 1]
    if twice:
        raise DatasetError(f"{table} has more than one column {twice[0]!r}; keep one, or give the others other names")


def refuse_twice(table: Path, clips: Sequence[object]) -> None:
    """Refuse a clip that has two rows."""
    twice = [clip for clip, count in Counter(clips).items() if count > 1]
    if twice:
        first = twice[0][0] if isinstance(twice[0], tuple) else twice[0]
        raise DatasetError(f"{table}: {len(twice)} clips have more than one row, the first is {first}; keep one")


def require_files(data: Dataset, where: Path) -> Dataset:
    """The data set, where all of its files are there.

    Raises
    ------
    DatasetError
        Naming the first that is not.
    """
    paths = list(dict.fromkeys(e.path for e in data.examples))
    present = {folder: _names(folder) for folder in {p.parent for p in paths}}
    gone = [p for p in paths if p.name not in present[p.parent]]
    if gone:
        raise DatasetError(
            f"{len(gone)} of {len(paths)} clips of {where} are missing in {gone[0].parent.name}/, the first is {gone[0].name}"
        )
    return data


def _names(folder: Path) -> set[str]:
    try:
        with os.scandir(folder) as entries:
            return {e.name for e in entries if e.is_file()}
    except OSError:
        return set()
