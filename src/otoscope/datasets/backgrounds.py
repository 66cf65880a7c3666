"""Background sounds: what a method compares a clip with, where that is not silence.

A `Background` is data: a name and a list of sounds with their classes. `read_background` makes one from a folder (a folder
a class, or all sounds in one) or from a table with one sound per line. Of each class some sounds are drawn by the seed and
brought to the classifier's rate and to the clip's length; the waveforms are cached on disk.
"""

from __future__ import annotations

import csv
import dataclasses
import functools
import hashlib
import os
from collections.abc import Iterable
from dataclasses import InitVar, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from otoscope.audio import load_audio, to_mono, to_rate
from otoscope.core.errors import OtoscopeError, ParameterError
from otoscope.core.files import atomic_write, cache_folder
from otoscope.datasets.files import SOUND_SUFFIXES, sound_files
from otoscope.datasets.prepare import full_scale

FORM = "v1"  # changes with how cached waveforms are made
SILENCE = "silence"


class BackgroundSound(NamedTuple):
    """A background sound."""

    path: Path
    label: str  # its class; empty where the sounds have no classes


@dataclass(frozen=True)
class Background:
    """Sounds that are heard where a cell is absent.

    Parameters
    ----------
    name : str
        How specs and records call it, e.g. ``"train"`` in ``background=train``.
    sounds : iterable of BackgroundSound or of (path, label)
        At least one. They are sorted by class and path, so that what is drawn does not depend on the order given.
    peak : bool
        Whether each sound is scaled at its own rate so that its absolute peak is 1.
    keep_order : bool
        Whether the sounds stay in the order given.

    Raises
    ------
    ParameterError
        If it has no sounds, or its name is empty or ``"silence"``.

    Examples
    --------
    >>> background = Background("train", [("b.wav", "rain"), ("a.wav", "dog")])
    >>> str(background), [s.label for s in background.sounds]
    ('train', ['dog', 'rain'])
    """

    name: str
    sounds: tuple[BackgroundSound, ...]
    peak: bool = False
    keep_order: InitVar[bool] = False

    def __post_init__(self, keep_order: bool) -> None:
        sounds = [BackgroundSound(Path(path), str(label)) for path, label in self.sounds]
        object.__setattr__(self, "sounds", tuple(sounds if keep_order else _sorted(sounds)))
        if not self.sounds or self.name.strip() in ("", SILENCE):
            raise ParameterError(
                f"a background has a name other than {SILENCE!r} and at least one sound; got the name {self.name!r} and "
                f"{len(self.sounds)} sounds"
            )

    def __str__(self) -> str:
        return self.name

    @property
    def sha256(self) -> str:
        """SHA-256 of the contents of all files, in order."""
        return _digest(self.sounds, self.peak)

    def choose(self, per_class: int, seed: int) -> tuple[BackgroundSound, ...]:
        """So many sounds of each class, drawn by the seed; all of a class that has no more."""
        return choose(self.sounds, per_class, seed)

    def size(self, per_class: int) -> int:
        """Number of sounds that `choose` gives."""
        return len(self.choose(per_class, 0))

    def digest(self, per_class: int, seed: int) -> str:
        """SHA-256 of the contents of the chosen files, in order.

        Raises
        ------
        ParameterError
            If a file cannot be read.
        """
        return _digest(self.choose(per_class, seed), self.peak)

    def waveforms(self, per_class: int, seed: int, sample_rate: int, n_samples: int) -> np.ndarray:
        """The chosen sounds, mono, at a rate, cut or padded with zeros to a length: ``(sound, time)`` float32.

        Raises
        ------
        AudioReadError
            If a chosen sound cannot be read; it is named.
        """
        chosen = self.choose(per_class, seed)
        return _waveforms(chosen, self.peak, sample_rate, n_samples, _stamps(chosen, self.peak))


def read_background(source: str | os.PathLike[str] | Background) -> Background | None:
    """A background from a folder or a table of sounds; None for ``"silence"``.

    Parameters
    ----------
    source : path or Background
        A folder of sounds (one per class, or all in one); a table with one sound per line (``path[,class]``, paths relative
        to the table's folder); ``"silence"``; or a `Background`, which is returned as it is.

    Raises
    ------
    ParameterError
        If it does not exist, names no sound, or names a sound that does not exist.
    """
    if isinstance(source, Background):
        return source
    if source == SILENCE:
        return None
    return Background(os.fspath(source), tuple(background_sounds(source)), keep_order=True)


def background_sounds(source: str | os.PathLike[str]) -> list[BackgroundSound]:
    """All sounds of a folder or a table, in the order of classes and names. Errors as in `read_background`."""
    if not os.fspath(source).strip():
        raise ParameterError("background= names nothing; name a folder of sounds, a table of their paths, or silence")
    root = Path(source).expanduser()
    if root.is_dir():
        found = [
            BackgroundSound(path, path.relative_to(root).parts[0] if path.parent != root else "")
            for path in sound_files(root)
        ]
    elif root.is_file():
        found = _listed(root)
    else:
        raise ParameterError(
            f"the background {str(source)!r} is not there; name a folder of sounds, a table of their paths, or silence"
        )
    if not found:
        raise ParameterError(
            f"the background {root} holds no sound; expected files such as {', '.join(sorted(SOUND_SUFFIXES)[-3:])}"
        )
    return found


def _listed(table: Path) -> list[BackgroundSound]:
    """The lines ``path[,class]`` of a table; empty lines, comments (#) and a header (path, file ...) are skipped."""
    try:
        lines = list(csv.reader(table.read_text(encoding="utf-8-sig").splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ParameterError(
            f"the background {table} cannot be read as text in UTF-8 ({error}); one sound per line is expected: path[,class]"
        ) from error
    found = []
    for number, line in enumerate(lines, 1):
        cells = [cell.strip() for cell in line]
        if not cells or not cells[0] or cells[0].startswith("#"):
            continue
        if number == 1 and cells[0].lower() in ("path", "file", "filename", "file_name"):
            continue
        path = table.parent / cells[0]
        if not path.is_file():
            raise ParameterError(
                f"{table}, line {number}: {path} is not there; paths are relative to the table's folder"
            )
        found.append(BackgroundSound(path, cells[1] if len(cells) > 1 else ""))
    return _sorted(found)


def _sorted(sounds: Iterable[BackgroundSound]) -> list[BackgroundSound]:
    return sorted(sounds, key=lambda s: (s.label, str(s.path)))


def choose(sounds: Iterable[BackgroundSound], per_class: int, seed: int) -> tuple[BackgroundSound, ...]:
    """So many sounds of each class, drawn by the seed, in their order; all of a class that has no more."""
    by_class: dict[str, list[BackgroundSound]] = {}
    for sound in sounds:
        by_class.setdefault(sound.label, []).append(sound)
    rng = torch.Generator().manual_seed(int(seed))
    out = []
    for label in sorted(by_class):
        own = by_class[label]
        out += [own[int(i)] for i in torch.randperm(len(own), generator=rng)[:per_class].sort().values]
    return tuple(out)


def _unreadable(path: Path, error: OSError) -> ParameterError:
    return ParameterError(f"{path}, a sound of the background, cannot be read ({error.strerror})")


def _digest(sounds: Iterable[BackgroundSound], peak: bool) -> str:
    mark = hashlib.sha256(b"peak" if peak else b"")
    for path, _ in sounds:
        try:
            mark.update(hashlib.sha256(path.read_bytes()).digest())
        except OSError as error:
            raise _unreadable(path, error) from error
    return mark.hexdigest()


def _stamps(sounds: Iterable[BackgroundSound], peak: bool) -> str:
    """Changes when one of the files does: names, sizes, times of modification."""
    mark = hashlib.sha256(f"{FORM}{'-peak' if peak else ''}".encode())
    for path, _ in sounds:
        try:
            stat = path.stat()
        except OSError as error:
            raise _unreadable(path, error) from error
        mark.update(f"\n{os.path.abspath(path)}:{stat.st_size}:{stat.st_mtime_ns}".encode(errors="surrogateescape"))
    return mark.hexdigest()


@functools.lru_cache(maxsize=2)
def _waveforms(
    sounds: tuple[BackgroundSound, ...], peak: bool, sample_rate: int, n_samples: int, stamps: str
) -> np.ndarray:
    """``(sound, time)`` float32, read from the disk if cached there."""
    entry = cache_folder() / "backgrounds" / FORM / f"{stamps}-{sample_rate}-{n_samples}.npy"
    known = _read(entry, (len(sounds), n_samples))
    if known is not None:
        return known
    made: np.ndarray = np.zeros((len(sounds), n_samples), np.float32)
    for row, sound in zip(made, sounds, strict=True):
        clip = load_audio(sound.path)
        if peak:
            clip = dataclasses.replace(clip, samples=clip.samples / full_scale(clip.samples))
        samples = to_rate(to_mono(clip), sample_rate).samples[0][:n_samples]
        row[: len(samples)] = samples
    try:
        with atomic_write(entry) as part, part.open("wb") as out:
            np.save(out, made, allow_pickle=False)
    except OtoscopeError:
        pass  # a cache that cannot be written costs time, nothing else
    return made


def _read(entry: Path, shape: tuple[int, int]) -> np.ndarray | None:
    try:
        found = np.load(entry, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return found if found.shape == shape and found.dtype == np.float32 else None
