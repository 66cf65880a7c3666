"""ESC-50 and its subset ESC-10, from a folder in the layout of the release.

``meta/esc50.csv`` with the columns filename, fold, target, category, esc10, src_file, take, and ``audio/``.
Source: piczak2015esc.
"""

from __future__ import annotations

import os
from pathlib import Path

from otoscope.core.registry import Parameter, register
from otoscope.datasets.records import Dataset
from otoscope.datasets.tables import Row, classes_of, read_rows, require_files, whole_number

COLUMNS = ("filename", "fold", "target", "category", "src_file")


@register(
    "dataset",
    "esc50",
    family="environment",
    source="piczak2015esc",
    parameters=(Parameter("esc10", bool, False, "only the 10 classes of ESC-10"),),
    licence="CC BY-NC 3.0 (ESC-10: CC BY 3.0)",
    sample_rate=44100,
    classes=50,
    clips=2000,
    folds="5",
    needs_download=True,
    hosted="soundata:esc50",
    audio="audio",
    wholes={"esc10=True": (10, 400)},
)
def read_esc50(root: str | os.PathLike[str], esc10: bool = False) -> Dataset:
    """Environmental sounds of 5 s in 50 classes and five folds, or the 10 classes of ESC-10."""
    folder = Path(root)
    table = folder / "meta" / "esc50.csv"
    rows = read_rows(table, COLUMNS, "give the folder of ESC-50 that holds meta/ and audio/")
    if esc10:
        rows = [r for r in rows if r.get("esc10", "").lower() == "true"]

    def entry(row: Row) -> tuple[int, str, Path, int, str]:
        fold = whole_number(table, row, "fold")
        return (
            whole_number(table, row, "target"),
            row["category"],
            Path("audio", row["filename"]),
            fold,
            row["src_file"],
        )

    labels, examples = classes_of(table, folder, [entry(r) for r in rows])
    small = len(labels) == 10
    return Dataset(
        "ESC-10" if small else "ESC-50", labels, examples, "CC BY 3.0" if small else "CC BY-NC 3.0", "piczak2015esc"
    )


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
    ParameterError
        If a fold or a class in the table is not a whole number.

    Examples
    --------
    >>> load_esc50("ESC-50-master", esc10=True).labels[0]  # doctest: +SKIP
    'dog'
    """
    return require_files(read_esc50(root, esc10), Path(root) / "meta" / "esc50.csv")
