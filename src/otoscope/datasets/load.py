"""A data set by its name in the registry."""

from __future__ import annotations

import os
from pathlib import Path

from otoscope.core import registry
from otoscope.core.errors import ParameterError
from otoscope.datasets.records import Dataset, DatasetError
from otoscope.datasets.tables import require_files


def load_dataset(spec: str, root: str | os.PathLike[str]) -> Dataset:
    """A data set from its folder.

    Parameters
    ----------
    spec : str
        A registered name and its settings, such as ``esc50``, ``esc50,esc10=true`` or ``fsdd,folds=speaker``; see
        ``otoscope data``.
    root : path-like
        Its folder.

    Returns
    -------
    Dataset
        All files of which are there.

    Raises
    ------
    UnknownNameError, ParameterError
        For a spec that is none.
    DatasetError
        If the folder, a table or a clip is missing, or a table contradicts itself.

    Examples
    --------
    >>> load_dataset("scenes,clips=2,seconds=0.1,sample_rate=8000,kinds=rain+bell", "toy").labels
    ('rain', 'bell')
    """
    data, where = read_dataset(spec, root)
    return require_files(data, where)


def read_dataset(spec: str, root: str | os.PathLike[str], make: bool = True) -> tuple[Dataset, Path]:
    """The data set as its tables describe it, without a look whether the clips are there, and its folder.

    Without ``make`` nothing is written: a data set that is made by code is refused where it was not made yet.
    """
    entry, settings = registry.parse("dataset", spec)
    if not os.fspath(root):
        raise ParameterError(f"the data set {entry.name} needs the folder that it lies in; give its root")
    where = Path(root)
    if entry.facts.get("needs_download", True) and not where.exists():
        raise absent(entry, where)
    if entry.facts.get("made") and not make:
        settings = {**settings, "make": False}
    return entry.target(where, **settings), where


def absent(entry: registry.Entry, where: Path) -> DatasetError:
    """What to do about a data set's folder that does not exist."""
    name = entry.name
    if entry.facts.get("hosted"):
        advice = f"give the folder that holds {name}, or fetch it with: otoscope data get {name} --dir {where}"
    elif entry.facts.get("made"):
        advice = f"make {name} with: otoscope data get {name} --dir {where}"
    elif entry.family == "own":
        advice = "give a folder of clips, or a table of them"
    else:
        advice = f"give the folder that holds {name}; it has no known download"
    return DatasetError(f"{where} is not there; {advice}")
