"""Sounds to find out what a feature responds to, each with what it is: tones, bands, clicks, modulations, stacks, chords, notes.

All are as long as each other and -20 dB re full scale (RMS) unless the level is what varies. The seed changes noise and phases.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from otoscope.core.errors import ParameterError
from otoscope.datasets.notes import Notes
from otoscope.datasets.records import spread

LEVEL_DB = -20.0
SECONDS = 1.0
KEYS = 12
ROOT, ROOT_HZ = 57, 220.0  # of the lowest chord, A3
NOTES = 12  # most of an instrument
KINDS = {"major": (0, 4, 7), "minor": (0, 3, 7)}
TIMBRES = {
    "bright": 0.8,
    "dull": 0.35,
    "odd": 0.7,
}  # each harmonic's amplitude over the one before; "odd" has odd ones only


@dataclass(frozen=True, eq=False)
class Stimulus:
    """A made sound.

    Parameters
    ----------
    group : str
        Such as ``tone``, ``noise band``, ``clicks``, ``gated noise``, ``chord``, ``note``.
    values : mapping
        What it is: ``hz``, ``rate_hz``, ``level_db``, ``key``, ``kind``, ``timbre`` (of a played sound, the instrument).
    samples : ndarray (time,), float32
        The sound.

    Examples
    --------
    >>> make_stimuli(8000)[0].values["hz"]
    50.0
    """

    group: str
    values: dict[str, Any] = field(default_factory=dict)
    samples: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))

    @property
    def name(self) -> str:
        """In words, such as ``tone, hz 440``."""
        said = [f"{k} {v:g}" if isinstance(v, float) else f"{k} {v}" for k, v in self.values.items()]
        return ", ".join([self.group, *said])


def make_stimuli(
    sample_rate: int, seed: int = 0, seconds: float = SECONDS, notes: Notes | None = None
) -> list[Stimulus]:
    """All stimuli for a classifier's rate.

    Parameters
    ----------
    sample_rate : int, Hz
        What lies above 0.45 times this is not made.
    seed : int
        Of noise and phases.
    seconds : float, s
        Length of each.
    notes : Notes, optional
        Recorded notes of instruments, which are then among the stimuli: at most twelve of each, and chords of those instruments
        that reach all of them.

    Raises
    ------
    ParameterError
        For a rate below 2,000 Hz or a length below a quarter of a second.

    Examples
    --------
    >>> sounds = make_stimuli(8000)
    >>> len({s.name for s in sounds}) == len(sounds) > 150
    True
    """
    if sample_rate < 2000 or seconds < 0.25:
        raise ParameterError(f"stimuli need at least 2000 Hz and 0.25 s; got {sample_rate} Hz and {seconds} s")
    make = _Maker(sample_rate, seconds, np.random.default_rng(seed))
    made = make.all()
    if notes is not None:
        make.play(notes)
    return [Stimulus(group, values, sound) for group, values, sound in made]


class _Maker:
    def __init__(self, rate: int, seconds: float, rng: np.random.Generator):
        self.rate, self.n, self.rng, self.top = rate, round(rate * seconds), rng, 0.45 * rate
        self.time = np.arange(self.n) / rate

    def all(self) -> list[tuple[str, dict[str, Any], np.ndarray]]:
        """Group, values and sound of each."""
        self.found: list[tuple[str, dict[str, Any], np.ndarray]] = []
        self.grid = np.geomspace(50, self.top, 25)
        self._steady()
        self._in_time()
        self._modulated()
        self._musical()
        return self.found

    def add(self, group: str, sound: np.ndarray, level: float = LEVEL_DB, **values: Any) -> None:
        self.found.append((group, values, self.levelled(sound, level)))

    def _steady(self) -> None:
        grid = self.grid
        for hz in grid:
            self.add("tone", self.tone(hz), hz=float(hz))
        for hz in grid[2::6]:
            for level in (-60.0, -50.0, -40.0, -30.0):
                self.add("tone level", self.tone(hz), level, hz=float(hz), level_db=level)
        for low, high in zip(grid[:-2:2], grid[2::2], strict=True):
            self.add("noise band", self.noise(low, high), hz=float(np.sqrt(low * high)))
        for level in (-60.0, -40.0, -20.0):
            self.add("noise", self.noise(20, self.top), level, level_db=level)

    def _in_time(self) -> None:
        grid = self.grid
        for rate in (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0):
            self.add("clicks", self.clicks(rate), rate_hz=rate)
        bands = [(20.0, self.top), *((float(a), float(b)) for a, b in zip(grid[:-6:6], grid[6::6], strict=True))]
        for shape in ("begins", "ends", "burst"):
            for hz in grid[3::5]:
                self.add("gated tone", self.tone(hz) * self.gate(shape), hz=float(hz), shape=shape)
            for low, high in bands:
                sound = self.noise(low, high) * self.gate(shape)
                self.add("gated noise", sound, hz=float(np.sqrt(low * high)), width=high / low, shape=shape)

    def _modulated(self) -> None:
        for rate in (2.0, 4.0, 8.0, 16.0, 32.0, 64.0):
            swing = 1 + np.sin(2 * np.pi * rate * self.time + self.phase())
            self.add("am noise", self.noise(20, self.top) * swing, rate_hz=rate)
            for hz in self.grid[6::8]:
                self.add("am tone", self.tone(hz) * swing, rate_hz=rate, hz=float(hz))
                turn = hz / 8 / rate * np.sin(2 * np.pi * rate * self.time)
                self.add("fm tone", np.sin(2 * np.pi * hz * self.time + turn), rate_hz=rate, hz=float(hz))
        for low, high in ((100.0, 800.0), (400.0, 0.4 * self.rate)):
            for start, stop in ((low, high), (high, low)):
                self.add("glide", self.glide(start, stop), start_hz=start, stop_hz=stop)

    def _musical(self) -> None:
        for pitch in np.geomspace(55, min(880, self.top / 4), 13):
            for timbre in TIMBRES:
                self.add("stack", self.stack(pitch, timbre), hz=float(pitch), timbre=timbre)
        for key in range(KEYS):
            for kind, steps in KINDS.items():
                for timbre in TIMBRES:
                    parts = [self.stack(ROOT_HZ * 2 ** ((key + s) / 12), timbre) for s in steps]
                    self.add("chord", np.sum(parts, 0), key=key, kind=kind, timbre=timbre)

    def play(self, notes: Notes) -> None:
        """Recorded notes, and chords of them."""
        chords = [(k, kind, s) for k in range(KEYS) for kind, s in KINDS.items()]
        for player in notes.instruments:
            recorded = [m for m in notes.recorded(player) if 440 * 2 ** ((m - 69) / 12) < self.top / 2]
            for midi in spread(recorded, NOTES):
                self.add("note", self.played(notes, player, midi), timbre=player, midi=midi)
            if not all(notes.reaches(player, ROOT + key + s) for key, _, steps in chords for s in steps):
                continue
            for key, kind, steps in chords:
                parts = [self.played(notes, player, ROOT + key + step) for step in steps]
                self.add("played chord", np.sum(parts, 0), key=key, kind=kind, timbre=player)

    def played(self, notes: Notes, player: str, midi: int) -> np.ndarray:
        """A recorded note, which the seed puts out of tune by up to 10 cents."""
        return notes.play(player, midi + float(self.rng.uniform(-0.1, 0.1)), self.n / self.rate, self.rate)

    def levelled(self, sound: np.ndarray, level: float) -> np.ndarray:
        """At a level, with ends that fade over 5 ms unless it begins or ends by itself."""
        fade = round(0.005 * self.rate)
        ramp = np.minimum(1, np.minimum(np.arange(self.n), np.arange(self.n)[::-1]) / max(1, fade))
        sound = sound * ramp
        scaled: np.ndarray = (sound * 10 ** (level / 20) / max(np.sqrt(np.mean(sound**2)), 1e-12)).astype(np.float32)
        return scaled

    def phase(self) -> float:
        return float(self.rng.uniform(0, 2 * np.pi))

    def tone(self, hz: float) -> np.ndarray:
        made: np.ndarray = np.sin(2 * np.pi * hz * self.time + self.phase())
        return made

    def noise(self, low: float, high: float) -> np.ndarray:
        spectrum = np.fft.rfft(self.rng.standard_normal(self.n))
        hz = np.fft.rfftfreq(self.n, 1 / self.rate)
        return np.fft.irfft(spectrum * ((hz >= low) & (hz <= high)), self.n)

    def clicks(self, rate: float) -> np.ndarray:
        out = np.zeros(self.n)
        first = self.rng.uniform(0.2, 0.8) / rate
        out[np.round(np.arange(first, self.n / self.rate, 1 / rate) * self.rate).astype(int).clip(0, self.n - 1)] = 1.0
        return out

    def gate(self, shape: str) -> np.ndarray:
        """Sound from the middle on, up to the middle, or for a tenth of a second; it changes within 2 ms."""
        middle, length = 0.5 * self.n / self.rate, 0.1
        edge = lambda at: np.clip((self.time - at) / 0.002, 0, 1)  # noqa: E731
        if shape == "begins":
            return np.asarray(edge(middle))
        return np.asarray(1 - edge(middle) if shape == "ends" else edge(middle) - edge(middle + length))

    def glide(self, start: float, stop: float) -> np.ndarray:
        rate = np.log(stop / start) / (self.n / self.rate)
        made: np.ndarray = np.sin(2 * np.pi * start / rate * (np.exp(rate * self.time) - 1) + self.phase())
        return made

    def stack(self, pitch: float, timbre: str) -> np.ndarray:
        fall, out, number = TIMBRES[timbre], np.zeros(self.n), 1
        amplitude = 1.0
        while number * pitch < self.top and amplitude > 1e-3:
            out += amplitude * np.sin(2 * np.pi * number * pitch * self.time + self.phase())
            number += 2 if timbre == "odd" else 1
            amplitude *= fall
        return out
