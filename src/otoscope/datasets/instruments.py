"""Single notes of instruments: ``notes.csv`` (filename, instrument, midi_sounding) and a folder for each instrument."""

from __future__ import annotations

import os
from pathlib import Path

from otoscope.core.registry import register
from otoscope.datasets.records import Dataset
from otoscope.datasets.tables import classes_of, read_rows, whole_number

COLUMNS = ("filename", "instrument", "midi_sounding")
FOLDS = 3


@register(
    "dataset",
    "instruments",
    family="music",
    licence="CC BY 3.0 and CC0",
    sample_rate=44100,
    classes=8,
    clips=173,
    folds="3",
)
def read_instruments(root: str | os.PathLike[str]) -> Dataset:
    """Single notes of eight instruments; the notes of each, by pitch, go to the folds 1, 2, 3, 1, 2, 3.

    Examples
    --------
    >>> read_instruments("instruments").fold_names()  # doctest: +SKIP
    [1, 2, 3]
    """
    folder = Path(root)
    table = folder / "notes.csv"
    rows = read_rows(table, COLUMNS, "give the folder that holds notes.csv and a folder of notes for each instrument")
    names = sorted({r["instrument"] for r in rows})
    entries = []
    for number, instrument in enumerate(names):
        own = [(whole_number(table, r, "midi_sounding"), r["filename"]) for r in rows if r["instrument"] == instrument]
        for place, (_, file) in enumerate(sorted(own)):
            entries.append((number, instrument, Path(file), place % FOLDS + 1, file))
    labels, examples = classes_of(table, folder, entries)
    return Dataset("instruments", labels, examples, "CC BY 3.0 and CC0")
