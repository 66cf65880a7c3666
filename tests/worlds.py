"""Worlds with known answers: tiny classifiers of which one knows what they listen to.

`band_energy`: three classes, "tone" (energy at 900-1100 Hz), "decoy" (2900-3100 Hz), "nothing"; 8 kHz.
`linear`: logits are a fixed linear map of the waveform; attributions are known in closed form.
`spectral`: a log-mel front end and a tiny convolutional network with random weights, 16 kHz; has features and CAM layers.
`attentive`: the same front end and a tiny transformer on patches, with a class token and random weights.
`planted`: the same front end and a class token that looks at one patch, which alone speaks for the first class.
"""

from __future__ import annotations

import multiprocessing
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import otoscope
from otoscope.spectral import KaldiLogMel

RATE = 8000


class BandEnergy(nn.Module):
    """Logit of each band: log of its mean power; the last class is constant."""

    def __init__(self, bands=((900, 1100), (2900, 3100)), rate=RATE):
        super().__init__()
        self.bands, self.rate = bands, rate
        self.level = nn.Parameter(torch.tensor(2.0))

    def forward(self, waveform: Tensor) -> Tensor:
        power = torch.fft.rfft(waveform).abs().square() / waveform.shape[-1]
        hz = torch.fft.rfftfreq(waveform.shape[-1], 1 / self.rate)
        logits = [torch.log(power[:, (hz >= lo) & (hz <= hi)].sum(1) + 1e-3) for lo, hi in self.bands]
        return torch.stack([*logits, self.level.expand(len(waveform))], 1)


class Linear(nn.Module):
    """Logits = waveform @ weights."""

    def __init__(self, n: int, classes: int = 2, seed: int = 0):
        super().__init__()
        rng = torch.Generator().manual_seed(seed)
        self.weights = nn.Parameter(torch.randn(n, classes, generator=rng) / n**0.5)

    def forward(self, waveform: Tensor) -> Tensor:
        return waveform @ self.weights


def band_energy() -> otoscope.Classifier:
    return otoscope.wrap(BandEnergy(), sample_rate=RATE, labels=["tone", "decoy", "nothing"], name="band_energy")


def linear(n: int, seed: int = 0) -> otoscope.Classifier:
    return otoscope.wrap(Linear(n, seed=seed), sample_rate=RATE, labels=["a", "b"], name="linear")


def spectral(seed: int = 0) -> otoscope.Classifier:
    torch.manual_seed(seed)
    front = KaldiLogMel(16000, n_mels=32, n_fft=512, win_length=400, hop_length=160, high_hz=8000.0)
    net = nn.Sequential(
        nn.Conv2d(1, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 12, 3, 2, 1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 4),
    )  # fmt: skip
    return otoscope.wrap(net, sample_rate=16000, labels=list("abcd"), frontend=front, name="spectral").eval()


class TinyTransformer(nn.Module):
    """Patches of 8 bands x 5 frames, a class token, two blocks of two heads; read at the class token."""

    class_tokens = 1

    def __init__(self, bands: int = 32, dim: int = 16, heads: int = 2, classes: int = 4):
        super().__init__()
        self.rows, self.heads = bands // 8, heads
        self.patches = nn.Conv2d(1, dim, (8, 5), (8, 5))
        self.own = nn.Parameter(torch.randn(1, 1, dim))
        self.row = nn.Parameter(torch.randn(1, dim, self.rows, 1))
        self.blocks = nn.ModuleList(nn.ModuleList([nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)]) for _ in range(2))
        self.head = nn.Linear(dim, classes)

    def attend(self, x: Tensor, qkv: nn.Module) -> Tensor:
        q, k, v = qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)  # (batch, head, token, dim)
        return nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)

    def forward(self, features: Tensor) -> Tensor:
        patches = (self.patches(features) + self.row).flatten(2).transpose(1, 2)  # (batch, row * column, dim)
        x = torch.cat([self.own.expand(len(patches), -1, -1), patches], 1)
        for qkv, project in self.blocks:
            x = x + project(self.attend(x, qkv)).tanh()
        return self.head(x[:, 0])

    def token_maps(self, tokens: Tensor) -> Tensor:
        return tokens[:, 1:].transpose(1, 2).unflatten(2, (self.rows, -1))


def attentive(seed: int = 0) -> otoscope.Classifier:
    torch.manual_seed(seed)
    front = spectral().frontend
    torch.manual_seed(seed)
    place = ((3.5, 8.0), (2.0, 5.0))
    return otoscope.Classifier(
        TinyTransformer(), sample_rate=16000, labels=list("abcd"), frontend=front, name="attentive", cam_layer="patches",
        axes={"patches": "channel freq frame", "blocks": "token channel"},
        places={"patches": place, "": place, "blocks": place},
    ).eval()  # fmt: skip


def prototypical(seed: int = 0) -> otoscope.Classifier:
    """APNet with two prototypes a class, on features of just under a quarter of a second."""
    torch.manual_seed(seed)
    spec = "apnet,sample_rate=16000,n_fft=512,hop=128,n_mels=32,frames=28,channels=6,prototypes=8"
    model = otoscope.load_classifier(spec, "random", labels=list("abcd")).eval()
    nn.init.normal_(model.network.prototypes.maps, std=0.03)
    nn.init.normal_(model.network.out.weight)
    model.name = "prototypical"
    return model


class Planted(nn.Module):
    """Patches of 8 bands x 20 frames; the class token looks at one of them, and what sounds there speaks for class 0."""

    class_tokens = 1

    def __init__(self, row: int, column: int, silence: float):
        super().__init__()
        self.pool, self.at, self.silence = nn.AvgPool2d((8, 20)), (row, column), silence

    def forward(self, features: Tensor) -> Tensor:
        patches = self.pool(features - self.silence)  # (batch, 1, 4, column)
        columns = patches.shape[3]
        tokens = nn.functional.pad(patches.flatten(2), (1, 0)).transpose(1, 2)[:, None]  # (batch, head, token, dim)
        bias = torch.zeros(tokens.shape[2], tokens.shape[2])
        bias[0, 1 + self.at[0] * columns + self.at[1]] = 20
        seen = nn.functional.scaled_dot_product_attention(0 * tokens, tokens, tokens, bias)
        return torch.cat([seen[:, 0, 0], -seen[:, 0, 0]], 1)

    def token_maps(self, tokens: Tensor) -> Tensor:
        return tokens[:, 1:].transpose(1, 2).unflatten(2, (4, -1))


def planted(row: int, column: int) -> otoscope.Classifier:
    front = spectral().frontend
    places = {"": ((3.5, 8.0), (9.5, 20.0))}
    network = Planted(row, column, front.silence)
    return otoscope.Classifier(network, sample_rate=16000, labels=["a", "b"], frontend=front, places=places)


def tone(hz: float, seconds: float = 1.0, rate: int = RATE, level: float = 0.3) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def tone_and_decoy(seconds: float = 1.0, rate: int = RATE) -> np.ndarray:
    """A 1 kHz tone in the first half and a 3 kHz decoy throughout."""
    both = tone(1000, seconds, rate)
    both[len(both) // 2 :] = 0
    return both + tone(3000, seconds, rate, 0.1)


TINY_LABELS = ["dog", "siren", "rain", "clock tick"]


def tiny_folder(folder: Path) -> Path:
    """A model folder, as `--model FOLDER` takes it: a tiny MN with random weights."""
    from otoscope.classifiers import build

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build("mn", TINY_LABELS, settings={"width": 0.1}, name="tiny")
        for norm in (m for m in model.network.modules() if isinstance(m, nn.BatchNorm2d)):
            norm.momentum = 1.0  # of the statistics of one pass, without which random weights hear nothing
        with torch.no_grad():
            model.network.train()(model.frontend(0.2 * torch.randn(4, 16000)))
            model.network.classifier[-1].weight *= 20
    return model.save_pretrained(folder)


def killed_at(file: Path, work: Callable, *arguments) -> None:
    """Do some work in a process of its own, which is killed as soon as a file is there."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a fork where there are threads
        process = multiprocessing.get_context("fork").Process(target=work, args=arguments)
        process.start()
    for _ in range(2400):
        if file.exists() or not process.is_alive():
            break
        time.sleep(0.05)
    process.kill()
    process.join()
    assert file.exists()


class Mortal(BandEnergy):
    """`BandEnergy`, in a worker process the first of which dies of a fuse: a file that it finds and burns."""

    def forward(self, waveform: Tensor) -> Tensor:
        import os

        fuse = Path(os.environ.get("OTOSCOPE_TEST_FUSE", "/nowhere"))
        if multiprocessing.parent_process() is not None and fuse.exists():
            fuse.unlink()
            os._exit(9)
        return super().forward(waveform)


def mortal() -> otoscope.Classifier:
    return otoscope.wrap(Mortal(), sample_rate=RATE, labels=["tone", "decoy", "nothing"], name="band_energy")
