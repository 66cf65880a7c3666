"""The files of studies: which of them hold the results as they stand now, and what is whole of them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from functools import reduce
from pathlib import Path
from typing import Any

from otoscope.core.errors import OtoscopeError

NEEDED = ("clip", "condition", "classifier", "method", "domain", "mask", "status")
DAMAGED = object()
WHOLE, PARTS, LISTED, ABOUT, SANITY = "results.parquet", "parts", "parts.json", "study.json", "sanity.json"


def tables_of(path: Path, notes: list[str]) -> list[tuple[Path, Any]]:
    """The tables of a path: a Parquet file, or a study's folder.

    Parameters
    ----------
    path : Path
        Of a folder, ``results.parquet``; where it is not there, damaged, or older than ``parts.json``, the parts that this file
        names (without it, all parts).
    notes : list of str
        Gets what a reader must know of how they were read.

    Raises
    ------
    OtoscopeError
        For a path where no results are, or where nothing is whole.
    """
    if path.is_file():
        return [(path, read_table(path))]
    if not path.is_dir():
        raise OtoscopeError(f"{path} is not there; give the folder of a study, or Parquet files")
    listed, file = _listed(path, notes), path / WHOLE
    parts = sorted((path / PARTS).glob("*.parquet")) if listed is None else [path / PARTS / name for name in listed]
    there, damage = file.is_file(), None
    older = there and listed is not None and file.stat().st_mtime_ns < (path / LISTED).stat().st_mtime_ns
    if there and not (older and any(part.is_file() for part in parts)):
        try:
            return [(file, read_table(file))]
        except OtoscopeError as error:
            damage = error
            if not any(part.is_file() for part in parts):
                raise
    parts = parts or sorted(path.glob("*.parquet"))
    if listed is not None and not any(part.is_file() for part in parts):
        raise OtoscopeError(f"{path} holds a study of which nothing is done yet; run it first")
    if not parts:
        raise OtoscopeError(f"{path} holds no results: {WHOLE} or {PARTS}/*.parquet was expected; run the study first")
    found = _parts(path, parts, notes)
    if damage is not None:
        notes.append(f"{file} is damaged: its {len(found)} parts were read.")
    elif older:
        notes.append(f"{file} is older than the study as it stands: its {len(found)} parts were read.")
    else:
        notes.append(f"{path} has not ended: its {len(found)} parts so far were read.")
    return found


def read_table(file: Path) -> Any:
    """One Parquet file of a study.

    Raises
    ------
    OtoscopeError
        For a file that is damaged, no Parquet file, or lacks the columns of a study.
    """
    import pyarrow as pa
    import pyarrow.parquet as parquet

    try:
        with file.open("rb") as data, parquet.ParquetFile(data) as opened:
            table = opened.read()
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise OtoscopeError(
            f"{file} is damaged or no Parquet file ({reason:.120}); give the results of a study, or run it again to mend them"
        ) from error
    names = list(table.column_names)
    lacking = [name for name in NEEDED if name not in names]
    if lacking:
        raise OtoscopeError(
            f"{file} is not of a study: it lacks the columns {', '.join(lacking)}; it has {', '.join(names[:12])}"
        )
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise OtoscopeError(f"{file} has the column {twice!r} twice; give the results of a study")
    return table


def joined(tables: Sequence[tuple[Path, Any]]) -> Any:
    """All tables under each other; what one lacks is null.

    Raises
    ------
    OtoscopeError
        If columns contradict each other.
    """
    import pyarrow as pa

    def fail(file: Path, error: Exception) -> OtoscopeError:
        said = f"{' '.join(str(error).split()):.160}"
        return OtoscopeError(f"{file} does not fit to {tables[0][0]}: {said}; make a table of each alone")

    def join(so_far: Any, more: tuple[Path, Any]) -> Any:
        try:
            return pa.concat_tables([so_far, more[1]], promote_options="permissive")
        except (pa.ArrowException, ValueError) as error:
            raise fail(more[0], error) from error

    try:
        return pa.concat_tables([table for _, table in tables], promote_options="permissive")
    except (pa.ArrowException, ValueError):
        return reduce(join, tables[1:], tables[0][1])  # names the file that does not fit


def about_of(paths: Sequence[Path], notes: list[str]) -> dict[str, Any]:
    """What the first study with a ``study.json`` says of itself."""
    for path in paths:
        found = _json(_folder(path) / ABOUT)
        if isinstance(found, dict):
            return found
        if found is not None:
            notes.append(f"{_folder(path) / ABOUT} is damaged; the table does without it.")
    return {}


def sanity_of(paths: Sequence[Path], notes: list[str]) -> list[dict[str, Any]]:
    """Rows of the files ``sanity.json`` of all studies."""
    out: list[dict[str, Any]] = []
    for folder in dict.fromkeys(map(_folder, paths)):
        found = _json(folder / SANITY)
        if isinstance(found, list) and all(isinstance(row, dict) for row in found):
            out += found
        elif found is not None:
            notes.append(f"{folder / SANITY} is damaged; the table does without it.")
    return out


def _folder(path: Path) -> Path:
    return path if path.is_dir() else path.parent


def _json(file: Path) -> Any:
    """What a JSON file holds; None where there is none, `DAMAGED` where nobody can tell."""
    if not file.is_file():
        return None
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return DAMAGED
    return DAMAGED if found is None else found


def _listed(folder: Path, notes: list[str]) -> list[str] | None:
    """Names of the parts that belong to the study as its recipe stands now; None where nothing says so."""
    found = _json(folder / LISTED)
    if isinstance(found, list) and all(isinstance(name, str) for name in found):
        return [Path(name).name for name in found]
    if found is not None:
        notes.append(f"{folder / LISTED} is damaged; all parts count.")
    return None


def _parts(folder: Path, parts: Sequence[Path], notes: list[str]) -> list[tuple[Path, Any]]:
    """The parts that are whole and have the columns that most of them have."""
    found, damage = [], None
    for part in parts:
        try:
            found.append((part, read_table(part)))
        except OtoscopeError as error:
            damage = damage or error
    if not found:
        raise damage or OtoscopeError(f"{folder} holds no results; run the study first")
    usual = Counter(tuple(table.column_names) for _, table in found).most_common(1)[0][0]
    kept = [(part, table) for part, table in found if tuple(table.column_names) == usual]
    if len(found) < len(parts):
        notes.append(
            f"{len(parts) - len(found)} of {len(parts)} parts are missing or damaged: run the study again ({folder})."
        )
    if len(kept) < len(found):
        notes.append(
            f"{len(found) - len(kept)} of {len(parts)} parts have other columns than the rest and were left out: run the study "
            f"again ({folder})."
        )
    return kept
