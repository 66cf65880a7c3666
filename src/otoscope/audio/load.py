"""The door for sounds that fit in memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from otoscope.audio.arrays import clip_from_array
from otoscope.audio.check import as_rate, check_form
from otoscope.audio.decode import Decoding, decoding
from otoscope.audio.encoded import encoded
from otoscope.core.errors import AudioReadError, ParameterError
from otoscope.core.records import Clip


def load_audio(source: Any, sample_rate: int | None = None, *, channels_first: bool | None = None) -> Clip:
    """Any sound as a `Clip`.

    Parameters
    ----------
    source : path, bytes, binary file, array, tensor, list, dict, Clip or AudioSource
        A sound file (WAV, FLAC, OGG, MP3; M4A, WebM and whatever else FFmpeg reads) by path, as bytes or opened;
        samples ``(time,)`` or ``(channel, time)``, floats of full scale 1 or integers, which are divided by the full
        scale of their type; a Hugging Face dict with ``"array"`` or ``"raw"`` and ``"sampling_rate"``, or with
        ``"bytes"`` or ``"path"``. A `Clip` is returned as it is.
    sample_rate : int, Hz
        The rate that arrays, tensors and lists have, which is needed there. Everything else brings its own rate; then
        this may only repeat it. To change it, use `to_rate`.
    channels_first : bool, optional
        False where an array is ``(time, channel)``. If it is not given, an array that is clearly such is refused.

    Returns
    -------
    Clip
        At the sound's own rate, with all its channels.

    Raises
    ------
    AudioReadError
        Where it cannot be read, is cut short, is empty, or holds NaN or infinity.
    ParameterError
        If ``sample_rate`` is not a rate, or differs from the sound's own.

    Examples
    --------
    >>> load_audio(np.zeros(441, dtype=np.int16), sample_rate=44100).duration
    0.01
    """
    clip = _as_clip(source, sample_rate, channels_first)
    check_rate(clip.source, clip.sample_rate, sample_rate)
    return clip


def _as_clip(source: Any, sample_rate: int | None, channels_first: bool | None) -> Clip:
    if isinstance(source, Clip):
        return source
    if _is_source(source):
        return Clip(source.read(0, source.frames), source.sample_rate, source.source, tuple(source.notes))
    if isinstance(source, Mapping):
        return _from_mapping(source, sample_rate, channels_first)
    if callable(getattr(source, "get_all_samples", None)):  # torchcodec's decoder, of Hugging Face data sets
        try:
            decoded = source.get_all_samples()
        except (RuntimeError, ValueError, OSError) as error:
            raise AudioReadError("torchcodec decoder", f"{error}; pass the file's path instead") from error
        return clip_from_array(decoded.data, decoded.sample_rate, True)
    sound = encoded(source)
    if sound is not None:
        with decoding(sound) as opened:
            return collect(sound.name, opened)
    if source is None or isinstance(source, bool | int | float):
        raise AudioReadError("the sound", f"got {source!r}; pass a path, bytes, samples with their rate, or a Clip")
    return clip_from_array(source, sample_rate, channels_first)


def collect(name: str, sound: Decoding) -> Clip:
    """All of a sound that is being decoded, as a clip."""
    try:
        if sound.frames is None:
            samples = np.concatenate([np.zeros((sound.channels, 0), np.float32), *sound.blocks], axis=1)
        else:
            samples = np.empty((sound.channels, sound.frames), dtype=np.float32)
            at = 0
            for block in sound.blocks:
                samples[:, at : at + block.shape[1]] = block
                at += block.shape[1]
    except MemoryError as error:
        raise AudioReadError(name, "it does not fit in memory; read it in parts with open_audio") from error
    check_form(name, sound.sample_rate, *samples.shape)
    return Clip(samples, sound.sample_rate, name, sound.notes)


def _is_source(source: Any) -> bool:
    """Whether it reads like an `AudioSource`."""
    needed = ("sample_rate", "channels", "frames", "source", "notes")
    return callable(getattr(source, "read", None)) and all(hasattr(source, n) for n in needed)


def check_rate(name: str, own: int, given: int | None) -> None:
    """Refuse a rate that contradicts the sound's own."""
    if given is not None and as_rate(given) != own:
        raise ParameterError(
            f"{name} has a rate of {own} Hz, but sample_rate={given} was given, which is for arrays; leave it out, and "
            f"to change the rate use to_rate(load_audio(...), {given})"
        )


def _from_mapping(source: Mapping[str, Any], sample_rate: int | None, channels_first: bool | None) -> Clip:
    """A Hugging Face dict."""
    name = str(source.get("path") or "array")
    for key in ("array", "raw"):
        if source.get(key) is not None:
            rate = source.get("sampling_rate", source.get("sample_rate", sample_rate))
            if rate is None:
                raise AudioReadError(name, f"the dict has {key!r} but no 'sampling_rate'; add it, in Hz")
            return clip_from_array(source[key], rate, channels_first, name)
    for key in ("bytes", "path"):
        if source.get(key) is not None:
            return load_audio(source[key], sample_rate)
    raise AudioReadError(
        "dict", f"it has the keys {sorted(map(str, source))}; it needs 'array' and 'sampling_rate', 'bytes' or 'path'"
    )
