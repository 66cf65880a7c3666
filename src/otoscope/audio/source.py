"""The door for sounds of any length, read in parts."""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, BinaryIO, Protocol, runtime_checkable

import numpy as np
import soundfile

from otoscope.audio.check import check_finite, check_form
from otoscope.audio.decode import FOREIGN, Decoding, decoding, exact_end
from otoscope.audio.encoded import Encoded, encoded
from otoscope.audio.load import check_rate, load_audio
from otoscope.core.errors import AudioReadError, ParameterError, ShapeError
from otoscope.core.records import Clip

DIGEST_VALUES = 1 << 20  # samples times channels that are hashed at a time
Reader = Callable[[int, int], np.ndarray]  # (start, count) -> (time, channel) float32
_GONE = "was the file changed or removed?"


@runtime_checkable
class AudioSource(Protocol):
    """A sound that can be read in parts: a `Clip`, in memory, or a `FileSource`, on disk.

    Examples
    --------
    >>> sound = open_audio("bark.wav")
    >>> sound.frames, sound.sample_rate, sound.read(0, 1000).shape
    (16000, 32000, (1, 1000))
    """

    @property
    def sample_rate(self) -> int:
        """Hz."""

    @property
    def channels(self) -> int:
        """Number of channels."""

    @property
    def frames(self) -> int:
        """Length in samples."""

    @property
    def duration(self) -> float:
        """Length in seconds."""

    @property
    def source(self) -> str:
        """Where it came from."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What was done to it on the way in."""

    def read(self, start: int, stop: int) -> np.ndarray:
        """Samples ``(channel, time)`` float32 from ``start`` to ``stop``; what lies outside is silence."""

    def digest(self) -> str:
        """SHA-256 of rate, channels, length and samples."""


class FileSource:
    """A sound on disk, of which only the part that is read is in memory. Made by `open_audio`.

    It is a context manager; its files are closed by ``close``, or when it is garbage-collected. It may be read by several threads.

    Parameters
    ----------
    read : callable
        Gives ``count`` samples from ``start``, ``(time, channel)``.
    sample_rate : int, Hz
        Sample rate.
    channels, frames : int
        Number of channels, and length in samples.
    source : str
        Where the sound comes from, for messages and records.
    stack : ExitStack
        What to close at the end.

    Examples
    --------
    >>> sound = open_audio("bark.wav", in_memory_s=0.1)
    >>> type(sound).__name__
    'FileSource'
    >>> close_audio(sound)
    """

    def __init__(
        self, read: Reader, sample_rate: int, channels: int, frames: int, source: str, stack: contextlib.ExitStack
    ):
        self.sample_rate, self.channels, self.frames, self.source = sample_rate, channels, frames, source
        self.notes: tuple[str, ...] = ()
        self._read, self._lock = read, threading.Lock()
        self._closing = weakref.finalize(self, stack.close)

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.frames / self.sample_rate

    def read(self, start: int, stop: int) -> np.ndarray:
        """Samples from ``start`` to ``stop``, ``(channel, time)`` float32; what lies outside the sound is silence.

        Raises
        ------
        AudioReadError
            Where the file cannot be read any more, is damaged, or holds NaN or infinity there.
        """
        if stop < start:
            raise ShapeError(f"read needs start <= stop; got {start} and {stop}")
        lo, hi = max(start, 0), min(stop, self.frames)
        out = np.zeros((self.channels, stop - start), dtype=np.float32)
        if hi <= lo:
            return out
        with self._lock:
            if not self._closing.alive:
                raise AudioReadError(self.source, "it was closed; open it again with open_audio")
            try:
                block = self._read(lo, hi - lo)
            except FOREIGN as error:
                raise AudioReadError(self.source, f"samples {lo} to {hi} cannot be read ({error}); {_GONE}") from error
        if block.shape != (hi - lo, self.channels):
            raise AudioReadError(self.source, f"of samples {lo} to {hi} only {len(block)} can be read; {_GONE}")
        out[:, lo - start : hi - start] = block.T
        check_finite(self.source, out[:, lo - start : hi - start], self.sample_rate, lo)
        return out

    def digest(self) -> str:
        """SHA-256 of rate, channels, length and samples: that of the `Clip` with the same sound."""
        h = hashlib.sha256(f"{self.sample_rate}:{self.channels}:{self.frames}:".encode())
        step = max(1, DIGEST_VALUES // self.channels)
        for start in range(0, self.frames, step):
            h.update(self.read(start, min(start + step, self.frames)).T.tobytes())
        return h.hexdigest()

    def close(self) -> None:
        """Let go of the file; reading is an error from here on. Closing twice does no harm."""
        with self._lock:
            self._closing()

    def __enter__(self) -> FileSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_audio(source: Any, sample_rate: int | None = None, *, in_memory_s: float = 60.0) -> AudioSource:
    """Any sound, to be read in parts, in constant memory where it is long.

    WAV, FLAC and the like are read where they lie. MP3, OGG, M4A and others, in which no decoder seeks to the exact
    sample, are decoded once, in blocks, to a temporary file (float32, in the folder that ``TMPDIR`` names).

    Parameters
    ----------
    source : path, bytes, binary file, array, dict, Clip or AudioSource
        As for `load_audio`; what is in memory already stays there, and an `AudioSource` is returned as it is.
    sample_rate : int, Hz
        As for `load_audio`.
    in_memory_s : float >= 0, s
        Sounds up to this length become a `Clip`.

    Returns
    -------
    AudioSource
        A `Clip` or a `FileSource`; give it to `close_audio` when done.

    Raises
    ------
    AudioReadError, ParameterError

    Examples
    --------
    >>> sound = open_audio("bark.wav", in_memory_s=0.1)
    >>> sound.duration, sound.read(100, 1100).shape
    (0.5, (1, 1000))
    >>> close_audio(sound)
    """
    if not in_memory_s >= 0:
        raise ParameterError(f"in_memory_s must be at least 0 s; got {in_memory_s!r}")
    if isinstance(source, FileSource):
        check_rate(source.source, source.sample_rate, sample_rate)
        return source
    if isinstance(source, Mapping) and source.get("array") is None and source.get("raw") is None:
        inner = source.get("bytes") or source.get("path")
        source = source if inner is None else inner
    sound = None if isinstance(source, Clip) else encoded(source)
    if sound is None:
        return load_audio(source, sample_rate)
    opened = _opened(sound, in_memory_s)
    try:
        check_rate(opened.source, opened.sample_rate, sample_rate)
    except ParameterError:
        close_audio(opened)
        raise
    return opened


def close_audio(source: AudioSource) -> None:
    """Let go of what a source holds open; a `Clip` holds nothing.

    Examples
    --------
    >>> sound = open_audio("bark.wav")
    >>> close_audio(sound)
    """
    if isinstance(source, FileSource):
        source.close()


def _opened(sound: Encoded, in_memory_s: float) -> AudioSource:
    with decoding(sound) as opened:
        frames = opened.frames
        if opened.exact and frames is not None and frames > in_memory_s * opened.sample_rate:
            exact_end(sound, frames)
            stack = contextlib.ExitStack()
            return FileSource(_in_place(sound, stack), opened.sample_rate, opened.channels, frames, sound.name, stack)
        return _gathered(sound.name, opened, in_memory_s)


def _gathered(name: str, sound: Decoding, in_memory_s: float) -> AudioSource:
    """Decode all of it: into memory while it is short, then into a temporary file."""
    blocks: list[np.ndarray] = []
    frames, limit = 0, in_memory_s * sound.sample_rate
    with contextlib.ExitStack() as stack:
        file: BinaryIO | None = None
        for block in sound.blocks:
            blocks.append(block)
            frames += block.shape[1]
            if frames > limit:
                with _room_for(name):
                    file = file or stack.enter_context(tempfile.TemporaryFile(prefix="otoscope-"))
                    for part in blocks:
                        file.write(np.ascontiguousarray(part.T).data)
                    file.flush()
                blocks.clear()
        check_form(name, sound.sample_rate, sound.channels, frames)
        if file is None:
            return Clip(np.concatenate(blocks, axis=1), sound.sample_rate, name, sound.notes)
        made = FileSource(_raw(file, sound.channels), sound.sample_rate, sound.channels, frames, name, stack.pop_all())
        made.notes = sound.notes
        return made


@contextlib.contextmanager
def _room_for(name: str) -> Iterator[None]:
    """Turn disk errors inside the block into an error that names the folder that needs room."""
    try:
        yield
    except OSError as error:
        raise AudioReadError(
            name,
            f"it must be decoded to a temporary file, which cannot be written in {tempfile.gettempdir()} "
            f"({error.strerror or error}); make room there, or name another folder in the variable TMPDIR",
        ) from error


def _in_place(sound: Encoded, stack: contextlib.ExitStack) -> Reader:
    """Reads a file that soundfile seeks exactly; opened when it is first read."""
    opened: list[Any] = []

    def read(start: int, count: int) -> np.ndarray:
        if not opened:
            opened.append(stack.enter_context(soundfile.SoundFile(sound.handle())))
        opened[0].seek(start)
        with np.errstate(over="ignore"):
            return np.asarray(opened[0].read(count, dtype="float32", always_2d=True))

    return read


def _raw(file: BinaryIO, channels: int) -> Reader:
    """Reads a temporary file of interleaved float32 samples."""
    width = 4 * channels

    def read(start: int, count: int) -> np.ndarray:
        file.seek(start * width)
        return np.frombuffer(file.read(count * width), dtype=np.float32).reshape(-1, channels)

    return read
