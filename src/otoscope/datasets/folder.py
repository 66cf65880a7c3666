"""Your own clips: a folder for each class, or a table of clips.

A table (CSV, or Parquet with the extra ``data``) has the columns ``file`` (or filename, file_name, path) and ``label``
(or class, category), and may have ``fold`` (or split), ``source``, ``start`` and ``end`` in seconds, written large or
small. Without folds, sources are distributed over folds.
"""

from __future__ import annotations

import math
import os
import re
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from otoscope.core.errors import ParameterError
from otoscope.core.registry import Parameter, register
from otoscope.datasets.files import sound_files
from otoscope.datasets.records import Dataset, DatasetError, Example, Fold
from otoscope.datasets.tables import Row, inside, read_rows, refuse_columns, refuse_twice

TABLES = ("metadata.csv", "manifest.csv", "metadata.parquet", "manifest.parquet")
COLUMNS = {
    "file": ("file", "filename", "file_name", "path"),
    "label": ("label", "class", "category"),
    "fold": ("fold", "split"),
    "source": ("source",),
    "start": ("start", "start_s"),
    "end": ("end", "end_s", "stop", "stop_s"),
}
LONGEST_FOLD = 100
NO_FOLD, NO_INDEX = "", -1  # of clips whose folds are not dealt and whose classes are not numbered yet
SPLITS = {
    "train": "train", "training": "train",
    "val": "validation", "valid": "validation", "validation": "validation", "dev": "validation",
    "test": "test", "testing": "test", "eval": "test",
}  # fmt: skip


@register(
    "dataset",
    "folder",
    family="own",
    parameters=(
        Parameter("table", str, "", "the table, in the folder; else metadata.csv or manifest.csv, if present"),
        Parameter(
            "labels", str, "", "a file with one class per line, in the order of their numbers; else by the alphabet"
        ),
        Parameter("folds", int, 5, "folds that sources are dealt to where the clips have none", 2, 1000),
    ),
    licence="your own",
    sample_rate=0,
    classes=0,
    clips=0,
    folds="those of the table or of the folders train, validation, test; else 5",
    needs_download=False,
)
def read_folder(root: str | os.PathLike[str], table: str = "", labels: str = "", folds: int = 5) -> Dataset:
    """Your own clips: a folder per class, or a table with the columns file and label.

    Parameters
    ----------
    root : path
        The folder, or the table itself.
    table : str
        Name of the table in the folder.
    labels : str
        Name of the file of labels.
    folds : int
        Number of folds that sources are dealt to if the clips have none; at least 2.

    Returns
    -------
    Dataset

    Raises
    ------
    DatasetError
        Where there are no clips, a column is missing, a path climbs out of the folder, a clip has two rows, or a class
        is not in the file of labels.
    ParameterError
        For times or folds that are none.

    Examples
    --------
    >>> import pathlib
    >>> _ = pathlib.Path("metadata.csv").write_text("file,label,fold\\nbark.wav,dog,1\\nrain.wav,rain,2\\n")
    >>> [(e.label, e.fold) for e in read_folder(".").examples]
    [('dog', 1), ('rain', 2)]
    """
    folder, listing = _place(Path(root), table)
    found = _from_table(folder, listing) if listing is not None else _from_folders(folder)
    where = listing or folder
    names = _labels(inside(folder, labels, folder)) if labels else tuple(sorted({f.label for f in found}))
    order = {label: i for i, label in enumerate(names)}
    unknown = sorted({f.label for f in found} - set(order))
    if unknown:
        raise DatasetError(
            f"{where} has {len(unknown)} classes that {labels} does not name, the first is {unknown[0]!r}; add them to it"
        )
    examples = tuple(replace(e, index=order[e.label]) for e in _dealt(found, folds, where))
    return Dataset(folder.resolve().name, names, examples)


def _place(root: Path, table: str) -> tuple[Path, Path | None]:
    """The folder, and its table, if any."""
    if root.is_file():
        return root.parent, root
    if not root.is_dir():
        raise DatasetError(f"{root} is not there; give a folder of clips, or a table of them")
    if table:
        return root, inside(root, table, root)
    return root, next((root / name for name in TABLES if (root / name).is_file()), None)


def _from_table(folder: Path, table: Path) -> list[Example]:
    rows = read_rows(table)
    columns = {c.lower(): c for c in rows[0]}
    refuse_columns(table, [c.lower() for c in rows[0]])
    have = {meaning: next((columns[c] for c in names if c in columns), None) for meaning, names in COLUMNS.items()}
    for needed in ("file", "label"):
        if have[needed] is None:
            raise DatasetError(
                f"{table} has no column {needed!r} (or {', '.join(COLUMNS[needed][1:])}); it has {sorted(rows[0])}"
            )
    found = [_row(folder, table, {m: row[c] for m, c in have.items() if c is not None}) for row in rows]
    refuse_twice(table, [(f.path, f.start_s, f.stop_s) for f in found])
    unsaid = [f for f in found if f.fold == NO_FOLD]
    if unsaid and len(unsaid) < len(found):
        raise DatasetError(
            f"{table}: {len(unsaid)} clips have no fold, the first is {unsaid[0].path.name}; all or none"
        )
    return found


def _row(folder: Path, table: Path, row: Row) -> Example:
    if not row["label"]:
        raise DatasetError(f"{table}: {row['file']!r} has no label")
    path = inside(folder, row["file"], table)
    start = _seconds(table, row, "start") or 0.0
    stop = _seconds(table, row, "end")
    if stop is not None and stop <= start:
        raise ParameterError(f"{table}: {row['file']!r} ends at {stop:g} s, but starts at {start:g} s")
    fold, source = _fold(table, row.get("fold", "")), row.get("source") or row["file"]
    return Example(path, row["label"], NO_INDEX, fold, source, start, stop)


def _seconds(table: Path, row: Row, column: str) -> float | None:
    text = row.get(column, "")
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.0 <= value < math.inf:
        raise ParameterError(f"{table}: {column} of {row['file']!r} must be seconds of at least 0; got {text!r}")
    return value


def _fold(table: Path, text: str) -> Fold:
    """A whole number (1.0 is one, too), or a name, which becomes a part of folders' names."""
    if not text:
        return NO_FOLD
    if re.fullmatch(r"[+-]?[0-9]{1,18}(\.0*)?", text):
        return int(text.partition(".")[0])
    if set("/\\") & set(text) or ".." in text or not text.isprintable() or len(text) > LONGEST_FOLD:
        raise ParameterError(
            f"{table}: a fold is a number or a name of at most {LONGEST_FOLD} characters without slashes, '..' and control "
            f"characters; got {text[: LONGEST_FOLD + 1]!r}"
        )
    return SPLITS.get(text.lower(), text)


def _from_folders(folder: Path) -> list[Example]:
    """FOLDER/CLASS/clip, or FOLDER/SPLIT/CLASS/clip where every folder at the top is called like a split."""
    tops = sorted(d for d in folder.iterdir() if d.is_dir() and not d.name.startswith((".", "_")))
    split = bool(tops) and all(d.name.lower() in SPLITS for d in tops)
    found = []
    for top in tops:
        classes = sorted(d for d in top.iterdir() if d.is_dir() and not d.name.startswith(".")) if split else [top]
        fold = SPLITS[top.name.lower()] if split else NO_FOLD
        for place in classes:
            for path in sound_files(place):
                found.append(Example(path, place.name, NO_INDEX, fold, path.relative_to(folder).as_posix()))
    if not found:
        raise DatasetError(
            f"{folder} holds no clips; a folder for each class with sound files in it is expected, or a table of clips "
            f"({', '.join(TABLES)})"
        )
    return found


def _labels(file: Path) -> tuple[str, ...]:
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(
            f"the file of labels {file} cannot be read ({getattr(error, 'strerror', None) or error})"
        ) from error
    names = [line for line in lines if line]
    if not names:
        raise DatasetError(f"the file of labels {file} is empty; one class per line is expected")
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DatasetError(f"{file} names {len(twice)} labels more than once, the first is {twice[0]!r}; keep one")
    return tuple(names)


def _dealt(found: Sequence[Example], folds: int, where: Path) -> list[Example]:
    """The clips with folds: their own, else those of their sources, which are dealt out class by class, in an order that
    depends on the names alone."""
    if all(f.fold != NO_FOLD for f in found):
        return list(found)
    first_label: dict[str, str] = {}
    for f in found:
        first_label.setdefault(f.source, f.label)
    if len(first_label) < folds:
        raise DatasetError(
            f"{where} has clips of {len(first_label)} sources, too few for {folds} folds; give folds={max(2, len(first_label))} "
            "or more clips"
        )
    sources = sorted(first_label, key=lambda s: (first_label[s], zlib.crc32(s.encode("utf-8", "surrogateescape")), s))
    fold_of = {source: place % folds + 1 for place, source in enumerate(sources)}
    return [replace(f, fold=fold_of[f.source]) for f in found]
