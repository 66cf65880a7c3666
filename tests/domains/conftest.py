"""Listeners and sounds on which every domain's promises are tested."""

import numpy as np
import pytest
import torch
from torch import Tensor

from otoscope.spectral import KaldiLogMel


class InputSpec:
    """What a domain needs of a classifier, at any rate."""

    def __init__(self, sample_rate, frontend=True):
        self.sample_rate, self.name = sample_rate, "listener"
        n_fft = max(16, 2 * (sample_rate // 100))
        self.frontend = (
            KaldiLogMel(
                sample_rate, n_mels=16, n_fft=n_fft, win_length=n_fft, hop_length=n_fft // 2, high_hz=sample_rate / 2
            )
            if frontend
            else None
        )

    def features(self, waveform: Tensor) -> Tensor:
        missing = max(0, self.frontend.minimum_length - waveform.shape[-1])
        return self.frontend(torch.nn.functional.pad(waveform, (0, missing)))


@pytest.fixture
def listener():
    return InputSpec


def sounds(n, rate):
    """Noise, silence, an impulse and a chirp of n samples, (4, n)."""
    t = np.arange(n) / rate
    impulse = np.zeros(n)
    impulse[n // 2] = 1.0
    noise = np.random.default_rng(n).standard_normal(n) * 0.3
    chirp = 0.5 * np.sin(2 * np.pi * (50 * t + rate / 8 * t**2 / max(t[-1], 1 / rate)))
    return torch.from_numpy(np.stack([noise, np.zeros(n), impulse, chirp])).float()


@pytest.fixture(name="sounds")
def _sounds():
    return sounds


def db(x, hz, rate):
    """Level of one frequency in dB, away from the ends."""
    x = np.asarray(x, dtype=np.float64)
    x = x[len(x) // 8 : -len(x) // 8]
    wave = np.exp(-2j * np.pi * hz * np.arange(len(x)) / rate)
    return 20 * np.log10(np.abs((x * np.hanning(len(x))) @ wave) * 4 / len(x) + 1e-12)


@pytest.fixture(name="db")
def _db():
    return db
