"""From encoded sounds to blocks of samples: soundfile first, and PyAV for what it refuses.

Every error of the decoders becomes an `AudioReadError`. A sound that is shorter than its header promises is refused.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, BinaryIO, TypeVar

import numpy as np
import soundfile

from otoscope.audio.arrays import as_floats
from otoscope.audio.check import check_finite, check_form
from otoscope.audio.encoded import Encoded
from otoscope.audio.headers import missing_part, mp3_length_known, states_no_samples
from otoscope.core.errors import AudioReadError

T = TypeVar("T")
BLOCK_VALUES = 1 << 20  # samples times channels that are decoded at a time
UNKNOWN_FRAMES = 1 << 48  # libsndfile gives huge numbers for "not known"
FOREIGN = (RuntimeError, OSError, ValueError, TypeError, LookupError, EOFError, AssertionError)
# Formats in which every sample can be sought exactly; libsndfile's seek in Vorbis, say, is not exact.
_EXACT = ("PCM_", "FLOAT", "DOUBLE", "ULAW", "ALAW")
UNFINISHED = "the file's header states no samples, as after a power failure; all that follows the header was read"
_MEND = "copy or download it again"


@dataclass
class Decoding:
    """A sound that is being decoded."""

    sample_rate: int  # Hz
    channels: int
    frames: int | None  # length in samples, where it is known beforehand
    exact: bool  # whether soundfile can seek in it to the sample
    blocks: Iterator[np.ndarray]  # (channel, time) float32, finite, in order
    notes: tuple[str, ...] = ()  # what was unusual about it


@contextlib.contextmanager
def decoding(encoded: Encoded) -> Iterator[Decoding]:
    """Open a sound; its handles are closed when the block ends.

    Raises
    ------
    AudioReadError
    """
    with contextlib.ExitStack() as stack:
        missing = _ask(encoded, missing_part)
        if missing:
            raise AudioReadError(encoded.name, f"it is cut short: {missing}; {_MEND}")
        if _ask(encoded, states_no_samples):  # FFmpeg reads such a file to its end
            yield replace(_by_av(encoded, stack, "its header states no samples"), notes=(UNFINISHED,))
            return
        sound, refusal = _open_soundfile(encoded, stack)
        if sound is not None:
            yield _by_soundfile(encoded, sound)
        else:
            yield _by_av(encoded, stack, refusal)


def exact_end(encoded: Encoded, frames: int) -> None:
    """Make sure that the last of ``frames`` samples of an exactly seekable file can be read."""
    try:
        with soundfile.SoundFile(encoded.handle()) as sound:
            sound.seek(frames - 1)
            if len(sound.read(1, dtype="float32", always_2d=True)) == 1:
                return
    except FOREIGN:
        pass
    with decoding(encoded) as opened:  # count what is there; this says what is wrong
        for _ in opened.blocks:
            pass
    raise _short(encoded, frames, frames - 1, opened.sample_rate)


def _ask(encoded: Encoded, question: Callable[[BinaryIO], T]) -> T:
    """The answer that a function of `headers` reads from the file."""
    with encoded.open() as file:
        try:
            return question(file)
        except (OSError, struct.error) as error:
            raise AudioReadError(encoded.name, f"its header cannot be read ({error}); {_MEND}") from error


def _open_soundfile(encoded: Encoded, stack: contextlib.ExitStack) -> tuple[Any, str]:
    """The opened file, or None and why not."""
    try:
        sound = stack.enter_context(soundfile.SoundFile(encoded.handle()))
    except FOREIGN as error:
        return None, str(getattr(error, "error_string", None) or error)
    if sound.format == "MP3" and not _ask(encoded, mp3_length_known):
        sound.close()
        return None, "its header does not give its length"
    return sound, ""


def _by_soundfile(encoded: Encoded, sound: Any) -> Decoding:
    frames = sound.frames if 0 <= sound.frames < UNKNOWN_FRAMES else None
    check_form(encoded.name, sound.samplerate, sound.channels, frames)
    exact = sound.subtype.startswith(_EXACT) and frames is not None
    blocks = _finite(encoded.name, sound.samplerate, _soundfile_blocks(encoded, sound, frames))
    return Decoding(sound.samplerate, sound.channels, frames, exact, blocks)


def _soundfile_blocks(encoded: Encoded, sound: Any, frames: int | None) -> Iterator[np.ndarray]:
    """Blocks ``(channel, time)`` to the end; a file that ends before ``frames`` samples is an error."""
    size, done, reason = max(1, BLOCK_VALUES // sound.channels), 0, ""
    while frames is None or done < frames:
        try:
            with np.errstate(over="ignore"):
                block = sound.read(size, dtype="float32", always_2d=True)
        except FOREIGN as error:
            reason = str(getattr(error, "error_string", None) or error)
            break
        if not len(block):
            break
        done += len(block)
        yield np.ascontiguousarray(block.T)
    if reason and frames is None:
        raise AudioReadError(encoded.name, f"it is damaged after {done / sound.samplerate:.3f} s ({reason}); {_MEND}")
    if frames is not None and done < frames:
        raise _short(encoded, frames, done, sound.samplerate)


def _short(encoded: Encoded, promised: int, found: int, rate: int) -> AudioReadError:
    return AudioReadError(
        encoded.name,
        f"it is cut short or damaged: its header promises {promised} samples ({promised / rate:.3f} s) but only "
        f"{found} ({found / rate:.3f} s) can be read; {_MEND}",
    )


class _Nameless:
    """A file without its name, so that FFmpeg detects the format from the content."""

    def __init__(self, file: BinaryIO):
        self.read, self.seek, self.tell = file.read, file.seek, file.tell


def _by_av(encoded: Encoded, stack: contextlib.ExitStack, refusal: str) -> Decoding:
    try:
        import av
    except ImportError as error:
        raise AudioReadError(
            encoded.name, f"libsndfile cannot read it ({refusal}), and PyAV is missing; install it with: pip install av"
        ) from error
    file = _Nameless(stack.enter_context(encoded.open()))
    try:
        # Playlists must not lead anywhere: only the given file may be opened.
        options = {"protocol_whitelist": "none"}
        container: Any = stack.enter_context(av.open(file, options=options, metadata_errors="replace"))
    except (*FOREIGN, av.error.FFmpegError) as error:
        raise _not_a_sound(encoded, refusal, error) from error
    if not container.streams.audio:
        raise AudioReadError(
            encoded.name,
            f"there is no sound in it, only {container.format.long_name}; is it damaged, or a silent film?",
        )
    stream = container.streams.audio[0]
    frames = _av_frames(encoded, container, stream, (*FOREIGN, av.error.FFmpegError))
    first = next(frames, None)
    if first is None:
        raise AudioReadError(encoded.name, f"it holds no samples that can be decoded, or is damaged; {_MEND}")
    rate, channels = first.sample_rate, first.layout.nb_channels
    check_form(encoded.name, rate, channels)
    blocks = _av_blocks(encoded, frames, first, _promised_s(container, stream))
    return Decoding(rate, channels, None, False, _finite(encoded.name, rate, blocks))


def _not_a_sound(encoded: Encoded, refusal: str, error: Exception) -> AudioReadError:
    with encoded.open() as file:
        start = file.read(12)
    reason = getattr(error, "strerror", None) or error
    return AudioReadError(
        encoded.name,
        f"it is not a sound file of a known format, or it is damaged: it starts with {start!r} "
        f"(libsndfile: {refusal.rstrip('. ')}; FFmpeg: {reason}); expected WAV, FLAC, OGG, MP3, M4A, WebM or the like",
    )


def _av_frames(encoded: Encoded, container: Any, stream: Any, foreign: tuple[type[Exception], ...]) -> Iterator[Any]:
    """Decoded frames; the decoder's errors name the place."""
    at = 0.0
    try:
        for frame in container.decode(stream):
            at += frame.samples / frame.sample_rate
            yield frame
    except foreign as error:
        reason = getattr(error, "strerror", None) or error
        raise AudioReadError(
            encoded.name, f"it is damaged or cut short after {at:.3f} s (FFmpeg: {reason}); {_MEND}"
        ) from error


def _av_blocks(encoded: Encoded, frames: Iterator[Any], first: Any, promised_s: float | None) -> Iterator[np.ndarray]:
    rate, layout, end, frame = first.sample_rate, first.layout.nb_channels, 0.0, first
    begin = first.time or 0.0
    while frame is not None:
        if (frame.sample_rate, frame.layout.nb_channels) != (rate, layout):
            raise AudioReadError(
                encoded.name,
                f"it changes from {layout} channels at {rate} Hz to {frame.layout.nb_channels} at "
                f"{frame.sample_rate} Hz after {end:.3f} s; cut it there into two files",
            )
        here = end if frame.time is None else max(end, frame.time - begin)
        end = here + frame.samples / rate
        yield _av_samples(frame)
        frame = next(frames, None)
    if promised_s is not None and end < promised_s - max(0.1, 0.01 * promised_s):
        raise AudioReadError(
            encoded.name,
            f"it is cut short: its header promises {promised_s:.3f} s but only {end:.3f} s can be read; {_MEND}",
        )


def _av_samples(frame: Any) -> np.ndarray:
    """Samples of a frame, ``(channel, time)`` float32."""
    values = as_floats(frame.to_ndarray())
    if not frame.format.is_planar:
        values = values.reshape(-1, frame.layout.nb_channels).T
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(values, dtype=np.float32)


def _promised_s(container: Any, stream: Any) -> float | None:
    """Length in seconds that the container's header states, for those whose statement can be trusted."""
    if not {"mov", "matroska"} & set(container.format.name.split(",")):
        return None
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    if container.duration and len(container.streams) == 1:
        return float(container.duration) / 1e6
    return None


def _finite(name: str, rate: int, blocks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    start = 0
    for block in blocks:
        check_finite(name, block, rate, start)
        start += block.shape[1]
        yield block
