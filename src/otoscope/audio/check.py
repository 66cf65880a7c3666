"""What both doors hold every sound to: a usable rate, a number of channels, at least one sample, finite values."""

from __future__ import annotations

import operator

import numpy as np

from otoscope.core.errors import AudioReadError, ParameterError

LOWEST_RATE, HIGHEST_RATE = 100, 1_000_000  # Hz
MOST_CHANNELS = 1024


def as_rate(value: object, owner: str = "sample_rate") -> int:
    """A sample rate as an int within [100 Hz, 1 MHz].

    Raises
    ------
    ParameterError
        Where it is not a whole number, or out of range.
    """
    try:
        if isinstance(value, bool | np.bool_):
            raise TypeError
        whole = isinstance(value, float | np.floating) and float(value).is_integer()
        rate = int(value) if whole else operator.index(value)  # type: ignore[call-overload, arg-type]
    except TypeError:
        raise ParameterError(f"{owner} must be a whole number of Hz, such as 44100; got {value!r}") from None
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise ParameterError(f"{owner} must lie between {LOWEST_RATE} Hz and {HIGHEST_RATE} Hz; got {rate} Hz")
    return rate


def check_form(name: str, sample_rate: int, channels: int, frames: int | None = None) -> None:
    """Refuse a sound of an absurd rate, with too many channels, or without samples (``frames`` None: not yet known)."""
    if not LOWEST_RATE <= sample_rate <= HIGHEST_RATE:
        raise AudioReadError(
            name,
            f"its sample rate is {sample_rate} Hz; rates from {LOWEST_RATE} Hz to {HIGHEST_RATE} Hz can be used; "
            "check the file's header, or pass the samples with their true rate",
        )
    if not 1 <= channels <= MOST_CHANNELS:
        raise AudioReadError(
            name, f"it has {channels} channels; 1 to {MOST_CHANNELS} can be used; is its axes order (channel, time)?"
        )
    if frames is not None and frames < 1:
        raise AudioReadError(name, "it holds no samples (its length is zero); at least one sample is needed")


def check_finite(name: str, samples: np.ndarray, sample_rate: int, start: int = 0) -> None:
    """Refuse NaN and infinity in ``samples (channel, time)``, saying how many there are and where the first one is."""
    finite = np.isfinite(samples)
    if finite.all():
        return
    bad = ~finite
    first = int(bad.any(axis=0).argmax())
    channel = int(bad[:, first].argmax())
    at = start + first
    raise AudioReadError(
        name,
        f"{int(bad.sum())} of {bad.size} samples are NaN or infinite, the first ({samples[channel, first]}) at sample "
        f"{at} ({at / sample_rate:.6g} s) of channel {channel}; replace them, for example with zeros, and try again",
    )
