"""Sounds to files and bytes: whole or not at all."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import soundfile

from otoscope.audio.check import MOST_CHANNELS, as_rate
from otoscope.audio.level import peak
from otoscope.audio.source import AudioSource
from otoscope.core.errors import ParameterError, ShapeError, UnknownNameError, WriteError
from otoscope.core.files import atomic_write

LARGEST_RIFF = 0xFFFFFFFF  # bytes; a longer file becomes an RF64, which has room for longer lengths
BLOCK_VALUES = 1 << 20  # samples times channels that are written at a time


def write_wav(path: Any, sound: Any, sample_rate: int | None = None) -> Path:
    """Write a float32 WAV file, whole or not at all, in constant memory.

    The same samples give the same bytes: no time or program name is written. Files over 4 GB become RF64.

    Parameters
    ----------
    path : path-like
        Replaced where it exists, once all is written; its folder is made if needed.
    sound : Clip, AudioSource, ndarray (channel, time) or iterable of such arrays
        Blocks of an iterable are joined in time.
    sample_rate : int, Hz
        Needed for arrays and iterables.

    Returns
    -------
    Path

    Raises
    ------
    WriteError
        Where it cannot be written (a full disk, no permission), is empty, or holds NaN or infinity.
    AudioReadError
        Where ``sound`` is a source that cannot be read.

    Examples
    --------
    >>> write_wav("silence.wav", np.zeros((1, 100), np.float32), 8000).name
    'silence.wav'
    """
    target = _target(path)
    blocks, rate = _blocks(sound, sample_rate)
    with atomic_write(target) as part, open(part, "wb") as file:
        _write_blocks(target, file, rate, blocks)
    return target


def _target(path: Any) -> Path:
    try:
        target = Path(path)
    except TypeError:
        raise ParameterError(f"a path to write to is expected; got {path!r}") from None
    if "\0" in str(target):
        raise WriteError(repr(str(target)), "a path cannot hold a null byte; choose another name")
    return target


def _blocks(sound: Any, sample_rate: int | None) -> tuple[Iterator[np.ndarray], int]:
    if isinstance(sound, AudioSource):
        if sample_rate is not None and as_rate(sample_rate) != sound.sample_rate:
            raise ParameterError(
                f"the sound has a rate of {sound.sample_rate} Hz, but sample_rate={sample_rate} was given; "
                "leave it out, or resample the sound first with to_rate"
            )
        return _parts(sound), sound.sample_rate
    if sample_rate is None:
        raise ParameterError("samples came without their rate; pass it: write_wav(path, samples, sample_rate=44100)")
    rate = as_rate(sample_rate)
    if isinstance(sound, np.ndarray):
        return iter([sound]), rate
    if not isinstance(sound, Iterable):
        raise ParameterError(
            f"a Clip, samples (channel, time) or blocks of them are written; got a {type(sound).__name__}"
        )
    return iter(sound), rate


def _parts(sound: AudioSource) -> Iterator[np.ndarray]:
    step = max(1, BLOCK_VALUES // sound.channels)
    for start in range(0, sound.frames, step):
        yield sound.read(start, min(start + step, sound.frames))


def _write_blocks(path: Path, file: BinaryIO, rate: int, blocks: Iterator[np.ndarray]) -> None:
    channels, frames = 0, 0
    for block in blocks:
        block = _single(path, block, frames)
        if block.ndim != 2 or (channels and block.shape[0] != channels):
            wanted = f"({channels}, time)" if channels else "(channel, time)"
            raise ShapeError(f"a block of {path.name} has shape {block.shape}; {wanted} was expected")
        if not channels:
            channels = block.shape[0]
            if not 1 <= channels <= MOST_CHANNELS:
                raise WriteError(path, f"it has {channels} channels; 1 to {MOST_CHANNELS} can be written")
            file.write(_header(rate, channels, 0))
        file.write(np.ascontiguousarray(block.T).data)
        frames += block.shape[1]
    if not frames:
        raise WriteError(path, "there are no samples to write")
    file.seek(0)
    file.write(_header(rate, channels, frames))


def _single(path: Path, block: Any, start: int) -> np.ndarray:
    """A block as finite little-endian float32."""
    values = np.asarray(block)
    if values.dtype.kind != "f":
        raise ParameterError(f"float samples, full scale 1, are written to {path.name}; got a block of {values.dtype}")
    with np.errstate(over="ignore"):
        values = values.astype("<f4", copy=False)
    bad = int(np.count_nonzero(~np.isfinite(values)))
    if bad:
        raise WriteError(path, f"{bad} of the samples from {start} on are NaN or infinite; find out what made them")
    return values


def _header(rate: int, channels: int, frames: int) -> bytes:
    """A header of fixed length: RIFF with room for RF64's lengths (a JUNK chunk), or RF64."""
    width = 4 * channels
    samples = frames * width
    if channels <= 2:
        form = struct.pack("<HHIIHHH", 3, channels, rate, rate * width, width, 32, 0)
    else:  # WAVE_FORMAT_EXTENSIBLE, no speaker positions, IEEE float
        guid = struct.pack("<IHH", 3, 0, 0x10) + bytes.fromhex("800000aa00389b71")
        form = struct.pack("<HHIIHHHHI", 0xFFFE, channels, rate, rate * width, width, 32, 22, 32, 0) + guid
    fmt = b"fmt " + struct.pack("<I", len(form)) + form
    fact_at = 12 + 36 + len(fmt)
    total = fact_at + 12 + 8 + samples
    long = total - 8 > LARGEST_RIFF
    head = struct.pack("<4sI4s", b"RF64" if long else b"RIFF", 0xFFFFFFFF if long else total - 8, b"WAVE")
    sizes = struct.pack("<QQQI", total - 8, samples, frames, 0) if long else bytes(28)
    room = struct.pack("<4sI", b"ds64" if long else b"JUNK", 28) + sizes
    fact = struct.pack("<4sII", b"fact", 4, min(frames, 0xFFFFFFFF))
    return head + room + fmt + fact + struct.pack("<4sI", b"data", 0xFFFFFFFF if long else samples)


def encode(
    samples: np.ndarray, sample_rate: int, format: str = "FLAC", subtype: str | None = None
) -> tuple[bytes, float]:
    """A sound as the bytes of a file, for embedding in pages.

    Parameters
    ----------
    samples : ndarray (channel, time)
        Scaled down where its peak is above 1, which would clip.
    sample_rate : int, Hz
        Sample rate.
    format : str
        ``"FLAC"``, ``"WAV"``, ``"OGG"``, ``"MP3"`` or any other that libsndfile writes.
    subtype : str, optional
        Such as ``"PCM_24"``; by default the format's usual one.

    Returns
    -------
    data : bytes
    gain : float >= 1
        The original is what is decoded, times this.

    Raises
    ------
    ParameterError, ShapeError, UnknownNameError

    Examples
    --------
    >>> data, gain = encode(np.full((1, 100), 2.0), 8000, "WAV")
    >>> data[:4], gain
    (b'RIFF', 2.0)
    """
    rate, samples = as_rate(sample_rate), np.asarray(samples, dtype=np.float32)
    if samples.ndim != 2 or not samples.size:
        raise ShapeError(f"encode takes samples (channel, time), at least one; got shape {samples.shape}")
    if not np.isfinite(samples).all():
        raise ParameterError("the samples hold NaN or infinity; replace them before encoding")
    format, known = str(format).upper(), soundfile.available_formats()
    if format not in known:
        raise UnknownNameError("audio format", format, known)
    gain = max(1.0, peak(samples))
    return _encoded(samples / np.float32(gain), rate, format, subtype), gain


def _encoded(samples: np.ndarray, rate: int, format: str, subtype: str | None) -> bytes:
    out, channels = io.BytesIO(), samples.shape[0]
    step = max(1, BLOCK_VALUES // 16 // channels)  # in blocks: libsndfile's Vorbis encoder overflows on long ones
    try:
        with soundfile.SoundFile(out, "w", rate, channels, subtype, format=format) as file:
            for start in range(0, samples.shape[1], step):
                file.write(samples[:, start : start + step].T)
    except (RuntimeError, ValueError, TypeError, OSError) as error:
        reason = str(getattr(error, "error_string", None) or error).rstrip(".")
        raise ParameterError(
            f"{format}{f' {subtype}' if subtype else ''} cannot hold {channels} channels at {rate} Hz ({reason}); "
            "use format='WAV', or fewer channels"
        ) from error
    return out.getvalue()
