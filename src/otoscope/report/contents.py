"""What a report page shows, as frozen records, and whether it fits together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from otoscope.core.errors import ParameterError, ShapeError

KEYS = ("original", "kept", "removed")
TRUSTS = ("good", "doubtful", "poor")


@dataclass(frozen=True, eq=False)
class Sound:
    """One of the three sounds.

    Parameters
    ----------
    key : {"original", "kept", "removed"}
    audio : bytes or None
        The encoded sound, embedded in the page; None when it is linked.
    mime : str
        Its media type, e.g. ``"audio/flac"``.
    href : str or None
        For sounds too long to embed: a path relative to the page, as plain text (it is quoted here).
    gain : float
        Decoded samples times this are the true samples.
    match_gain : float
        Linear gain that brings the true samples to the level of the original; bounded by the caller.
    rms_db : float, dB
        Level; may be ``-inf``.
    spectrogram : ndarray uint8 (freq, frame)
        Row 0 is 0 Hz and the last row ``top_hz``, evenly spaced in Hz; the frames share the duration evenly.
        0 is ``floor_db``, 255 ``ceil_db``.
    peaks : ndarray (2, n)
        Minima and maxima of the true samples in n equal stretches.
    top : tuple of (label, probability)
        The likeliest labels, most likely first.
    """

    key: str
    audio: bytes | None
    mime: str
    href: str | None
    gain: float
    match_gain: float
    rms_db: float
    spectrogram: np.ndarray
    peaks: np.ndarray
    top: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Figure:
    """One metric, as the page shows it.

    Parameters
    ----------
    name : str
        Its short name, e.g. ``"AD"``.
    value : float or None
        None, NaN and infinities show as "not defined".
    unit : str
    meaning : str
        One line.
    better : {"higher", "lower", ""}
    heard : bool
        Measured on the written sound, not in the domain.
    title : str
        Its name in words.
    """

    name: str
    value: float | None
    unit: str
    meaning: str
    better: str
    heard: bool = False
    title: str = ""


@dataclass(frozen=True)
class Words:
    """What the page calls things; the defaults are for a mask that makes the kept sound.

    Parameters
    ----------
    kept, removed : str
        What these sounds are.
    against, favour, unit : str
        What values of the attribution below and above 0 say, and their unit.
    dark, bright : str
        What values of the mask near 0 and 1 say.
    scored, column : str
        Where the first score of each sound was measured, in a sentence and as the head of a column.
    note : str
        What a reader must know of attribution and mask.
    """

    kept: str = "what the network used"
    removed: str = "what it ignored"
    against: str = "against"
    favour: str = "for"
    unit: str = ""
    dark: str = "removed"
    bright: str = "kept"
    scored: str = "in the domain where the explanation was made"
    column: str = "In the domain"
    note: str = ""


@dataclass(frozen=True, eq=False)
class Page:
    """All that a report shows.

    Parameters
    ----------
    title, file, target, verdict : str
        Window title, name of the sound, explained label, one honest sentence.
    trust : {"good", "doubtful", "poor"}
    warnings : tuple of str
        Why the explanation should not be relied on; empty when nothing is known against it.
    duration : float, s
    sample_rate : int, Hz
    channels : int
    top_hz : float, Hz
        Highest frequency of the spectrograms.
    floor_db, ceil_db : float, dB
        Levels of spectrogram values 0 and 255.
    sounds : tuple of Sound
        Original, kept, removed.
    attribution, mask : ndarray (freq, frame)
        Signed, and in [0, 1]; stored as float32.
    frequencies, times : ndarray (freq,) Hz, (frame,) s
        Centres of the cells, rising. One band covers the full height.
    scores, heard : dict
        Probability of the target for original, kept, removed: in the domain, and of the written sound.
    figures : tuple of Figure
    record : dict
        The whole record, JSON-able.
    words : Words
    rows : tuple of str
        What the rows of attribution and mask are called, where they are no bands of frequency but parts of the sound.
    """

    title: str
    file: str
    target: str
    verdict: str
    trust: str
    warnings: tuple[str, ...]
    duration: float
    sample_rate: int
    channels: int
    top_hz: float
    floor_db: float
    ceil_db: float
    sounds: tuple[Sound, Sound, Sound]
    attribution: np.ndarray
    mask: np.ndarray
    frequencies: np.ndarray
    times: np.ndarray
    scores: Mapping[str, float]
    heard: Mapping[str, float]
    figures: tuple[Figure, ...]
    record: Mapping[str, Any]
    words: Words = Words()
    rows: tuple[str, ...] = ()


def check(page: Page) -> None:
    """A `ShapeError` or `ParameterError` unless all of it fits together."""
    if page.trust not in TRUSTS:
        raise ParameterError(f"trust is one of {', '.join(TRUSTS)}; got {page.trust!r}")
    keys = tuple(sound.key for sound in page.sounds)
    if keys != KEYS:
        raise ParameterError(f"a page has the sounds {', '.join(KEYS)}, in this order; got {', '.join(keys) or 'none'}")
    for name in ("duration", "sample_rate", "top_hz"):
        value = float(getattr(page, name))
        if not (math.isfinite(value) and value > 0):
            raise ParameterError(f"a page's {name} must be a positive number; got {value!r}")
    for sound in page.sounds:
        _check_sound(sound)
    for name in ("frequencies", "times"):
        shape = np.shape(getattr(page, name))
        if len(shape) != 1 or not shape[0]:
            raise ShapeError(f"{name} is one row of cell centres; got shape {shape}")
    grid = (len(page.frequencies), len(page.times))
    if page.rows and len(page.rows) != grid[0]:
        raise ShapeError(f"there are {len(page.rows)} names for {grid[0]} rows")
    for name in ("attribution", "mask"):
        shape = np.shape(getattr(page, name))
        if shape != grid:
            raise ShapeError(f"{name} has shape {shape} but there are {grid[0]} frequencies and {grid[1]} times")


def _check_sound(sound: Sound) -> None:
    shape, dtype = np.shape(sound.spectrogram), np.asarray(sound.spectrogram).dtype
    if len(shape) != 2 or 0 in shape or dtype != np.uint8:
        raise ShapeError(f"the spectrogram of {sound.key} is uint8 (freq, frame); got {dtype} with shape {shape}")
    shape = np.shape(sound.peaks)
    if len(shape) != 2 or shape[0] != 2 or shape[1] == 0:
        raise ShapeError(f"the peaks of {sound.key} are (2, n), minima and maxima; got shape {shape}")
    if sound.audio is None and not sound.href:
        raise ParameterError(f"the sound {sound.key} is neither embedded (audio) nor linked (href)")
