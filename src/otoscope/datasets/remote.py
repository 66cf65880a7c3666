"""Download addresses of data sets: the entries of soundata and mirdata if they have them, else our own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from otoscope.core.errors import UnsupportedError
from otoscope.core.registry import Entry
from otoscope.core.runtime import require

NOTES = ".otoscope"
"""Folder in a data set's folder for what is no data: the index with the checksums of its files."""


@dataclass(frozen=True)
class Remote:
    """A file to fetch.

    Parameters
    ----------
    url : str
        Address, ``http`` or ``https``.
    name : str
        Of the file.
    checksum : str
        ``"md5:..."`` or ``"sha256:..."``; empty where none is published.
    strip : str
        A folder at the top of the archive that is left out.
    into : str
        Folder in the data set's folder to unpack into, or to put the file in.
    """

    url: str
    name: str
    checksum: str = ""
    strip: str = ""
    into: str = ""


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


def remotes_of(entry: Entry, settings: Mapping[str, Any], mirror: str = "") -> tuple[Remote, ...]:
    """The files that make up a data set, the checksums of its files last.

    Parameters
    ----------
    entry : Entry
        Registry entry of the data set.
    settings : mapping
        Its settings, as `otoscope.core.registry.parse` returns them.
    mirror : str
        An address that holds the same files by their names, in place of the usual ones.

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
