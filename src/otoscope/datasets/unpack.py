"""Unpacking archives that others made: nothing is written outside the folder, no links are followed or made."""

from __future__ import annotations

import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO

from otoscope.core.files import atomic_write
from otoscope.datasets.records import DatasetError

DAMAGE = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, RuntimeError, NotImplementedError)
LITTER = {"__MACOSX", ".DS_Store"}


def is_archive(file: Path) -> bool:
    """Whether a file is an archive, by its name."""
    return file.name.endswith((".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz"))


def unpack(archive: Path, folder: Path, strip: str = "") -> int:
    """Unpack a zip or tar file; each file appears whole or not at all.

    Parameters
    ----------
    archive : Path
        A zip or tar file.
    folder : Path
        Where its files go; made if needed.
    strip : str
        A folder at the top of the archive that is left out of the names.

    Returns
    -------
    int
        Number of files.

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
        for name, opened in _members(archive):
            target = _target(archive, name, strip)
            if target is None:
                continue
            with atomic_write(folder / target) as part, opened() as source, part.open("wb") as out:
                shutil.copyfileobj(source, out, 1 << 20)
            count += 1
    except DAMAGE as error:
        reason = str(error).split("\n")[0].rstrip(":")
        raise DatasetError(
            f"{archive} cannot be unpacked ({type(error).__name__}: {reason}); delete it and fetch it again"
        ) from error
    return count


def _members(archive: Path) -> Iterator[tuple[str, Opener]]:
    if archive.name.endswith(".zip"):
        yield from _zip(archive)
    else:
        yield from _tar(archive)


class Opener:
    """Opens one file of an archive."""

    def __init__(self, archive: zipfile.ZipFile | tarfile.TarFile, member: zipfile.ZipInfo | tarfile.TarInfo):
        self.archive, self.member = archive, member

    @contextmanager
    def __call__(self) -> Iterator[IO[bytes]]:
        """The content of the file."""
        if isinstance(self.archive, zipfile.ZipFile):
            source: IO[bytes] | None = self.archive.open(self.member)  # type: ignore[arg-type]
        else:
            source = self.archive.extractfile(self.member)  # type: ignore[arg-type]
        if source is None:
            raise tarfile.ReadError("a file without content")
        with source:
            yield source


def _zip(archive: Path) -> Iterator[tuple[str, Opener]]:
    with zipfile.ZipFile(archive) as opened:
        for member in opened.infolist():
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _refused(archive, member.filename, "a link or a device")
            if not member.is_dir():
                yield member.filename, Opener(opened, member)


def _tar(archive: Path) -> Iterator[tuple[str, Opener]]:
    with tarfile.open(archive) as opened:
        for member in opened:
            if not (member.isfile() or member.isdir()):
                raise _refused(archive, member.name, "a link or a device")
            if member.isfile():
                yield member.name, Opener(opened, member)


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
