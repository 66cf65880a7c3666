"""A classifier that hears three tones, with a layer whose cells say which tone sounds where; and clips with known places."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import otoscope
from otoscope.audio import write_wav
from otoscope.datasets import Dataset, load_dataset

RATE = 8000
HZ = {"high": 2500, "low": 500, "middle": 1500}
STARTS = (0.1, 0.2, 0.3, 0.4)


class BandAmplitude(nn.Module):
    """Amplitude in 16 bands of 250 Hz, every 10 ms."""

    silence, minimum_length = 0.0, 512

    def band_frequencies(self) -> np.ndarray:
        return 125.0 + 250.0 * np.arange(16)

    def frame_times(self, n: int) -> np.ndarray:
        return (80 * np.arange(n) + 128) / RATE

    def forward(self, waveform: Tensor) -> Tensor:
        spec = torch.fft.rfft(waveform.unfold(-1, 256, 80) * torch.hann_window(256), dim=-1).abs()[..., :128]
        return spec.unflatten(-1, (16, 8)).square().sum(-1).sqrt().mT[:, None] / 64


class Cells(nn.Module):
    """Cells of four bands and five frames; each of the four rows speaks in a channel of its own."""

    def forward(self, features: Tensor) -> Tensor:
        pooled = nn.functional.avg_pool2d(features, (4, 5))[:, 0]  # (batch, row, column)
        return torch.diag_embed(pooled.mT).movedim(1, -1)  # (batch, channel, freq, frame)


class Tones(nn.Module):
    def __init__(self):
        super().__init__()
        self.cells = Cells()
        self.gain = nn.Parameter(torch.tensor(400.0))

    def forward(self, features: Tensor) -> Tensor:
        return self.gain * self.cells(features).mean((2, 3))[:, [2, 0, 1]]  # high, low, middle


def tones_classifier(**changed) -> otoscope.Classifier:
    settings = {
        "sample_rate": RATE, "labels": sorted(HZ), "frontend": BandAmplitude(), "name": "three tones", "cam_layer": "cells",
        "axes": {"cells": "channel freq frame"}, "places": {"cells": ((1.5, 4.0), (2.0, 5.0))},
    }  # fmt: skip
    return otoscope.Classifier(Tones(), **{**settings, **changed}).eval()


def tone_sound(hz: float, start_s: float, seed: int = 0) -> np.ndarray:
    """1 s: a tone of 0.3 s in soft noise, and digital silence for the last 0.2 s."""
    rng, t = np.random.default_rng(seed), np.arange(RATE) / RATE
    sound = 0.3 * np.sin(2 * np.pi * hz * t) * ((t >= start_s) & (t < start_s + 0.3)) + 0.006 * rng.standard_normal(
        RATE
    )
    sound[t >= 0.8] = 0
    return sound.astype(np.float32)


def write_known_tones(folder: Path) -> Dataset:
    """Four clips of each tone, which starts where the file's name says."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = ["file,label,fold,source"]
    for name, hz in HZ.items():
        for i, start in enumerate(STARTS):
            file = f"{name}-{start}.wav"
            write_wav(folder / file, tone_sound(hz, start, 10 * i + hz)[None], RATE)
            rows.append(f"{file},{name},{1 + i % 2},{file}")
    (folder / "metadata.csv").write_text("\n".join(rows) + "\n")
    return load_dataset("folder", folder)
