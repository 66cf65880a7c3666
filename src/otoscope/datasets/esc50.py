"""ESC-50 and its subset ESC-10, from a folder in the layout of the release.

``meta/esc50.csv`` with the columns filename, fold, target, category, esc10, src_file, take, and ``audio/``.
Source: piczak2015esc.
"""

from __future__ import annotations

import csv
import os
from pathlib import Path

from otoscope.core import registry
from otoscope.core.errors import OtoscopeError, ParameterError
from otoscope.datasets.records import Dataset, Example

COLUMNS = {"filename", "fold", "target", "category", "src_file"}


class DatasetError(OtoscopeError, FileNotFoundError):
    """A data set folder that is missing or incomplete."""


@registry.register("dataset", "esc50", source="piczak2015esc", folds=5, needs_download=True)
def load_esc50(root: str | os.PathLike[str], esc10: bool = False) -> Dataset:
    """Environmental sounds in 50 classes (or the 10 of ESC-10) and five folds.

    Parameters
    ----------
    root : path
        Folder with ``meta/esc50.csv`` and ``audio/``.
    esc10 : bool
        Only the clips that are marked as ESC-10.

    Returns
    -------
    Dataset
        Classes in the order of their numbers in the table; one class keeps one name.

    Raises
    ------
    DatasetError
        If the table or a clip is missing.
    """
    folder = Path(root)
    table = folder / "meta" / "esc50.csv"
    if not table.is_file():
        raise DatasetError(f"{table} is not there; give the folder of ESC-50 that holds meta/ and audio/")
    with table.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    if not rows or not set(rows[0]) >= COLUMNS:
        raise DatasetError(f"{table} lacks the columns {sorted(COLUMNS - set(rows[0] if rows else ()))}")
    if esc10:
        rows = [r for r in rows if r.get("esc10", "").lower() == "true"]
    try:
        names = {int(r["target"]): r["category"] for r in rows}
        order = {target: i for i, target in enumerate(sorted(names))}
        examples = tuple(
            Example(
                folder / "audio" / r["filename"], r["category"], order[int(r["target"])], int(r["fold"]), r["src_file"]
            )
            for r in rows
        )
    except ValueError as error:
        raise ParameterError(f"{table}: fold and target must be whole numbers ({error})") from error
    gone = [e.path.name for e in examples if not e.path.is_file()]
    if gone:
        raise DatasetError(
            f"{len(gone)} of {len(examples)} clips of {table} are missing in audio/, the first is {gone[0]}"
        )
    return Dataset(
        "ESC-10" if len(names) == 10 else "ESC-50", tuple(names[t] for t in sorted(names)), examples, "CC BY"
    )
