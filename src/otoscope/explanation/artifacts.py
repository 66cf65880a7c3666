"""The files of an explanation: its three sounds and its arrays, each written whole or not at all."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from otoscope.attribution.exemplars import Exemplar
from otoscope.audio import AudioSource, close_audio, open_audio, write_wav
from otoscope.core.errors import ShapeError, WriteError
from otoscope.core.files import atomic_write
from otoscope.core.records import Attribution, Mask

PARTS = ("original", "kept", "removed")
BLOCK = 1 << 20  # samples that are held in memory


def blocks_of(sound: AudioSource) -> Iterator[tuple[int, np.ndarray]]:
    """The first sample of each block of a sound, and the block ``(channel, time)``."""
    step = max(1, BLOCK // sound.channels)
    for start in range(0, sound.frames, step):
        yield start, sound.read(start, min(start + step, sound.frames))


def absolute(source: str, holds: str = "") -> str:
    """The absolute path of a file, or of a folder that ``holds`` a file of that name; anything else unchanged."""
    try:
        return str(Path(source).resolve()) if (Path(source) / holds).exists() else source
    except (OSError, ValueError):  # a name that no file can have
        return source


def temporary_folder() -> tempfile.TemporaryDirectory[str]:
    """A temporary folder, or a `WriteError` that explains how to choose another one."""
    try:
        return tempfile.TemporaryDirectory(prefix="otoscope-", ignore_cleanup_errors=True)
    except OSError as error:
        where = error.filename or "a temporary folder"
        raise WriteError(where, f"{error.strerror or error}; name another folder in TMPDIR") from error


def keep_the_original(source: AudioSource, out: Path) -> None:
    """A `WriteError` where the explained sound lies in the place of one that would be written."""
    for part in PARTS:
        path = out / f"{part}.wav"
        if path.exists() and absolute(source.source) == str(path.resolve()):
            raise WriteError(path, "it is the very sound that is explained; choose another folder")


def write_sounds(source: AudioSource, kept: Iterable[np.ndarray], folder: Path) -> dict[str, Path]:
    """Write the three sounds as float32 WAV, block by block.

    The removed sound is the original minus the kept one as written, so that the two files always sum to the original.
    """
    rate, paths = source.sample_rate, {part: folder / f"{part}.wav" for part in PARTS}
    write_wav(paths["original"], (block for _, block in blocks_of(source)), rate)
    write_wav(paths["kept"], kept, rate)
    written = open_audio(paths["kept"])
    try:
        if written.frames != source.frames:
            raise ShapeError(f"{paths['kept']} has {written.frames} samples, expected {source.frames}")
        rest = (block - written.read(start, start + block.shape[1]) for start, block in blocks_of(source))
        write_wav(paths["removed"], rest, rate)
    finally:
        close_audio(written)
    return paths


def write_exemplars(exemplars: Sequence[Exemplar], folder: Path) -> dict[str, Path]:
    """Write the sounds that a clip was compared with, ``exemplar-1.wav`` and so on; name of the part -> path."""
    files = {}
    for number, exemplar in enumerate(exemplars, 1):
        path = folder / f"exemplar-{number}.wav"
        files[f"exemplar {number}"] = write_wav(path, exemplar.samples[None], exemplar.sample_rate)
    return files


def write_arrays(attribution: Attribution, mask: Mask, path: Path) -> None:
    """Write attribution, mask and their axes as a compressed ``.npz``."""
    grid = mask.grid
    arrays: dict[str, Any] = {
        "attribution": attribution.values,
        "mask": mask.values,
        "frequencies_hz": grid.frequencies,
        "times_s": grid.times,
        "grid": np.array(grid.shape),
        "scale": np.array(grid.scale),
    }
    if grid.rows:
        arrays["rows"] = np.array(grid.rows)
    if attribution.standard_error is not None:
        arrays["standard_error"] = attribution.standard_error
    with atomic_write(path) as part, part.open("wb") as file:
        np.savez_compressed(file, **arrays)
