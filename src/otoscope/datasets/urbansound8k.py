"""UrbanSound8K, from a folder in the layout of the release.

``metadata/UrbanSound8K.csv`` with the columns slice_file_name, fsID, fold, classID, class, and ``audio/fold1`` to
``audio/fold10``. Source: salamon2014dataset.
"""

from __future__ import annotations

import os
from pathlib import Path

from otoscope.core.registry import register
from otoscope.datasets.records import Dataset
from otoscope.datasets.tables import Row, classes_of, read_rows, whole_number

COLUMNS = ("slice_file_name", "fsID", "fold", "classID", "class")


@register(
    "dataset",
    "urbansound8k",
    family="environment",
    source="salamon2014dataset",
    licence="CC BY-NC 4.0",
    sample_rate=0,
    classes=10,
    clips=8732,
    folds="10",
    needs_download=True,
    hosted="soundata:urbansound8k",
    audio="audio",
)
def read_urbansound8k(root: str | os.PathLike[str]) -> Dataset:
    """Sounds of the city of up to 4 s in 10 classes and ten folds; the rates of its files differ.

    Examples
    --------
    >>> len(read_urbansound8k("UrbanSound8K").fold_names())  # doctest: +SKIP
    10
    """
    folder = Path(root)
    table = folder / "metadata" / "UrbanSound8K.csv"
    rows = read_rows(table, COLUMNS, "give the folder of UrbanSound8K that holds metadata/ and audio/")

    def entry(row: Row) -> tuple[int, str, Path, int, str]:
        fold = whole_number(table, row, "fold")
        path = Path("audio", f"fold{fold}", row["slice_file_name"])
        return whole_number(table, row, "classID"), row["class"], path, fold, row["fsID"]

    labels, examples = classes_of(table, folder, [entry(r) for r in rows])
    return Dataset("UrbanSound8K", labels, examples, "CC BY-NC 4.0", "salamon2014dataset")
