"""Scenes: stems, their mixture at a stated SNR, and what sounds when."""

from __future__ import annotations

import math
import numbers
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from otoscope.audio import peak, rms
from otoscope.core.errors import ParameterError, UnknownNameError
from otoscope.core.records import Clip
from otoscope.datasets.notes import Notes
from otoscope.datasets.scenes.sources import SOUNDS
from otoscope.datasets.scenes.synthesis import Array, Canvas, Event

LEVEL_DB = -20.0
"""Level of a rendered stem: dBFS RMS over the part in which its events sound."""
PEAK = 0.9
"""No sample of a mixture exceeds this."""
SHORTEST, LONGEST = 0.05, 3600.0
_FADE = 0.005

Intervals = Sequence[tuple[float, float]]


@dataclass(frozen=True, eq=False)
class Stem:
    """One source of a scene, alone.

    Parameters
    ----------
    label : str
        The kind of sound.
    samples : ndarray (time,)
        float32, read-only; full scale is 1.
    events : tuple of Event
        In order of onset.
    """

    label: str
    samples: NDArray[np.float32]
    events: tuple[Event, ...]

    def __post_init__(self) -> None:
        samples = np.ascontiguousarray(self.samples, dtype=np.float32).view()
        samples.flags.writeable = False
        object.__setattr__(self, "samples", samples)


@dataclass(frozen=True, eq=False)
class Scene:
    """A mixture whose parts are known.

    Parameters
    ----------
    clip : Clip
        Mono; its samples are the float32 sum of the stems in their order, exactly.
    stems : tuple of Stem
        The foreground first.
    snr_db : float, dB
        Energy of the first stem over that of the sum of the others, over the whole clip; infinite for a single stem.
    seed : int
        Determines everything that is drawn.

    Examples
    --------
    >>> scene = make_scene(["bell", "rain"], duration=1.0, sample_rate=8000, snr_db=3.0, seed=0)
    >>> [stem.label for stem in scene.stems], scene.clip.samples.shape
    (['bell', 'rain'], (1, 8000))
    """

    clip: Clip
    stems: tuple[Stem, ...]
    snr_db: float
    seed: int

    @property
    def events(self) -> tuple[Event, ...]:
        """The events of all stems, in order of onset."""
        return tuple(sorted((e for s in self.stems for e in s.events), key=lambda e: (e.onset, e.label)))

    def stem(self, label: str) -> Stem:
        """The stem with this label, or an `UnknownNameError`."""
        for stem in self.stems:
            if stem.label == label:
                return stem
        raise UnknownNameError("stem", label, [s.label for s in self.stems])

    def activity(self, label: str, times: ArrayLike) -> NDArray[np.bool_]:
        """Whether one of the label's events sounds at each time.

        Parameters
        ----------
        label : str
            Name of the class.
        times : array_like of any shape, s
            Times from the start of the clip.

        Returns
        -------
        ndarray of bool, shape of ``times``
            True where ``onset <= time < offset`` of any event.
        """
        return _active(self.stem(label).events, np.asarray(times, dtype=np.float64))


def kinds() -> tuple[str, ...]:
    """The names of all kinds of sound."""
    return tuple(SOUNDS)


def render(
    kind: str, duration: float = 5.0, sample_rate: int = 32000, seed: int = 0, notes: Notes | None = None
) -> Stem:
    """One sound alone.

    Parameters
    ----------
    kind : str
        One of `kinds`.
    duration : float in [0.05, 3600], s
        Length of the sound.
    sample_rate : int >= 1000, Hz
        Partials above its Nyquist frequency are left out; the events are the same at every rate.
    seed : int >= 0
        Determines the samples.
    notes : Notes, optional
        Recorded notes, which kinds that play notes (``bass_line``, ``chord_pad``) then use.

    Returns
    -------
    Stem
        At -20 dBFS RMS over the part in which its events sound. Its peaks may pass full scale where the sound is all
        crackles or clicks (float32 holds them); ``make_scene([kind])`` keeps them below 0.9.

    Raises
    ------
    UnknownNameError
        The kind does not exist.
    ParameterError
        A number is out of range, or the sound has nothing below the Nyquist frequency.

    Examples
    --------
    >>> stem = render("clock_tick", duration=2.0, sample_rate=16000, seed=1)
    >>> stem.samples.shape
    (32000,)
    """
    duration, sample_rate, seed = _checked(duration, sample_rate, seed)
    samples, events = _drawn(kind, duration, sample_rate, seed, None, notes)
    return Stem(kind, samples.astype(np.float32), events)


def make_scene(
    kinds: Sequence[str],
    duration: float = 5.0,
    sample_rate: int = 32000,
    snr_db: float = 0.0,
    seed: int = 0,
    events: Mapping[str, Intervals] | None = None,
    notes: Notes | None = None,
) -> Scene:
    """Procedural scenes: separate stems with exact event times, mixed at a stated SNR.

    Parameters
    ----------
    kinds : sequence of str
        What sounds, each kind once; the first is the foreground. The others are equally loud where they sound.
    duration : float in [0.05, 3600], s
        Length of the sound.
    sample_rate : int >= 1000, Hz
        Sample rate of the clip.
    snr_db : float in [-120, 120], dB
        Energy of the first stem over that of the sum of the others, over the whole clip.
    seed : int >= 0
        The same seed gives the same samples. A kind's stem does not depend on what else sounds, but for its level.
    events : mapping of str to sequence of (onset, offset), s, optional
        Intervals in which a kind sounds. Each is drawn independently, with faded ends; a kind that is not named sounds
        in the whole clip at times of its own.
    notes : Notes, optional
        Recorded notes, which kinds that play notes (``bass_line``, ``chord_pad``) then use.

    Returns
    -------
    Scene
        Its peak is at most 0.9: one gain for all stems sees to that.

    Raises
    ------
    UnknownNameError
        A kind does not exist.
    ParameterError
        A number is out of range, a kind comes twice, or an interval does not lie in the clip.

    Examples
    --------
    >>> scene = make_scene(["dog_bark", "helicopter"], snr_db=6.0, events={"dog_bark": [(1.0, 2.5)]})
    >>> [bool(b) for b in scene.activity("dog_bark", [0.5, 4.0])]
    [False, False]
    """
    duration, sample_rate, seed = _checked(duration, sample_rate, seed)
    _check_mixture(kinds, snr_db, events or {}, duration)
    drawn = [_drawn(kind, duration, sample_rate, seed, (events or {}).get(kind), notes) for kind in kinds]
    signals = _balanced([samples for samples, _ in drawn], snr_db)
    stems = tuple(
        Stem(kind, signal.astype(np.float32), marks)
        for kind, signal, (_, marks) in zip(kinds, signals, drawn, strict=True)
    )
    mixture = stems[0].samples.copy()
    for stem in stems[1:]:
        mixture += stem.samples
    ratio = float(snr_db) if len(stems) > 1 else math.inf
    return Scene(Clip(mixture[None], sample_rate, source="scene"), stems, ratio, seed)


def demo_scene(sample_rate: int = 32000, seed: int = 0) -> Scene:
    """The sound of the demo: a dog barks while a helicopter passes.

    The two are apart in frequency (the barks above 300 Hz, the rotor's strength below) and in time, so that one hears at
    once whether an explanation took the right part.

    Parameters
    ----------
    sample_rate : int >= 1000, Hz
        Sample rate of the clip.
    seed : int >= 0
        Determines everything that is drawn.

    Returns
    -------
    Scene
        5 s.

    Examples
    --------
    >>> [stem.label for stem in demo_scene(sample_rate=8000).stems]
    ['dog_bark', 'helicopter']
    """
    return make_scene(["dog_bark", "helicopter"], 5.0, sample_rate, snr_db=3.0, seed=seed)


def _drawn(
    kind: str, duration: float, sample_rate: int, seed: int, intervals: Intervals | None, notes: Notes | None
) -> tuple[Array, tuple[Event, ...]]:
    """The samples (float64, at the standard level) and events of one kind."""
    if kind not in SOUNDS:
        raise UnknownNameError("sound", kind, SOUNDS)
    samples = np.zeros(round(duration * sample_rate))
    key = int(np.random.default_rng([seed, zlib.crc32(b"key")]).integers(12))
    player = float(np.random.default_rng([seed, zlib.crc32(kind.encode())]).random())
    events: list[Event] = []
    for index, (onset, offset) in enumerate(intervals if intervals is not None else [(0.0, duration)]):
        rng = np.random.default_rng([seed, zlib.crc32(kind.encode()), index])
        canvas = Canvas(kind, offset - onset, sample_rate, rng, key, notes, player)
        SOUNDS[kind](canvas)
        start = round(onset * sample_rate)
        part = samples[start : start + len(canvas.samples)]
        part += _faded(canvas.samples, sample_rate)[: len(part)]
        events += [
            Event(kind, e.onset + onset, min(e.offset + onset, duration), e.low_hz, e.high_hz) for e in canvas.events
        ]
    events.sort(key=lambda e: e.onset)
    return _levelled(kind, samples, events, sample_rate), tuple(events)


def _faded(samples: Array, sample_rate: int) -> Array:
    """The samples with 5 ms ramps at both ends (less for a very short sound), so that nothing clicks."""
    count = min(round(_FADE * sample_rate), len(samples) // 10)
    ramp = np.ones(len(samples))
    ramp[:count] = (np.arange(count) + 0.5) / count if count else 1.0
    return samples * ramp * ramp[::-1]


def _levelled(kind: str, samples: Array, events: Sequence[Event], sample_rate: int) -> Array:
    """The samples at `LEVEL_DB` over the active part."""
    active = _active(events, np.arange(len(samples)) / sample_rate)
    level = rms(samples[active])
    if level < 1e-9:
        raise ParameterError(
            f"{kind} has nothing to sound below {sample_rate / 2:g} Hz, the Nyquist frequency of sample_rate={sample_rate}; "
            "use a rate of at least 8000 Hz, or intervals that are longer"
        )
    return samples * (10 ** (LEVEL_DB / 20) / level)


def _balanced(signals: list[Array], snr_db: float) -> list[Array]:
    """The signals at the stated SNR (the first against the sum of the others), with a common gain for the peak."""
    if len(signals) > 1:
        ratio = np.sum(signals[0] ** 2) / np.sum(sum(signals[1:]) ** 2)
        gain = np.sqrt(ratio) * 10 ** (-snr_db / 20)
        signals = [signals[0], *(gain * s for s in signals[1:])]
    common = min(1.0, PEAK * (1 - 1e-6) / peak(np.asarray(sum(signals))))
    return [common * s for s in signals]


def _active(events: Sequence[Event], times: Array) -> NDArray[np.bool_]:
    """Whether any of the events sounds at each time."""
    out = np.zeros(times.shape, dtype=bool)
    for event in events:
        out |= (times >= event.onset) & (times < event.offset)
    return out


def _checked(duration: float, sample_rate: int, seed: int) -> tuple[float, int, int]:
    """The three numbers in their types, or a `ParameterError`."""
    if not _is_real(duration) or not SHORTEST <= duration <= LONGEST:
        raise ParameterError(f"duration must lie in [{SHORTEST:g}, {LONGEST:g}] s; got {duration!r}")
    if not _is_real(sample_rate) or sample_rate != int(sample_rate) or not 1000 <= sample_rate <= 768_000:
        raise ParameterError(f"sample_rate must be a whole number in [1000, 768000] Hz; got {sample_rate!r}")
    if not isinstance(seed, numbers.Integral) or isinstance(seed, bool) or seed < 0:
        raise ParameterError(f"seed must be a whole number of at least 0; got {seed!r}")
    return float(duration), int(sample_rate), int(seed)


def _is_real(value: object) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)


def _check_mixture(kinds: Sequence[str], snr_db: float, events: Mapping[str, Intervals], duration: float) -> None:
    """Kinds that exist and come once, an SNR, intervals in the clip; or our error."""
    if isinstance(kinds, str) or not kinds:
        raise ParameterError(
            f"kinds must be a list of at least one kind of sound; got {kinds!r}; write ['rain', 'bell']"
        )
    for kind in [*kinds, *events]:
        if kind not in SOUNDS:
            raise UnknownNameError("sound", kind, SOUNDS)
    if len(set(kinds)) < len(kinds):
        raise ParameterError(
            f"each kind can sound once in a scene; got {list(kinds)}; use events= to let it sound again"
        )
    if not _is_real(snr_db) or abs(snr_db) > 120:
        raise ParameterError(f"snr_db must lie in [-120, 120] dB; got {snr_db!r}")
    for kind, intervals in events.items():
        if kind not in kinds:
            raise UnknownNameError("kind in events", kind, kinds)
        _check_intervals(kind, intervals, duration)


def _check_intervals(kind: str, intervals: Intervals, duration: float) -> None:
    """(onset, offset) pairs of numbers that lie in the clip; or our error."""
    try:
        pairs = [(onset, offset) for onset, offset in intervals]
    except (TypeError, ValueError):
        pairs = []
    if not pairs or not all(_is_real(edge) for pair in pairs for edge in pair):
        raise ParameterError(
            f"events of {kind} must be (onset, offset) pairs in seconds, such as [(0.5, 2.0)]; got {intervals!r}; "
            f"they must lie in the clip of {duration:g} s; leave {kind} out for its default times"
        )
    for onset, offset in pairs:
        if not (onset >= 0 and onset + SHORTEST <= offset <= duration):
            raise ParameterError(
                f"events of {kind}: ({onset}, {offset}) must lie in the clip of {duration:g} s and last {SHORTEST:g} s or more"
            )
