"""Bring a data set into a folder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from otoscope.core import registry
from otoscope.core.errors import UnsupportedError
from otoscope.core.files import make_folder
from otoscope.datasets.download import download
from otoscope.datasets.load import load_dataset
from otoscope.datasets.records import Dataset, DatasetError
from otoscope.datasets.remote import Remote, remotes_of
from otoscope.datasets.unpack import is_archive, unpack


@dataclass(frozen=True)
class Fetched:
    """What a folder holds now.

    Parameters
    ----------
    data : Dataset
        The data set.
    folder : Path
        Where it lies.
    files : tuple of str
        Names of the files that were fetched; empty where all was there, or was made here.
    """

    data: Dataset
    folder: Path
    files: tuple[str, ...]


def get_dataset(spec: str, root: str | os.PathLike[str], mirror: str = "") -> Fetched:
    """Fetch a data set, check it, unpack it; or make it, where it is made by code. What is there already is left.

    Parameters
    ----------
    spec : str
        A registered name and its settings, such as ``esc50`` or ``speech-commands,version=v1``.
    root : path-like
        Its folder.
    mirror : str
        An address that holds the same files by their names.

    Returns
    -------
    Fetched

    Raises
    ------
    DownloadError, WriteError, DatasetError, UnsupportedError, MissingExtraError
    """
    entry, settings = registry.parse("dataset", spec)
    folder = Path(root)
    if not entry.facts.get("needs_download", True):
        if entry.family == "own":
            raise UnsupportedError(f"{entry.name} stands for your own clips; there is nothing to fetch")
        return Fetched(load_dataset(spec, folder), folder, ())
    try:
        return Fetched(load_dataset(spec, folder), folder, ())
    except DatasetError:
        pass
    remotes = remotes_of(entry, settings, mirror)
    make_folder(folder)
    for remote in remotes:
        _bring(remote, folder)
    return Fetched(load_dataset(spec, folder), folder, tuple(r.name for r in remotes))


def _bring(remote: Remote, folder: Path) -> None:
    into = folder / remote.into
    if not is_archive(Path(remote.name)):
        download(remote, into)
        return
    archive = download(remote, folder)
    unpack(archive, into, remote.strip)
    archive.unlink(missing_ok=True)
