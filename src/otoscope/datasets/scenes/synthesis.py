"""What sounds are drawn with: a canvas that knows seconds and Hz, noise, harmonics, modes, formants.

Nothing here depends on the sample rate except where partials are left out: every structural number (onsets, pitches,
gains) is drawn from one stream that no sample count touches, and noise is drawn per frequency, lowest first. So the same
seed gives the same sound at any rate, up to that rate's Nyquist frequency.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from otoscope.audio import rms
from otoscope.datasets.notes import Notes

Array = NDArray[np.float64]
Shape = Callable[[Array], Array]
TOP_HZ = 20_000.0
"""Nothing is drawn above this frequency, at any rate."""
_REFERENCE_HZ = np.arange(10.0, TOP_HZ, 20.0)


@dataclass(frozen=True)
class Event:
    """One sounding of a source.

    Parameters
    ----------
    label : str
        The kind of sound.
    onset, offset : float, s
        Where it starts and ends in the clip.
    low_hz, high_hz : float, Hz
        The band that holds at least 90 % of its energy. It is that of the sound as defined (up to 20 kHz), the same at
        every sample rate, so ``high_hz`` may lie above the clip's Nyquist frequency. None where it is not known, as in most
        label files.
    """

    label: str
    onset: float
    offset: float
    low_hz: float | None = None
    high_hz: float | None = None


class Canvas:
    """A stem while it is drawn; ``rng`` draws its structure.

    For music: ``key`` in semitones, the same for all stems of a scene; recorded ``notes``, if any; and ``player``, a number in
    [0, 1), the same for all parts of a stem, which chooses among instruments.
    """

    def __init__(
        self,
        label: str,
        duration: float,
        sample_rate: int,
        rng: np.random.Generator,
        key: int = 0,
        notes: Notes | None = None,
        player: float = 0.0,
    ):
        self.label, self.duration, self.sample_rate, self.rng = label, duration, sample_rate, rng
        self.key, self.notes, self.player = key, notes, player
        self.samples: Array = np.zeros(round(duration * sample_rate))
        self.events: list[Event] = []

    @property
    def top_hz(self) -> float:
        """The highest frequency that is drawn."""
        return min(self.sample_rate / 2, TOP_HZ)

    def uniform(self, low: float, high: float) -> float:
        """One number of the structural stream."""
        return float(self.rng.uniform(low, high))

    def mark(self, onset: float, offset: float, low_hz: float, high_hz: float) -> None:
        """Note an event; what reaches past the clip is cut, and so is what would begin after it."""
        if onset < self.duration:
            self.events.append(Event(self.label, onset, min(offset, self.duration), low_hz, high_hz))

    def onsets(self, low_gap: float, high_gap: float, latest: float = 0.3) -> Iterator[float]:
        """Times at random gaps (s) from near the start to the end; the first is never later than a fifth of the clip."""
        now = self.uniform(0.1, 1.0) * min(latest, 0.2 * self.duration)
        while now < self.duration:
            yield now
            now += self.uniform(low_gap, high_gap)

    def times(self, onset: float, seconds: float) -> Array:
        """Seconds since ``onset`` of each sample in ``[onset, onset + seconds)``, on the clip's own sample grid."""
        start = int(np.ceil(onset * self.sample_rate - 1e-6))
        stop = int(np.ceil((onset + seconds) * self.sample_rate - 1e-6))
        return np.arange(start, max(stop, start)) / self.sample_rate - onset

    def add(self, onset: float, sound: Array) -> None:
        """Add a sound that was made on ``times(onset, ...)``; what reaches past the clip is cut."""
        start = int(np.ceil(onset * self.sample_rate - 1e-6))
        part = self.samples[start : start + len(sound)]
        part += sound[: len(part)]

    def noise(self, count: int, shape: Shape) -> Array:
        """Gaussian noise ``(count,)`` with magnitude spectrum ``shape(Hz)``, whose scale is of no matter: its RMS is 1 over
        0-20 kHz, less where the rate cuts it."""
        rng = np.random.default_rng(int(self.rng.integers(2**62)))
        hertz = np.fft.rfftfreq(max(count, 1), 1 / self.sample_rate)
        lines = rng.normal(size=(len(hertz), 2)) @ np.array([1.0, 1.0j])
        lines = lines * shape(np.maximum(hertz, 1e-3)) * (hertz < self.top_hz)
        lines[0] = 0.0
        power = float(np.mean(shape(_REFERENCE_HZ) ** 2)) * TOP_HZ
        scale = 0.5 * np.sqrt(self.sample_rate / max(count, 1) / power) * count
        return np.fft.irfft(lines, count) * scale if count > 1 else np.zeros(count)

    def wander(self, t: Array, hertz: float) -> Array:
        """A smooth random curve of RMS near 1 that turns about ``hertz`` times a second."""
        rng = np.random.default_rng(int(self.rng.integers(2**62)))
        place = t * hertz
        knots = rng.normal(size=int(place[-1]) + 3 if len(t) else 2)
        index = np.minimum(place.astype(int), len(knots) - 2)
        blend = 0.5 - 0.5 * np.cos(np.pi * (place - index))
        return knots[index] * (1 - blend) + knots[index + 1] * blend

    def phase(self, hertz: Array) -> Array:
        """Cycles run through at an instantaneous frequency."""
        steps = 0.5 * (hertz[1:] + hertz[:-1]) / self.sample_rate
        return np.concatenate([np.zeros(min(1, len(hertz))), np.cumsum(steps)])

    def harmonics(self, hertz: Array, shape: Shape, most: int = 200) -> Array:
        """Partials at the multiples of a gliding pitch ``(time,)`` in Hz, each as loud as ``shape`` at its own frequency;
        at most ``most``, and none above Nyquist."""
        out = np.zeros(len(hertz))
        turn = np.exp(2j * np.pi * self.phase(hertz))
        spin = np.ones(len(hertz), dtype=complex)
        table_hz = np.linspace(0.0, TOP_HZ, 2001)
        table = shape(np.maximum(table_hz, 1e-3))
        for k in range(1, most + 1):
            if not len(hertz) or k * float(hertz.min()) >= self.top_hz:
                break
            spin = spin * turn
            partial = k * hertz
            audible = np.clip((self.top_hz - partial) / (0.05 * self.top_hz), 0.0, 1.0)
            out += spin.imag * np.interp(partial, table_hz, table) * audible
        return out

    def reverberate(self, decay: float, wet: float, top_hz: float = 7000.0) -> None:
        """Put what was drawn so far in a room.

        Parameters
        ----------
        decay : float, s
            Time in which the echoes' amplitude falls to 1/e; they are over after five of it.
        wet : float
            Gain of the echoes, 1 for as much energy as the sound itself has.
        top_hz : float, Hz
            Above it the room swallows sound.
        """
        t = self.times(0.0, 5 * decay)
        echoes = self.noise(len(t), band(120, top_hz, 0.7)) * np.exp(-t / decay) * np.clip(t / 0.004, 0, 1)
        echoes *= wet * np.sqrt(4 * TOP_HZ / decay) / self.sample_rate
        size = len(self.samples) + len(t)
        wave = np.fft.irfft(np.fft.rfft(self.samples, size) * np.fft.rfft(echoes, size), size)
        self.samples = self.samples + wave[: len(self.samples)]
        self.events = [
            Event(e.label, e.onset, min(e.offset + 2 * decay, self.duration), e.low_hz, e.high_hz) for e in self.events
        ]

    def modes(self, t: Array, partials: Iterable[tuple[float, float, float]]) -> Array:
        """Damped sines ``(Hz, decay in s, gain)`` struck at t = 0."""
        out = np.zeros(len(t))
        for hertz, decay, gain in partials:
            if hertz < self.top_hz:
                out += gain * np.exp(-t / decay) * np.sin(2 * np.pi * hertz * t)
        return out


def arc(t: Array, seconds: float, attack: float, release: float) -> Array:
    """An envelope that rises for ``attack`` s, holds, and falls for ``release`` s to end at ``seconds``."""
    rise = np.clip(t / attack, 0.0, 1.0)
    fall = np.clip((seconds - t) / release, 0.0, 1.0)
    return np.sin(0.5 * np.pi * rise) ** 2 * np.sin(0.5 * np.pi * fall) ** 2


def glide(t: Array, seconds: float, points: Iterable[tuple[float, float]]) -> Array:
    """A curve through ``(share of the length, value)`` points."""
    where, value = zip(*points, strict=True)
    return np.interp(t, np.array(where) * seconds, value)


def band(low_hz: float, high_hz: float, steep: float = 4.0) -> Shape:
    """A band-pass with soft edges: slopes of ``6 * steep`` dB an octave."""

    def shape(f: Array) -> Array:
        return 1.0 / np.sqrt((1.0 + (low_hz / f) ** (2 * steep)) * (1.0 + (f / high_hz) ** (2 * steep)))

    return shape


def formants(peaks: Iterable[tuple[float, float, float]], floor: float = 0.0) -> Shape:
    """Resonances ``(Hz, bandwidth in Hz, gain)`` over a floor."""
    fixed = tuple(peaks)

    def shape(f: Array) -> Array:
        out = np.full_like(f, floor)
        for hertz, width, gain in fixed:
            out = out + gain / np.sqrt(1.0 + ((f - hertz) / (0.5 * width)) ** 2)
        return out

    return shape


def tract(
    peaks: Iterable[tuple[float, float, float]], floor: float, sharp: float, knee_hz: float, slope_db: float
) -> Shape:
    """A vocal tract: `formants` raised to the power ``sharp``, falling by ``slope_db`` an octave above ``knee_hz``."""
    resonances = formants(peaks, floor)
    return tilted(lambda f: resonances(f) ** sharp, slope_db, knee_hz)


def tilted(shape: Shape, decibels: float, from_hz: float = 500.0) -> Shape:
    """The shape with a slope of so many dB an octave above ``from_hz``."""
    power = decibels / (20 * np.log10(2.0))
    return lambda f: shape(f) * np.maximum(f / from_hz, 1.0) ** power


def contour(points: Mapping[float, float]) -> Shape:
    """A spectrum through ``{Hz: dB of power density}`` points, straight over log frequency, falling fast outside them."""
    hertz, level = np.log2(np.array(list(points))), np.array(list(points.values()), dtype=float)

    def shape(f: Array) -> Array:
        octave = np.log2(f)
        outside = np.maximum(hertz[0] - octave, 0) + np.maximum(octave - hertz[-1], 0)
        return np.asarray(10 ** ((np.interp(octave, hertz, level) - 24 * outside) / 20), dtype=np.float64)

    return shape


def even(sound: Array) -> Array:
    """The sound at RMS 1 (silence stays silence), so that parts can be weighed against each other."""
    level = rms(sound)
    return sound / level if level > 0 else sound
