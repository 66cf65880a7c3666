"""Medley-solos-DB, from a folder in mirdata's layout.

``annotation/Medley-solos-DB_metadata.csv`` with the columns subset, instrument, instrument_id, song_id, uuid4, and
``audio/Medley-solos-DB_SUBSET-INSTRUMENT_UUID.wav``. Source: lostanlen2016deep.
"""

from __future__ import annotations

import os
from pathlib import Path

from otoscope.core.registry import register
from otoscope.datasets.records import OFFICIAL, Dataset, DatasetError
from otoscope.datasets.tables import Row, classes_of, read_rows, whole_number

COLUMNS = ("subset", "instrument", "instrument_id", "song_id", "uuid4")
TABLE = "Medley-solos-DB_metadata.csv"
SUBSETS = {"training": "train", "train": "train", "validation": "validation", "test": "test"}


@register(
    "dataset",
    "medley-solos-db",
    family="music",
    source="lostanlen2016deep",
    licence="CC BY 4.0",
    sample_rate=44100,
    classes=8,
    clips=21571,
    folds=", ".join(OFFICIAL),
    needs_download=True,
    hosted="mirdata:medley_solos_db",
    audio="audio",
)
def read_medley_solos_db(root: str | os.PathLike[str]) -> Dataset:
    """Solos of 3 s of eight instruments, split by song and collection.

    Examples
    --------
    >>> read_medley_solos_db("medley_solos_db").fold_names()  # doctest: +SKIP
    ['train', 'validation', 'test']
    """
    folder = Path(root)
    places = [folder / "annotation" / TABLE, folder / TABLE]
    table = next((p for p in places if p.is_file()), places[0])
    rows = read_rows(table, COLUMNS, "give the folder of Medley-solos-DB that holds annotation/ and audio/")

    def entry(row: Row) -> tuple[int, str, Path, str, str]:
        if row["subset"] not in SUBSETS:
            raise DatasetError(
                f"{table}: the subset {row['subset']!r} of {row['uuid4']} is not one of {sorted(SUBSETS)}"
            )
        number = whole_number(table, row, "instrument_id")
        name = f"Medley-solos-DB_{row['subset']}-{number}_{row['uuid4']}.wav"
        return number, row["instrument"], Path("audio", name), SUBSETS[row["subset"]], f"song-{row['song_id']}"

    labels, examples = classes_of(table, folder, [entry(r) for r in rows])
    return Dataset("Medley-solos-DB", labels, examples, "CC BY 4.0", "lostanlen2016deep")
