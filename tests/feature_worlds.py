"""Networks whose features are known: onsets, steady sound, a band and a comb, planted in the first or the third layer."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from otoscope.classifiers import Classifier
from otoscope.core.records import Clip
from otoscope.spectral import FrameConfig, LinearStft

RATE = 8000
FRAMES = FrameConfig(RATE, 256, 64, minimum_frames=8)
ONSET, STEADY, BAND, COMB = range(4)
LOW, HIGH = 900.0, 1300.0  # of the band, Hz
PITCH = 500.0  # of the comb, Hz


class Planted(nn.Module):
    """Magnitudes ``(batch, 1, freq, frame)`` -> two logits; ``plain`` layers that pass them on, then ``planted`` features.

    A map of ``planted`` is ``(batch, 4, frame)``: what begins (the rise of the sum of all bins), what lasts (the sum of the smaller
    of two neighbouring frames), a band, and a comb of harmonics less what lies between them.
    """

    def __init__(self, plain: int):
        super().__init__()
        self.plain = nn.Sequential(*[nn.Sequential(_same(), nn.ReLU()) for _ in range(plain)])
        hz = np.arange(129) * RATE / 256
        weight = torch.zeros(4, 129, 3)
        weight[ONSET, :, 0], weight[ONSET, :, 2] = -1.0, 1.0
        weight[STEADY, 13:] = -1.0  # loud in the lowest bins, and not above
        weight[STEADY, :13] = 3.0
        weight[BAND, (hz >= LOW) & (hz <= HIGH), 1] = 1.0
        near = np.abs(hz / PITCH - np.round(hz / PITCH)) < 0.12
        weight[COMB, :, 1] = torch.from_numpy(np.where(near & (hz > 250), 1.0, -0.4)).float()
        self.conv = nn.Conv1d(129, 4, 3, padding=1, bias=False)
        self.conv.weight = nn.Parameter(weight)
        self.planted = nn.ReLU()
        self.head = nn.Linear(4, 2)
        self.head.weight = nn.Parameter(torch.tensor([[0.3, -0.2, 0.4, 0.1], [-0.1, 0.3, -0.2, 0.2]]))
        self.head.bias = nn.Parameter(torch.zeros(2))

    def forward(self, features: Tensor) -> Tensor:
        x = self.plain(features)[:, 0]
        return self.head(self.planted(self.conv(x)).mean(2))


def _same() -> nn.Conv2d:
    conv = nn.Conv2d(1, 1, 3, padding=1, bias=False)
    conv.weight = nn.Parameter(torch.zeros(1, 1, 3, 3))
    conv.weight.data[0, 0, 1, 1] = 1.0
    return conv


def planted_classifier(plain: int = 0) -> Classifier:
    """The network as a classifier; with ``plain=2``, its features are those of the third layer."""
    return Classifier(
        Planted(plain), sample_rate=RATE, labels=["a", "b"], frontend=LinearStft(FRAMES), name="planted",
        axes={"planted": "channel frame", "conv": "channel frame"}, cam_layer="planted",
    ).eval()  # fmt: skip


def tone(hz: float, seconds: float = 2.0, level: float = 0.1) -> np.ndarray:
    """A steady tone."""
    return (level * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def bursts(times: tuple[float, ...], seconds: float = 2.0, level: float = 0.3) -> np.ndarray:
    """Bursts of noise that begin suddenly and fade."""
    rng, out = np.random.default_rng(0), np.zeros(round(seconds * RATE), np.float32)
    for start in times:
        at, n = round(start * RATE), round(0.2 * RATE)
        out[at : at + n] += (
            level * rng.standard_normal(n).astype(np.float32) * np.exp(-np.arange(n) / (0.03 * RATE)).astype(np.float32)
        )
    return out


def clip(samples: np.ndarray) -> Clip:
    """A sound of one channel."""
    return Clip(samples[None].astype(np.float32), RATE, "made")


def band_level(sound: Clip, low: float, high: float, start: float = 0.0, stop: float | None = None) -> float:
    """Power in a band and a stretch, in dB re full scale."""
    x = sound.samples[0, round(start * RATE) : None if stop is None else round(stop * RATE)].astype(np.float64)
    spectrum = np.abs(np.fft.rfft(x)) ** 2
    hz = np.fft.rfftfreq(len(x), 1 / sound.sample_rate)
    power = spectrum[(hz >= low) & (hz <= high)].sum() * 2 / len(x) ** 2
    return float(10 * np.log10(power + 1e-12))
