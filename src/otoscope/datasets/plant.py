"""Cues planted in clips: sounds made by code whose place in time and frequency is known and recorded.

A classifier that was trained with a cue in the clips of one class listens to it; whether an explanation finds it can be
measured. What is drawn depends on the seed and the clip alone, and is the same at every sample rate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from otoscope.audio import rms
from otoscope.core.errors import ParameterError, ShapeError, UnknownNameError
from otoscope.core.settings import Range, read_settings
from otoscope.datasets.contaminate import generator

HZ = {"tone": 6000.0, "click": 0.0, "hum": 50.0, "beep": 3000.0}
"""Kinds of cue and the frequency that each has where none is given (a click has none)."""
OWN = {"tone": ("hz",), "beep": ("hz", "seconds"), "hum": ("hz", "partials"), "click": ("per_second",)}
FLOOR_DB = -60.0
"""A clip that is softer than this, in dBFS, gets its cue as if it were as loud."""
CLICK_S, CLICK_DECAY_S, CLICK_HZ = 0.010, 0.0015, (1000.0, 7500.0)
FADE_S, HALF_BAND_HZ = 0.005, 100.0
Record = dict[str, Any]
Spans = list[tuple[float, float]]


@dataclass(frozen=True)
class Plant:
    """A cue and how loud it is planted in clips.

    Parameters
    ----------
    kind : {"tone", "click", "hum", "beep"}
        A steady tone; clicks of 10 ms at drawn times; a hum with its partials; a short tone at a drawn time.
    level_db : float in [-120, 60], dB
        RMS of the cue where it sounds over that of the clip, in dB. The clip counts whole, and as at least -60 dBFS.
    hz : float, Hz, optional
        Frequency: tone 6000, beep 3000, hum 50.
    seconds : float, s
        Length of a beep.
    per_second : float
        Clicks a second, on average. There is one in each stretch of ``1 / per_second`` s.
    partials : int
        Partials of a hum. The n-th is n times softer than the first.
    seed : int >= 0
        With the clip, draws times and phases; alone, the sound of a click.

    Raises
    ------
    UnknownNameError, ParameterError
        For a kind that is none, or a number out of range.

    Examples
    --------
    >>> mixed, cue, record = Plant("beep", level_db=-10.0, seed=1)(np.ones(16000, np.float32), 16000, "clip-1")
    >>> [round(offset - onset, 6) for _, onset, offset, _, _ in record["events"]]
    [0.3]
    """

    kind: str
    level_db: Annotated[float, Range(-120.0, 60.0)] = -20.0
    hz: Annotated[float | None, Range(1.0, 384_000.0)] = None
    seconds: Annotated[float, Range(0.01, 60.0)] = 0.3
    per_second: Annotated[float, Range(0.05, 50.0)] = 4.0
    partials: Annotated[int, Range(1, 200)] = 12
    seed: Annotated[int, Range(0, 2**63 - 1)] = 0

    def __post_init__(self) -> None:
        if self.kind not in HZ:
            raise UnknownNameError("cue", self.kind, HZ)
        for name, parameter in PARAMETERS.items():
            object.__setattr__(self, name, parameter.check(getattr(self, name), f"cue {self.kind!r}"))
        if self.hz is None:
            object.__setattr__(self, "hz", HZ[self.kind])

    def __call__(self, waveform: np.ndarray, sample_rate: int, key: str) -> tuple[np.ndarray, np.ndarray, Record]:
        """The clip with its cue, the cue alone, and where it is.

        Parameters
        ----------
        waveform : ndarray (time,) or (channel, time)
            Every channel gets the same cue.
        sample_rate : int, Hz
            Sample rate.
        key : str
            Who the clip is, such as its file name; with the seed it decides all that is drawn.

        Returns
        -------
        mixed : ndarray, float32, shape of ``waveform``
            The clip plus the cue; its peak may pass full scale.
        cue : ndarray (time,), float32
        record : dict
            ``cue`` (the kind), ``level_db``, ``hz``, ``seed``, ``key``, ``gain`` and ``events``: lists of label, onset and
            offset in seconds, lowest and highest frequency in Hz.

        Raises
        ------
        ShapeError
        ParameterError
            If the cue has nothing below the Nyquist frequency.
        """
        clip = np.asarray(waveform, dtype=np.float32)
        if clip.ndim not in (1, 2) or not clip.size:
            raise ShapeError(f"a cue is planted in a waveform (time,) or (channel, time); got shape {clip.shape}")
        frames = clip.shape[-1]
        shape, spans, band = self._drawn(frames, sample_rate, key)
        active = _within(spans, np.arange(frames) / sample_rate)
        level = rms(shape[active]) if active.any() else 0.0
        if not level > 1e-9:
            raise ParameterError(
                f"the cue {self.kind!r} has nothing below {sample_rate / 2:g} Hz, the Nyquist frequency, or the clip is too short "
                f"({frames / sample_rate:g} s); give another hz, or longer clips"
            )
        gain = max(rms(clip), 10.0 ** (FLOOR_DB / 20.0)) * 10.0 ** (self.level_db / 20.0) / level
        cue = (gain * shape).astype(np.float32)
        record: Record = {
            "cue": self.kind, "level_db": self.level_db, "hz": self.hz or None, "seed": self.seed, "key": key, "gain": gain,
            "events": [[self.kind, onset, offset, *band] for onset, offset in spans],
        }  # fmt: skip
        return clip + cue, cue, record

    def _drawn(self, frames: int, rate: int, key: str) -> tuple[np.ndarray, Spans, tuple[float, float]]:
        """The cue's shape ``(time,)``, where it sounds in seconds, and its band in Hz."""
        rng, duration, t = generator(self.seed, key), frames / rate, np.arange(frames) / rate
        hz = float(self.hz or 0.0)
        if self.kind == "click":
            return self._clicks(t, rate, duration, rng)
        if self.kind == "hum":
            band = (0.5 * hz, min((self.partials + 0.5) * hz, rate / 2))
            return self._hum(t, rate, rng), [(0.0, duration)], band
        phase = 2.0 * math.pi * float(rng.uniform())
        band = (max(0.0, hz - HALF_BAND_HZ), hz + HALF_BAND_HZ)
        sine = np.sin(2.0 * math.pi * hz * t + phase) if hz < rate / 2 else np.zeros(frames)
        if self.kind == "tone":
            return sine, [(0.0, duration)], band
        length = min(self.seconds, duration)
        onset = float(rng.uniform(0.0, duration - length))
        return sine * _ramped(t - onset, length), [(onset, onset + length)], band

    def _clicks(
        self, t: np.ndarray, rate: int, duration: float, rng: np.random.Generator
    ) -> tuple[np.ndarray, Spans, tuple[float, float]]:
        """One in each stretch of equal length; all the same sound, a burst of damped partials."""
        sound = np.random.default_rng([self.seed, 1])
        hertz, phases = sound.uniform(*CLICK_HZ, 32), sound.uniform(0.0, 2.0 * math.pi, 32)
        stretch, out = min(1.0 / self.per_second, duration), np.zeros(len(t))
        free, count = max(0.0, stretch - CLICK_S), math.ceil(duration / stretch - 1e-9)
        onsets = [i * stretch + float(rng.uniform()) * free for i in range(count)]
        spans = [(onset, onset + CLICK_S) for onset in onsets if onset + CLICK_S <= duration]
        for onset, offset in spans:
            first, last = math.ceil(onset * rate), math.ceil(offset * rate)
            since = t[first:last, None] - onset
            waves = np.sin(2.0 * math.pi * hertz * since + phases) * (hertz < rate / 2)
            out[first:last] = (waves * np.exp(-since / CLICK_DECAY_S)).sum(1)
        return out, spans, CLICK_HZ

    def _hum(self, t: np.ndarray, rate: int, rng: np.random.Generator) -> np.ndarray:
        out = np.zeros(len(t))
        for n, phase in enumerate(rng.uniform(0.0, 2.0 * math.pi, self.partials), start=1):
            hertz = n * float(self.hz or 0.0)
            if hertz < rate / 2:
                out += np.sin(2.0 * math.pi * hertz * t + phase) / n
        return out


PARAMETERS = {p.name: p for p in read_settings(Plant)}


def planter(spec: str) -> Plant:
    """A cue from text such as ``tone,hz=6000,level_db=-25,seed=0``, ``click,per_second=4``, ``hum`` or ``beep,seconds=0.5``.

    Parameters
    ----------
    spec : str
        Kind of cue and settings, comma-separated.

    Returns
    -------
    Plant

    Raises
    ------
    ParameterError, UnknownNameError
        For a kind or a setting that is none, or one of another kind.

    Examples
    --------
    >>> planter("tone,hz=5000,level_db=-10").hz
    5000.0
    """
    kind, *options = [part.strip() for part in spec.split(",")]
    if kind not in HZ:
        raise UnknownNameError("cue", kind, HZ)
    settings = ("level_db", *OWN[kind], "seed")
    given: dict[str, Any] = {}
    for option in options:
        name, found, value = (part.strip() for part in option.partition("="))
        if not found:
            raise ParameterError(f"a setting of a cue is written key=value; got {option!r} in {spec!r}")
        if name not in settings:
            raise UnknownNameError(f"setting of the cue {kind!r}", name, settings)
        given[name] = PARAMETERS[name].check(value, f"cue {kind!r}")
    return Plant(kind, **given)


def _ramped(t: np.ndarray, length: float) -> np.ndarray:
    """1 in [0, length) with ramps of 5 ms (less for a very short sound) at both ends, else 0."""
    fade = min(FADE_S, length / 4)
    return np.asarray(np.clip(np.minimum(t, length - t) / fade, 0.0, 1.0))


def _within(spans: Spans, times: np.ndarray) -> np.ndarray:
    out = np.zeros(times.shape, dtype=bool)
    for onset, offset in spans:
        out |= (times >= onset) & (times < offset)
    return out
