"""Contents of the page of an explanation as frozen records, their checks, and how they come from an `Explanation`.

Arrays are ``(freq, frame)``, low frequency and early time first; frequencies in Hz, times in s, levels in dB, scores are
probabilities in [0, 1].
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from otoscope.audio import close_audio, downmix, encode, open_audio, resample
from otoscope.core import registry
from otoscope.core.errors import ParameterError, ShapeError
from otoscope.explanation.explainers import DESCRIBES
from otoscope.explanation.explanation import PARTS, Explanation
from otoscope.report.pages.exemplars import PageExemplar, page_exemplar
from otoscope.report.picture import CEIL_DB, COLUMNS, FLOOR_DB, SoundPicture, match_gain, picture_of

EMBED_S = 180.0  # longer sounds are linked
PLAYABLE_HZ = (8000, 48000)
SOUNDS = {"original": ("A", "Original"), "kept": ("B", "Kept"), "removed": ("C", "Removed")}
"""Key and name of each sound of an explanation."""

TRUST = {
    "good": ("Good", "The kept sound accounts for the prediction."),
    "doubtful": ("Doubtful", "Interpret with care."),
    "poor": ("Poor", "Do not rely on this explanation."),
}
"""Title and advice for each degree of trust."""


@dataclass(frozen=True)
class Captions:
    """Captions of the page of an explanation; the defaults are for a kept sound that a mask selects.

    Parameters
    ----------
    original, kept, removed : str
        Descriptions of these sounds.
    against, favour, unit : str
        Meaning of attribution values below and above 0, and their unit.
    dark, bright : str
        Meaning of mask values near 0 and 1.
    scored, column : str
        Where the first score of each sound was measured, in a sentence and as the head of a column.
    note : str
        A note on attribution and mask; empty for none.
    """

    original: str = "the whole sound"
    kept: str = "what the network used"
    removed: str = "what it ignored"
    against: str = "against"
    favour: str = "for"
    unit: str = ""
    dark: str = "removed"
    bright: str = "kept"
    scored: str = "in the domain of the explanation"
    column: str = "In the domain"
    note: str = ""


MASKED = Captions()
GENERATED = Captions(
    kept="what the method generated",
    removed="the original minus that",
    against="softer",
    favour="louder",
    unit="dB",
    dark="softer",
    bright="as loud",
    scored="as it was generated",
    column="As generated",
    note=f"{DESCRIBES[0].upper()}{DESCRIBES[1:]}.",
)
"""For methods that generate the kept sound; attribution and mask are described from it."""


def captions_of(explanation: Explanation) -> Captions:
    """The captions of an explanation: of a masked or of a generated sound."""
    return MASKED if explanation.generated is None else GENERATED


@dataclass(frozen=True, eq=False)
class PageSound:
    """One of the three sounds.

    Parameters
    ----------
    key : {"original", "kept", "removed"}
        Which sound it is.
    audio : bytes or None
        The encoded sound to embed; None if it is linked.
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
        Empty for a plain number.
    meaning : str
        One line.
    better : {"higher", "lower", ""}
        The better direction; empty if neither is.
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


@dataclass(frozen=True, eq=False)
class Page:
    """Contents of the page of an explanation.

    Parameters
    ----------
    title, file, target, verdict : str
        Window title, file name, explained class, and the verdict in one sentence.
    trust : {"good", "doubtful", "poor"}
        The degree of trust in the explanation.
    warnings : tuple of str
        Reasons not to rely on the explanation; empty if none is known.
    duration : float, s
        Length of the sound, above 0.
    sample_rate : int, Hz
        Rate of the original, above 0.
    channels : int
        Number of channels of the original.
    top_hz : float, Hz
        Highest frequency of the spectrograms.
    floor_db, ceil_db : float, dB
        Levels of spectrogram values 0 and 255.
    sounds : tuple of PageSound
        Original, kept, removed.
    attribution, mask : ndarray (freq, frame)
        Signed, and in [0, 1]; stored as float32.
    frequencies, times : ndarray (freq,) Hz, (frame,) s
        Centres of the cells, rising. One band covers the full height.
    scores, heard : dict
        Probability of the target for original, kept, removed: in the domain, and of the written sound.
    figures : tuple of Figure
        The metrics, in order.
    record : dict
        The whole record, JSON-able.
    captions : Captions
        Words of the page.
    rows : tuple of str
        Names of the rows of attribution and mask if they are parts of the sound rather than frequency bands.
    answer : tuple of str
        Reasons to doubt the classifier's answer itself.
    exemplars : tuple of PageExemplar
        Sounds that the clip was compared with.

    Examples
    --------
    >>> page = build_page(otoscope.explain("bark.wav", method="gradient"))
    >>> page.file, [sound.key for sound in page.sounds]
    ('bark.wav', ['original', 'kept', 'removed'])
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
    sounds: tuple[PageSound, PageSound, PageSound]
    attribution: np.ndarray
    mask: np.ndarray
    frequencies: np.ndarray
    times: np.ndarray
    scores: Mapping[str, float]
    heard: Mapping[str, float]
    figures: tuple[Figure, ...]
    record: Mapping[str, Any]
    captions: Captions = MASKED
    rows: tuple[str, ...] = ()
    answer: tuple[str, ...] = ()
    exemplars: tuple[PageExemplar, ...] = ()


def check(page: Page) -> None:
    """Raise a `ShapeError` or `ParameterError` unless the contents fit together."""
    if page.trust not in TRUST:
        raise ParameterError(f"trust is one of {', '.join(TRUST)}; got {page.trust!r}")
    keys = tuple(sound.key for sound in page.sounds)
    if keys != PARTS:
        raise ParameterError(
            f"a page has the sounds {', '.join(PARTS)}, in this order; got {', '.join(keys) or 'none'}"
        )
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


def _check_sound(sound: PageSound) -> None:
    shape, dtype = np.shape(sound.spectrogram), np.asarray(sound.spectrogram).dtype
    if len(shape) != 2 or 0 in shape or dtype != np.uint8:
        raise ShapeError(f"the spectrogram of {sound.key} is uint8 (freq, frame); got {dtype} with shape {shape}")
    shape = np.shape(sound.peaks)
    if len(shape) != 2 or shape[0] != 2 or shape[1] == 0:
        raise ShapeError(f"the peaks of {sound.key} are (2, n), minima and maxima; got shape {shape}")
    if sound.audio is None and not sound.href:
        raise ParameterError(f"the sound {sound.key} is neither embedded (audio) nor linked (href)")


# --- from an explanation ----------------------------------------------------------------------------------------------


def build_page(explanation: Explanation, linked: dict[str, Path] | None = None) -> Page:
    """Contents of the page of an explanation.

    Parameters
    ----------
    explanation : Explanation
        The explanation to show.
    linked : dict, optional
        Files of the three sounds in the page's folder; used for sounds over three minutes, which are not embedded.
    """
    source, verdict, index = explanation.source, explanation.verdict(), explanation.target.index
    files = linked or {} if source.duration > EMBED_S else {}
    pictures = {part: _picture(explanation, part, files.get(part)) for part in PARTS}
    grid, name = explanation.mask.grid, Path(source.source).name
    seen = _thin(grid.times)
    return Page(
        title=f"{explanation.target.label} in {name}",
        file=name,
        target=explanation.target.label,
        verdict=verdict.sentence,
        trust=verdict.trust,
        warnings=verdict.warnings,
        duration=source.duration,
        sample_rate=source.sample_rate,
        channels=source.channels,
        top_hz=source.sample_rate / 2,
        floor_db=FLOOR_DB,
        ceil_db=CEIL_DB,
        sounds=tuple(_sound(explanation, part, pictures, files.get(part)) for part in PARTS),  # type: ignore[arg-type]
        attribution=explanation.attribution.values[:, seen],
        mask=explanation.mask.values[:, seen],
        frequencies=grid.frequencies,
        times=grid.times[seen],
        scores=explanation.scores.of(index),
        heard=explanation.heard.of(index),
        figures=tuple(figures(explanation.metrics())),
        record=explanation.record(),
        captions=captions_of(explanation),
        rows=grid.rows,
        answer=verdict.answer,
        exemplars=tuple(map(page_exemplar, explanation.exemplars)),
    )


def figures(metrics: dict[str, float]) -> list[Figure]:
    """The metrics with their meaning, from the registry."""
    out = []
    for name, value in metrics.items():
        heard = name.startswith("heard_")
        entry = registry.get("metric", name.removeprefix("heard_"))
        facts, title = entry.facts, entry.name.replace("_", " ").capitalize()
        better = "higher" if facts["higher_is_better"] else "lower"
        out.append(Figure(facts["short"], value, facts["unit"], facts["means"], better, heard, title))
    return out


def _picture(explanation: Explanation, part: str, file: Path | None) -> SoundPicture:
    """The picture of a sound, of its file if it is linked."""
    source = explanation.source
    if part == "original":
        return picture_of(source, source.frames, source.sample_rate)
    sound = getattr(explanation, part) if file is None else open_audio(file)
    try:
        return picture_of(sound, source.frames, source.sample_rate)
    finally:
        close_audio(sound)


def _sound(explanation: Explanation, part: str, pictures: dict[str, SoundPicture], file: Path | None) -> PageSound:
    picture, source = pictures[part], explanation.source
    data, gain = None, 1.0
    if file is None:
        samples = source.read(0, source.frames) if part == "original" else getattr(explanation, part).samples
        data, gain = _playable(samples, source.sample_rate)
    return PageSound(
        key=part,
        audio=data,
        mime="audio/flac" if file is None else "audio/wav",
        href=None if file is None else file.name,
        gain=gain,
        match_gain=match_gain(picture, pictures["original"]),
        rms_db=picture.rms_db,
        spectrogram=picture.image(),
        peaks=picture.outline,
        top=tuple((t["label"], t["score"]) for t in explanation.top(part)),
    )


def _playable(samples: np.ndarray, sample_rate: int) -> tuple[bytes, float]:
    """FLAC that every browser plays: one or two channels, a rate that it knows."""
    if samples.shape[0] > 2:
        samples = downmix(samples)[None]
    rate = min(max(sample_rate, PLAYABLE_HZ[0]), PLAYABLE_HZ[1])
    return encode(resample(samples, sample_rate, rate), rate)


def _thin(times: np.ndarray) -> np.ndarray:
    """Indices of the frames of a grid that the page shows: all, or as many as it has columns."""
    return np.unique(np.linspace(0, len(times) - 1, min(len(times), 4 * COLUMNS)).round().astype(int))
