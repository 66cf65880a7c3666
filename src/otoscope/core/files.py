"""Folders, atomic writes of files, and JSON files."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from otoscope.core.errors import OtoscopeError, WriteError


def cache_folder() -> Path:
    """Where fetched files are kept: ``$OTOSCOPE_CACHE``, else ``otoscope`` in the user's cache folder."""
    own = os.environ.get("OTOSCOPE_CACHE")
    if own:
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "otoscope"


@contextlib.contextmanager
def _another_folder(target: Path) -> Iterator[None]:
    """A failure of the block is a `WriteError` that advises another folder."""
    try:
        yield
    except OSError as error:
        raise WriteError(target, f"{error.strerror or error}; choose another folder") from error


def make_folder(path: str | os.PathLike[str]) -> Path:
    """The folder, created if needed."""
    folder = Path(path)
    with _another_folder(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def check_writable(path: str | os.PathLike[str]) -> Path:
    """The folder, created if needed; a `WriteError` if no files can be written in it."""
    folder = make_folder(path)
    with _another_folder(folder), tempfile.TemporaryFile(dir=folder):
        return folder


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary file next to ``path`` that replaces it if the block succeeds, and is deleted otherwise.

    A crash, a full disk or Ctrl-C leaves the old file, or none; never half a file under the final name.
    """
    final = Path(path)
    make_folder(final.parent)
    with _another_folder(final):
        handle, name = tempfile.mkstemp(prefix=f".{final.name}.", suffix=".part", dir=final.parent)
    os.close(handle)
    part = Path(name)
    try:
        yield part
        os.chmod(part, 0o666 & ~_umask())
        os.replace(part, final)
    except OSError as error:
        if isinstance(error, OtoscopeError):  # what could not be read or fetched is not a failure to write
            raise
        raise WriteError(final, str(error.strerror or error)) from error
    finally:
        part.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str) -> Path:
    """Write a text file (UTF-8) atomically."""
    with atomic_write(path) as part:
        part.write_text(text, encoding="utf-8")
    return Path(path)


def read_json(path: str | os.PathLike[str], what: str = "the file", advice: str = "") -> dict[str, Any]:
    """The mapping in a JSON file.

    Parameters
    ----------
    path : path
        The file.
    what : str
        What it is, for the message of the `OtoscopeError` where it cannot be read or holds no mapping.
    advice : str
        What to do then.
    """
    end = advice and f"; {advice}"
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise OtoscopeError(f"cannot read {what} {path}: {getattr(error, 'strerror', None) or error}{end}") from error
    if not isinstance(content, dict):
        raise OtoscopeError(f"{what} {path} holds {type(content).__name__}, not a mapping{end}")
    return content


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
