"""Encoded sounds, as files or bytes: what the decoders open."""

from __future__ import annotations

import difflib
import io
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from otoscope.audio.headers import tag_before_wav
from otoscope.core.errors import AudioReadError


@dataclass(frozen=True)
class Encoded:
    """A sound file, on disk or in memory, that is there, can be read and is not empty."""

    name: str  # what to call it
    path: Path | None = None  # for a sound on disk
    data: bytes | None = None  # its content, where it has no path
    start: int = 0  # byte at which the sound file begins: that behind a tag, for a WAV

    def open(self) -> BinaryIO:
        """A new binary handle at the start; the caller closes it."""
        if self.path is None:
            return io.BytesIO((self.data or b"")[self.start :])
        try:
            return io.BufferedReader(_Behind(self.path, self.start)) if self.start else open(self.path, "rb")
        except (OSError, ValueError) as error:
            raise AudioReadError(self.name, _why(self.path, error)) from error

    def handle(self) -> Any:
        """What soundfile opens: the path, if any, for speed, else a binary handle."""
        return str(self.path) if self.path is not None and not self.start else self.open()


class _Behind(io.RawIOBase):
    """A file from some byte on."""

    def __init__(self, path: Path, start: int):
        self.file, self.start = path.open("rb"), start
        self.file.seek(start)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self.file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self.file.seek(offset if whence else self.start + offset, whence) - self.start

    def close(self) -> None:
        self.file.close()
        super().close()


def encoded(source: Any) -> Encoded | None:
    """The encoded sound that ``source`` is: a path, bytes or a binary file; None where it is something else."""
    if isinstance(source, bytes | bytearray | memoryview):
        return _from_bytes(bytes(source), "bytes")
    if isinstance(source, str | os.PathLike):
        return _from_path(source)
    if callable(getattr(source, "read", None)):
        name = getattr(source, "name", None)
        name = name if isinstance(name, str) else "file object"
        return _from_bytes(_content(source, name), name)
    return None


def _from_bytes(data: bytes, name: str) -> Encoded:
    if not data:
        raise AudioReadError(name, "it is empty (0 bytes); a sound file was expected")
    return Encoded(name, data=data, start=tag_before_wav(io.BytesIO(data)))


def _from_path(source: str | os.PathLike[str]) -> Encoded:
    name = os.fsdecode(source)
    if name.startswith(("http://", "https://", "ftp://", "s3://", "hf://")):
        raise AudioReadError(name, "addresses are not fetched; download the file and pass its path")
    path = Path(name)
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise AudioReadError(name, "it is a directory; pass the sound files in it, such as " + str(path / "*.wav"))
        if stat.S_ISCHR(mode) or stat.S_ISBLK(mode) or stat.S_ISSOCK(mode):
            raise AudioReadError(name, "it is a device, not a file; pass a sound file")
        if stat.S_ISFIFO(mode):
            return _from_bytes(path.read_bytes(), name)
        with open(path, "rb") as file:
            if not file.read(1):
                raise AudioReadError(name, "it is empty (0 bytes); copy or record it again")
            start = tag_before_wav(file)
    except AudioReadError:
        raise
    except (OSError, ValueError) as error:
        raise AudioReadError(name, _why(path, error)) from error
    return Encoded(name, path, start=start)


def _content(file: Any, name: str) -> bytes:
    """All of a binary file from where it stands; it is put back there afterwards where that can be done."""
    try:
        place = file.tell() if file.seekable() else None
    except (AttributeError, OSError, ValueError):
        place = None
    try:
        data = file.read()
        if place is not None:
            file.seek(place)
    except (OSError, ValueError) as error:
        raise AudioReadError(name, f"{error}; pass an open binary file") from error
    if not isinstance(data, bytes | bytearray | memoryview):
        raise AudioReadError(name, f"it gives {type(data).__name__}, not bytes; open it as open(path, 'rb')")
    if not data and place:
        raise AudioReadError(name, f"it stands at its end (byte {place}); go back with file.seek(0) first")
    return bytes(data)


def _why(path: Path, error: Exception) -> str:
    """What the operating system refused, and what to do."""
    if isinstance(error, FileNotFoundError) and path.is_symlink():
        return f"it is a link to {os.readlink(path)!r}, which is not there; restore the file or remove the link"
    if isinstance(error, FileNotFoundError):
        return "there is no such file" + _nearest(path)
    if isinstance(error, NotADirectoryError):
        return f"a part of its path is not a directory{_nearest(path)}"
    if isinstance(error, PermissionError):
        return f"no permission to read it; try: chmod +r '{path}'"
    reason = getattr(error, "strerror", None) or str(error)
    return f"{reason}; check the path and the disk"


def _nearest(path: Path) -> str:
    try:
        near = difflib.get_close_matches(path.name, os.listdir(path.parent), n=1, cutoff=0.7)
    except (OSError, ValueError):
        near = []
    return f"; did you mean {str(path.parent / near[0])!r}?" if near else "; check the path"
