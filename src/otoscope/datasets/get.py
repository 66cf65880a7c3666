"""Bring a data set into a folder: from the addresses that soundata and mirdata have for it, else from our own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from otoscope.core import registry
from otoscope.core.errors import UnsupportedError
from otoscope.core.files import make_folder
from otoscope.core.runtime import require
from otoscope.datasets.download import Remote, download
from otoscope.datasets.load import load_dataset
from otoscope.datasets.records import Dataset, DatasetError
from otoscope.datasets.unpack import is_archive, unpack

NOTES = ".otoscope"
"""Folder in a data set's folder for what is not data: the index with the checksums of its files."""
_SPEECH = "https://storage.googleapis.com/download.tensorflow.org/data/"
OWN: dict[str, tuple[Remote, ...]] = {
    "speech-commands,version=v1": (
        Remote(
            f"{_SPEECH}speech_commands_v0.01.tar.gz",
            "speech_commands_v0.01.tar.gz",
            "sha256:743935421bb51cccdb6bdd152e04c5c70274e935c82119ad7faeec31780d811d",
        ),
    ),
    "speech-commands,version=v2": (
        Remote(
            f"{_SPEECH}speech_commands_v0.02.tar.gz",
            "speech_commands_v0.02.tar.gz",
            "sha256:af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58",
        ),
    ),
    "fsdd": (
        Remote(
            "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/refs/tags/v1.0.10.tar.gz",
            "free-spoken-digit-dataset-1.0.10.tar.gz",
            "",  # such archives are repacked now and then; otoscope data check compares the recordings with a digest
            "free-spoken-digit-dataset-1.0.10",
        ),
    ),
}


@dataclass(frozen=True)
class Fetched:
    """What a folder holds now."""

    data: Dataset
    folder: Path
    files: tuple[str, ...]  # names of what was fetched; empty where all was there, or was made here


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


def remotes_of(entry: registry.Entry, settings: Mapping[str, Any], mirror: str = "") -> tuple[Remote, ...]:
    """The files that make up a data set, the checksums of its files last.

    ``mirror`` is an address that holds the same files by their names, in place of the usual ones.

    Raises
    ------
    UnsupportedError
        For a data set without a known download.
    MissingExtraError
        If soundata or mirdata is needed and not there.
    """
    hosted = str(entry.facts.get("hosted", ""))
    own = OWN.get(f"{entry.name},version={settings.get('version')}", OWN.get(entry.name, ()))
    if own:
        found = own
    elif hosted.startswith(("soundata:", "mirdata:")):
        library, _, module = hosted.partition(":")
        found = _from_loader(library, module)
    else:
        raise UnsupportedError(
            f"the data set {entry.name} has no known download; put its files into a folder and pass that"
        )
    if mirror:
        found = tuple(replace(r, url=f"{mirror.rstrip('/')}/{r.name}") for r in found)
    return found


def _from_loader(library: str, module: str) -> tuple[Remote, ...]:
    loader = require(f"{library}.datasets.{module}", "data", f"fetching {module}", package=library)
    found = []
    for file in loader.REMOTES.values():
        strip = next(iter(file.unpack_directories or ()), "")
        found.append(Remote(file.url, file.filename, f"md5:{file.checksum}", strip, file.destination_dir or ""))
    index = loader.INDEXES[loader.INDEXES["default"]].remote
    if index is not None:
        found.append(Remote(index.url, index.filename, f"md5:{index.checksum}", into=NOTES))
    return tuple(found)
