"""Files of data sets: sounds in folders, found by one list of suffixes, and checksums."""

from __future__ import annotations

import hashlib
from pathlib import Path

SOUND_SUFFIXES = frozenset(
    (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".m4a", ".aac", ".aif", ".aiff", ".webm", ".mp4", ".wma")
)


def is_sound_name(name: str) -> bool:
    """Whether a file of this name is a sound: not hidden, and with a known suffix."""
    return not name.startswith(".") and Path(name).suffix.lower() in SOUND_SUFFIXES


def sound_files(folder: Path) -> list[Path]:
    """All sound files below a folder, sorted by path."""
    return [path for path in sorted(folder.rglob("*")) if is_sound_name(path.name) and path.is_file()]


def file_sum(file: Path, kind: str = "sha256") -> str:
    """A file's checksum, ``KIND:HEX``; the kind is "md5" or "sha256"."""
    digest = hashlib.md5(usedforsecurity=False) if kind == "md5" else hashlib.sha256()
    with file.open("rb") as content:
        while block := content.read(1 << 20):
            digest.update(block)
    return f"{kind}:{digest.hexdigest()}"
