"""Plain descriptions of sounds that a feature's responses are compared with: energy, onsets, ends, steadiness in a band.

A description is one number for each sound. It is computed from a spectrogram of its own (frames of 32 ms, every 8 ms), in
magnitudes and in decibels, since some networks take the one and some the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

FLOOR_DB = -100.0
FRAME_S, HOP_S = 0.032, 0.008
KINDS = {
    "energy": "sound",
    "rise": "onsets",
    "fall": "ends of sounds",
    "onset": "onsets",
    "end": "ends of sounds",
    "steady": "steady sound",
    "tonal": "tones, suppresses attacks",
}
RISE = 3  # frames: 24 ms
MODULATIONS = (2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
EDGES = 9  # of bands: every pair of them is one


@dataclass(frozen=True)
class Descriptor:
    """A description.

    Parameters
    ----------
    kind : {"energy", "rise", "fall", "onset", "end", "steady", "tonal", "modulation", "pitch"}
        Level; rises and falls of the band's mean; rises and falls of each frequency by itself; what frames 40 ms apart share;
        what stands out from neighbouring frequencies; swing of the level at a rate; what harmonics of a pitch have more than
        what lies between.
    low_hz, high_hz : float, Hz
        Its band.
    rate_hz : float, Hz
        Of a modulation, or the pitch.
    scale : {"magnitude", "dB"}
        In which it is taken.

    Examples
    --------
    >>> Descriptor("onset", 1000.0, 4000.0).words(16000)
    'onsets, 1 to 4 kHz'
    """

    kind: str
    low_hz: float
    high_hz: float
    rate_hz: float = 0.0
    scale: str = "magnitude"

    def words(self, sample_rate: int) -> str:
        """The name of a feature that it describes."""
        if self.kind == "modulation":
            return f"amplitude modulation near {self.rate_hz:g} Hz"
        if self.kind == "pitch":
            return f"harmonics of {self.rate_hz:.0f} Hz"
        band = _band(self.low_hz, self.high_hz, sample_rate / 2)
        what = KINDS[self.kind]
        if self.kind == "energy" and self.high_hz <= 200:
            what = "bass"
        if not band:
            return "any sound" if self.kind == "energy" else what
        return f"{what}, {band}" if self.kind != "energy" else f"{what} {band}"


def _band(low: float, high: float, top: float) -> str:
    """A band in words; empty for all frequencies."""
    if low < 60 and high > 0.8 * top:
        return ""
    if low < 60:
        return f"below {_hz(high)}"
    if high > 0.8 * top:
        return f"above {_hz(low)}"
    if low >= 1000:
        return f"{low / 1000:.3g} to {high / 1000:.3g} kHz"
    return f"{low:.0f} to {high:.0f} Hz" if high < 1000 else f"{low:.0f} Hz to {high / 1000:.3g} kHz"


def _hz(value: float) -> str:
    return f"{value / 1000:.3g} kHz" if value >= 1000 else f"{value:.0f} Hz"


def band_edges(sample_rate: int) -> np.ndarray:
    """Edges of the bands, from 0 to half the rate.

    Examples
    --------
    >>> band_edges(16000).round()[[0, 1, -2, -1]]
    array([   0.,  150., 4543., 8000.])
    """
    top = sample_rate / 2
    return np.concatenate([[0.0], np.geomspace(150, top, EDGES)])


def descriptor_bank(sample_rate: int) -> list[Descriptor]:
    """All descriptions for a rate.

    Examples
    --------
    >>> len(descriptor_bank(16000))
    740
    """
    edges = band_edges(sample_rate)
    bands = [(float(a), float(b)) for i, a in enumerate(edges) for b in edges[i + 1 :]]
    found = [Descriptor(kind, *band, 0.0, scale) for scale in ("magnitude", "dB") for kind in KINDS for band in bands]
    whole = float(edges[0]), float(edges[-1])
    found += [Descriptor("modulation", *whole, rate, scale) for scale in ("magnitude", "dB") for rate in MODULATIONS]
    pitches = np.geomspace(55, 880, 49)  # semitones
    return found + [Descriptor("pitch", *whole, float(p), scale) for scale in ("magnitude", "dB") for p in pitches]


def describe_sounds(sounds: Sequence[np.ndarray], sample_rate: int, bank: Sequence[Descriptor]) -> np.ndarray:
    """The numbers of sounds ``(time,)``, ``(sound, descriptor)``.

    Examples
    --------
    >>> noise = 0.1 * np.random.default_rng(0).standard_normal(16000)
    >>> describe_sounds([noise, 2 * noise], 16000, [Descriptor("energy", 0.0, 8000.0)]).round(3)[:, 0]
    array([0.077, 0.154])
    """
    n_fft, hop = _frames(sample_rate)
    hz = np.fft.rfftfreq(n_fft, 1 / sample_rate)
    rows = []
    for sound in sounds:
        magnitude = spectrogram(sound, sample_rate)  # (freq, frame)
        scales = {"magnitude": magnitude, "dB": 20 * np.log10(np.maximum(magnitude, 10 ** (FLOOR_DB / 20))) - FLOOR_DB}
        seen = {scale: _Seen(spec, hz, hop / sample_rate) for scale, spec in scales.items()}
        rows.append([seen[one.scale].number(one) for one in bank])
    return np.array(rows)


class _Seen:
    """One sound in one scale; sums over frequency are made once."""

    def __init__(self, spec: np.ndarray, hz: np.ndarray, step_s: float):
        self.hz = hz
        self.sums = {
            kind: _cumulated((_cells(kind, spec) ** 2).mean(1)) for kind in KINDS if kind not in ("rise", "fall")
        }
        self.levels = _cumulated(spec)  # (freq + 1, frame)
        self.mean = spec.mean(1)
        level = spec.mean(0)
        self.swing = np.abs(np.fft.rfft((level - level.mean()) * np.hanning(len(level)))) ** 2 / len(level) ** 2
        self.rates = np.fft.rfftfreq(len(level), step_s)

    def number(self, one: Descriptor) -> float:
        if one.kind == "modulation":
            near = (self.rates >= one.rate_hz / 1.4) & (self.rates <= one.rate_hz * 1.4)
            return float(np.sqrt(self.swing[near].sum()))
        if one.kind == "pitch":
            return self._pitch(one.rate_hz)
        low, high = np.searchsorted(self.hz, one.low_hz), np.searchsorted(self.hz, one.high_hz, side="right")
        if high <= low:
            return 0.0
        if one.kind in ("rise", "fall"):
            level = (self.levels[high] - self.levels[low]) / (high - low)
            step = level[RISE:] - level[:-RISE]
            return float(np.sqrt((np.maximum(step if one.kind == "rise" else -step, 0) ** 2).mean()))
        return float(np.sqrt(max(0.0, self.sums[one.kind][high] - self.sums[one.kind][low]) / (high - low)))

    def _pitch(self, pitch: float) -> float:
        order = self.hz / pitch
        off = np.abs(order - np.round(order))
        harmonic, between = (off < 0.15) & (order > 0.5), (off > 0.35) & (order > 0.5)
        if not harmonic.any() or not between.any():
            return 0.0
        return float(max(0.0, self.mean[harmonic].mean() - self.mean[between].mean()))


def _cumulated(values: np.ndarray) -> np.ndarray:
    """Sums over frequency up to each bin, which comes first with 0."""
    return np.concatenate([np.zeros_like(values[:1]), values.cumsum(0)])


def _frames(sample_rate: int) -> tuple[int, int]:
    return 2 * round(FRAME_S * sample_rate / 2), max(1, round(HOP_S * sample_rate))


def spectrogram(sound: np.ndarray, sample_rate: int) -> np.ndarray:
    """Magnitudes ``(freq, frame)``; a sine of full scale has 1 in its bin. Half a frame of silence is put before and after."""
    n_fft, hop = _frames(sample_rate)
    window = np.hanning(n_fft + 1)[:-1]
    padded = np.pad(np.asarray(sound, np.float64), n_fft // 2)
    cut = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop]
    found: np.ndarray = np.abs(np.fft.rfft(cut * window)).T * 2 / window.sum()
    return found


def _cells(kind: str, spec: np.ndarray) -> np.ndarray:
    """Cells that stand for a kind, ``(freq, frame)``."""
    lag = 5  # frames: 40 ms
    before, after = np.pad(spec, ((0, 0), (lag, 0)))[:, :-lag], np.pad(spec, ((0, 0), (0, lag)))[:, lag:]
    if kind == "onset":
        return np.maximum(spec - before, 0)
    if kind == "end":
        return np.maximum(spec - after, 0)
    if kind == "steady":
        return np.minimum(np.minimum(spec, before), after)
    if kind == "tonal":
        wide = np.pad(spec, ((4, 4), (0, 0)), mode="edge")
        return np.maximum(spec - (wide[:-8] + wide[8:]) / 2, 0)
    return spec
