"""Unpacking archives that others made: nothing is written outside the folder, no links are followed or made."""

from __future__ import annotations

import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from otoscope.core.files import atomic_write
from otoscope.datasets.records import DatasetError

DAMAGE = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, RuntimeError, NotImplementedError)
LITTER = {"__MACOSX", ".DS_Store"}


def is_archive(file: Path) -> bool:
    """Whether a file is an archive, by its name."""
    return file.name.endswith((".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz"))


def unpack(archive: Path, folder: Path, strip: str = "") -> int:
    """Unpack a zip or tar file into a folder, and count its files; each appears whole or not at all.

    ``strip`` is a folder at the top of the archive that is left out of the names.

    Raises
    ------
    DatasetError
        If the archive is damaged, or holds a link, a device, or a name that leads out of the folder. What came before is
        in place.
    WriteError
        If a file cannot be written.
    """
    count = 0
    try:
        for name, open_member in _members(archive):
            target = _target(archive, name, strip)
            if target is None:
                continue
            with atomic_write(folder / target) as part, open_member() as source, part.open("wb") as out:
                shutil.copyfileobj(source, out, 1 << 20)
            count += 1
    except DAMAGE as error:
        reason = str(error).split("\n")[0].rstrip(":")
        raise DatasetError(
            f"{archive} cannot be unpacked ({type(error).__name__}: {reason}); delete it and fetch it again"
        ) from error
    return count


def _members(archive: Path) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Name of each file in an archive, and what opens it; `DatasetError` for a link or a device."""
    if archive.name.endswith(".zip"):
        with zipfile.ZipFile(archive) as opened:
            for entry in opened.infolist():
                if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
                    raise _refused(archive, entry.filename, "a link or a device")
                if not entry.is_dir():
                    yield entry.filename, partial(opened.open, entry)
        return
    with tarfile.open(archive) as tar:
        for member in tar:
            if not (member.isfile() or member.isdir()):
                raise _refused(archive, member.name, "a link or a device")
            if member.isfile():
                yield member.name, partial(tar.extractfile, member)


def _target(archive: Path, name: str, strip: str) -> PurePosixPath | None:
    """Where a file goes, relative to the folder; None for what a computer left there by itself."""
    path, windows = PurePosixPath(name), PureWindowsPath(name)
    if path.is_absolute() or windows.drive or windows.root or ".." in (*path.parts, *windows.parts) or "\0" in name:
        raise _refused(archive, name, "a name that leads out of its folder")
    parts = path.parts
    if LITTER & set(parts) or not parts or parts[-1].startswith("._"):
        return None
    return PurePosixPath(*parts[1:]) if strip and parts[0] == strip and len(parts) > 1 else path


def _refused(archive: Path, name: str, what: str) -> DatasetError:
    return DatasetError(f"{archive} was refused: it holds {what} ({name!r}); fetch it from its owner")
