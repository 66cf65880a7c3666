"""Arrays, tensors and lists as samples ``(channel, time)``."""

from __future__ import annotations

from typing import Any

import numpy as np

from otoscope.audio.check import as_rate, check_finite, check_form
from otoscope.audio.level import peak
from otoscope.core.errors import AudioReadError
from otoscope.core.records import Clip

TALLEST_GUESS = 32  # more rows than this, and more rows than columns: surely not (channel, time)
LOUDEST_FLOAT = 16.0  # float samples above this are probably unscaled integers


def clip_from_array(
    values: Any, sample_rate: object, channels_first: bool | None, name: str = "array", notes: tuple[str, ...] = ()
) -> Clip:
    """A clip of an array, tensor or list and its rate; see `otoscope.audio.load_audio`."""
    if sample_rate is None:
        raise AudioReadError(
            name, "samples came without their rate; pass it, for example load_audio(samples, sample_rate=44100)"
        )
    rate = as_rate(sample_rate)
    samples = _oriented(as_floats(_as_numpy(values, name), name), channels_first, name)
    check_form(name, rate, *samples.shape)
    check_finite(name, samples, rate)
    with np.errstate(over="ignore"):
        single = samples.astype(np.float32)  # always a copy: the caller's array may change later
    check_finite(name, single, rate)
    loudest = peak(single)
    if loudest > LOUDEST_FLOAT:
        notes += (f"its peak is {loudest:.6g} times full scale; if these are integer samples, pass them as integers",)
    return Clip(single, rate, name, notes)


def as_floats(array: np.ndarray, name: str = "array") -> np.ndarray:
    """Floats of full scale 1: integers are divided by the full scale of their type, floats are left as they are."""
    kind, bits = array.dtype.kind, 8 * array.dtype.itemsize
    if kind == "f":
        return array
    if kind in "iu" and bits <= 32:
        full = 2.0 ** (bits - 1)
        return array.astype(np.float64) / full - (1.0 if kind == "u" else 0.0)
    if kind in "iu":
        raise AudioReadError(
            name,
            f"it is of type {array.dtype}, which has no agreed full scale; pass floats in [-1, 1], or the type in "
            "which it was recorded (for 16-bit samples: x.astype('int16'))",
        )
    raise AudioReadError(name, f"samples are floats or integers; got an array of type {array.dtype}")


def _as_numpy(values: Any, name: str) -> np.ndarray:
    try:
        if hasattr(values, "detach"):
            tensor = values.detach().cpu()
            try:
                return np.asarray(tensor.numpy())
            except TypeError:  # bfloat16 has no numpy type
                return np.asarray(tensor.float().numpy())
        if isinstance(values, list | tuple):
            return np.asarray([_as_numpy(v, name) if hasattr(v, "detach") else v for v in values], dtype=np.float64)
        return np.asarray(values)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise AudioReadError(
            name,
            f"a {type(values).__name__} is not an array of numbers ({error}); "
            "pass load_audio(samples, sample_rate=rate), samples (time,) or (channel, time)",
        ) from error


def _oriented(array: np.ndarray, channels_first: bool | None, name: str) -> np.ndarray:
    """``(time,)``, ``(channel, time)`` or ``(time, channel)`` -> ``(channel, time)``."""
    if array.ndim == 1:
        return array[None]
    if array.ndim != 2:
        raise AudioReadError(
            name,
            f"it has the shape {array.shape}; one sound is (time,) or (channel, time); pass a batch's sounds singly",
        )
    if channels_first is False:
        return array.T
    rows, columns = array.shape
    if channels_first is None and rows > columns and rows > TALLEST_GUESS:
        raise AudioReadError(
            name,
            f"its shape {array.shape} looks like (time, channel), but (channel, time) is expected; pass "
            f"channels_first=False if it has {columns} channels, channels_first=True if it really has {rows}",
        )
    return array
