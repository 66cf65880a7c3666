"""Decoded clips on disk: made once, then mapped into memory.

An entry holds the mono samples of one file at one rate, float32, and after them a trailer of 32 bytes with their rate,
number and checksum. It is named by the SHA-256 of the file's content, so a file that was moved is known again and one
that was changed is not mistaken. Entries appear by renaming a finished file: several processes can use one folder at
once without locks; at worst they decode a file twice. A damaged entry is rewritten.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import struct
import threading
import time
import zlib
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from otoscope.audio import load_audio, to_mono, to_rate
from otoscope.audio.check import as_rate
from otoscope.core.errors import AudioReadError, WriteError
from otoscope.core.files import atomic_write, cache_folder
from otoscope.datasets.files import file_sum
from otoscope.datasets.records import Example

LOG = logging.getLogger(__name__)
FORM = "v1"  # changes with the form of entries and with how they are decoded
TRAILER = struct.Struct("<8sIQI8x")  # mark, rate, number of samples, CRC-32 of the samples
MARK = b"otoscope"
SETTLED_S = 2.0  # a file younger than this may change without its time stamp saying so
LINE = re.compile(
    r"^([0-9a-f]{32}) (-?[0-9]+) (-?[0-9]+) (-?[0-9]+) ([0-9a-f]{64})$", re.M
)  # of the index, see `_note`

Cache = str | os.PathLike[str] | Literal[False] | None
Stamp = tuple[int, int, int]

_lock = threading.Lock()
_known: dict[Path, dict[str, tuple[Stamp, str]]] = {}  # index file -> path -> its stamp and digest
_checked: dict[Path, Stamp] = {}  # entries whose checksum was found right in this process
_warned: set[Path] = set()


def decoded(path: str | os.PathLike[str], sample_rate: int, cache: Cache = None) -> np.ndarray:
    """A sound file as mono samples at a rate, through the cache.

    Parameters
    ----------
    path : path-like
        The sound file.
    sample_rate : int, Hz
        Sample rate of the result.
    cache : path-like or False, optional
        Folder of the cache; by default ``decoded`` in `cache_folder` (``$OTOSCOPE_CACHE``). False: no cache.

    Returns
    -------
    ndarray (time,), float32
        Read-only, mapped into memory. Where the cache cannot be written, the samples are in memory, and one warning is
        logged.

    Raises
    ------
    AudioReadError
        If the file cannot be read.
    ParameterError
        If the rate is out of range.

    Examples
    --------
    >>> decoded("bark.wav", 16000, cache=False).shape
    (8000,)
    """
    file, rate = Path(path), as_rate(sample_rate)
    if cache is False:
        return _decode(file, rate)
    folder = (cache_folder() / "decoded" if cache is None else Path(cache)) / FORM
    samples = None
    try:
        digest = _digest(file, folder)
        entry = folder / str(rate) / digest[:2] / f"{digest}.f32"
        mapped = _mapped(entry, rate)
        if mapped is None:
            samples = _decode(file, rate)
            _write(entry, samples, rate)
            mapped = _mapped(entry, rate)
        if mapped is not None:
            return mapped
    except OSError as error:
        if isinstance(error, AudioReadError):
            raise
        _warn(folder, error)
    return _decode(file, rate) if samples is None else samples


def waveform(example: Example, sample_rate: int, cache: Cache = None) -> np.ndarray:
    """The part of the file that an example means, as mono samples at a rate; see `decoded`.

    Parameters
    ----------
    example : Example
        The clip.
    sample_rate : int, Hz
        Sample rate of the result.
    cache : path-like or False, optional
        Folder of the cache; by default that of `decoded`. False: no cache.

    Returns
    -------
    ndarray (time,), float32

    Raises
    ------
    AudioReadError
        If the file cannot be read, or ends before the example starts.

    Examples
    --------
    >>> import pathlib
    >>> waveform(Example(pathlib.Path("bark.wav"), "dog", 0, 1, "", stop_s=0.25), 16000, cache=False).shape
    (4000,)
    """
    samples = decoded(example.path, sample_rate, cache)
    start = round(example.start_s * sample_rate)
    stop = None if example.stop_s is None else round(example.stop_s * sample_rate)
    part = samples[start:stop]
    if not len(part):
        raise AudioReadError(
            example.path,
            f"it lasts {len(samples) / sample_rate:.3f} s, but a clip is to be cut from {example.start_s:g} s to "
            f"{'its end' if example.stop_s is None else f'{example.stop_s:g} s'}; correct the table",
        )
    return part


def _decode(file: Path, rate: int) -> np.ndarray:
    samples = to_rate(to_mono(load_audio(file)), rate).samples[0]  # (channel, time) -> (time,)
    samples.flags.writeable = False
    return samples


def _write(entry: Path, samples: np.ndarray, rate: int) -> None:
    data = np.ascontiguousarray(samples, dtype="<f4")
    with atomic_write(entry) as part, part.open("wb") as out:
        out.write(data.data)
        out.write(TRAILER.pack(MARK, rate, len(data), zlib.crc32(data.data)))


def _mapped(entry: Path, rate: int) -> np.ndarray | None:
    """The samples of a sound entry; None where it is not there or is damaged."""
    try:
        with entry.open("rb") as file:
            stat = os.fstat(file.fileno())
            if stat.st_size <= TRAILER.size:
                return None
            file.seek(-TRAILER.size, os.SEEK_END)
            mark, own_rate, frames, checksum = TRAILER.unpack(file.read())
    except (FileNotFoundError, NotADirectoryError):
        return None
    if (mark, own_rate, 4 * frames + TRAILER.size) != (MARK, rate, stat.st_size):
        return None
    samples = _map(entry, frames)
    if _checked.get(entry) != _stamp(stat):
        if zlib.crc32(samples.data) != checksum:
            return None
        _checked[entry] = _stamp(stat)
    return samples


def _map(entry: Path, frames: int) -> np.ndarray:
    """``(time,)`` float32, read-only. By torch, which keeps no file handle: numpy would hold one for each clip."""
    try:
        tensor = torch.from_file(str(entry), shared=False, size=frames, dtype=torch.float32)
    except RuntimeError as error:
        raise OSError(str(error).split("\n")[0]) from error
    samples = tensor.numpy()
    samples.flags.writeable = False
    return samples


def _stamp(stat: os.stat_result) -> Stamp:
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def _digest(file: Path, folder: Path) -> str:
    """SHA-256 of the file's content, from the index where the file is as it was."""
    try:
        stamp = _stamp(file.stat())
    except (OSError, ValueError):
        load_audio(file)  # says what is wrong
        raise
    index = folder / "index.txt"
    name = hashlib.sha256(os.fsencode(os.path.abspath(file))).hexdigest()[:32]
    known = _read_index(index).get(name)
    if known is not None and known[0] == stamp:
        return known[1]
    try:
        digest = file_sum(file).removeprefix("sha256:")
    except OSError:
        load_audio(file)
        raise
    if time.time() - max(stamp[1:]) / 1e9 > SETTLED_S:
        _note(index, name, stamp, digest)
    return digest


def _read_index(index: Path) -> dict[str, tuple[Stamp, str]]:
    """What is known of each file; lines that are damaged are passed over."""
    with _lock:
        if index not in _known:
            try:
                text = index.read_text(encoding="ascii", errors="replace")
            except OSError:
                text = ""
            _known[index] = {m[1]: ((int(m[2]), int(m[3]), int(m[4])), m[5]) for m in LINE.finditer(text)}
        return _known[index]


def _note(index: Path, name: str, stamp: Stamp, digest: str) -> None:
    """Add a line, in one write at the file's end, so that several processes do not mix theirs; a torn line is lost alone."""
    _known[index][name] = (stamp, digest)
    index.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(index, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        os.write(handle, f"\n{name} {stamp[0]} {stamp[1]} {stamp[2]} {digest}".encode("ascii"))
    finally:
        os.close(handle)


def _warn(folder: Path, error: OSError) -> None:
    if folder in _warned:
        return
    _warned.add(folder)
    reason = error.reason if isinstance(error, WriteError) else error.strerror or error
    LOG.warning(
        "the cache of decoded clips in %s cannot be used (%s); clips are decoded in memory each time; "
        "free some space, or name another folder in $OTOSCOPE_CACHE",
        folder.parent,
        reason,
    )
