"""What the pages draw of a sound: spectrogram, waveform outline, level."""

from __future__ import annotations

import math

import numpy as np
import torch

from otoscope.audio import AudioSource, downmix
from otoscope.domains.stft import config_at
from otoscope.spectral.stft import stft

FLOOR_DB, CEIL_DB = -100.0, 0.0
COLUMNS, ROWS, PEAKS = 900, 256, 1400
MOST_MATCH_DB = 30.0


class SoundPicture:
    """Spectrogram, waveform outline and level of one sound, gathered block by block."""

    def __init__(self, frames: int, sample_rate: int):
        self.config = config_at(sample_rate)
        self.frames, self.energy, self.values = frames, 0.0, 0
        self.columns = max(1, min(COLUMNS, frames // self.config.hop_length + 1))
        self.power = np.zeros((self.config.n_bins, self.columns), np.float32)
        self.outline = np.zeros((2, max(1, min(PEAKS, frames))), np.float32)

    def add(self, start: int, samples: np.ndarray) -> None:
        """A block ``(channel, time)``; a picture keeps the loudest of what falls into one of its cells."""
        n = samples.shape[1]
        self.energy += float(np.square(samples, dtype=np.float64).sum())
        self.values += samples.size
        mono = torch.from_numpy(downmix(samples))
        unit = (math.pi / self.config.n_fft) ** 2  # a full-scale tone has 0 dB
        spec = stft(mono, self.config).abs().square().numpy() * unit
        places = start + np.arange(spec.shape[1]) * self.config.hop_length
        column = np.minimum(places * self.columns // max(1, self.frames), self.columns - 1)
        np.maximum.at(self.power.T, column, spec.T)
        slot = np.minimum((start + np.arange(n)) * self.outline.shape[1] // self.frames, self.outline.shape[1] - 1)
        np.minimum.at(self.outline[0], slot, samples.min(0))
        np.maximum.at(self.outline[1], slot, samples.max(0))

    @property
    def rms(self) -> float:
        """Root mean square of all samples."""
        return math.sqrt(self.energy / max(1, self.values))

    @property
    def rms_db(self) -> float:
        """Level in dB re full scale; ``-inf`` for silence."""
        return 20 * math.log10(self.rms) if self.rms > 0 else -math.inf

    @property
    def peak(self) -> float:
        """Largest absolute sample."""
        return float(np.abs(self.outline).max())

    def image(self) -> np.ndarray:
        """Spectrogram as uint8 ``(freq, frame)``, 0 at the floor, 255 at full scale."""
        n = self.config.n_bins
        rows = min(ROWS, n)
        pooled = np.maximum.reduceat(self.power, np.arange(rows) * n // rows, axis=0)
        db = 10 * np.log10(np.maximum(pooled, 1e-12))
        return np.clip((db - FLOOR_DB) / (CEIL_DB - FLOOR_DB) * 255, 0, 255).astype(np.uint8)


def picture_of(sound: AudioSource, frames: int, sample_rate: int) -> SoundPicture:
    """The picture of the first ``frames`` samples of a sound, read in parts."""
    picture = SoundPicture(frames, sample_rate)
    step = picture.config.hop_length * max(1, (1 << 19) // picture.config.hop_length)
    for start in range(0, frames, step):
        picture.add(start, sound.read(start, min(start + step, frames)))
    return picture


def match_gain(picture: SoundPicture, original: SoundPicture) -> float:
    """Linear gain that brings a sound to the level of the original; at most 30 dB, and 1 for silence."""
    match = original.rms / picture.rms if picture.rms > 0 else 1.0
    return float(np.clip(match, 1e-3, 10 ** (MOST_MATCH_DB / 20)))
