"""A small prototype network of three tones, and their clips."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

import otoscope
from otoscope.audio import write_wav
from otoscope.datasets import load_dataset
from otoscope.prototypes import encode_clips, prototype_network

RATE, LENGTH = 8000, 2048
TONES = {"high": 3000, "low": 300, "middle": 1000}
SPEC = f"apnet,sample_rate={RATE},n_fft=256,hop=128,n_mels=16,frames=12,channels=4,prototypes=6"


def tone_clip(hz: float, seed: int) -> np.ndarray:
    """A tone with a start, a level and a pitch of its own, in noise."""
    rng = np.random.default_rng(seed)
    t = np.arange(LENGTH) / RATE
    tone = np.sin(2 * np.pi * hz * (1 + 0.05 * rng.uniform(-1, 1)) * t + rng.uniform(0, 6)) * (t > rng.uniform(0, 0.05))
    return (rng.uniform(0.2, 0.6) * tone + 0.01 * rng.standard_normal(LENGTH)).astype(np.float32)


def write_tones(folder: Path, clips: int = 6) -> Path:
    """A folder with a table: ``clips`` of each tone in two folds."""
    rows = ["file,label,fold,source"]
    folder.mkdir(parents=True, exist_ok=True)
    for number, (name, hz) in enumerate(TONES.items()):
        for i in range(clips):
            file = f"{name}-{i}.wav"
            write_wav(folder / file, tone_clip(hz, 100 * number + i)[None], RATE)
            rows.append(f"{file},{name},{1 + i % 2},{file}")
    (folder / "metadata.csv").write_text("\n".join(rows) + "\n")
    return folder


def tone_network(folder: Path) -> tuple[otoscope.Classifier, otoscope.prototypes.EncodedClips]:
    """A network that knows the tones, and what it makes of their clips: its prototypes are maps of some of them."""
    data = load_dataset("folder", folder)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = otoscope.load_classifier(SPEC, "random", labels=list(data.labels)).eval()
    clips = encode_clips(model, data)
    sounds = torch.from_numpy(np.stack([tone_clip(TONES[e.label], 0) for e in data.examples]))
    prototype_network(model).initialise(model.features(sounds), clips.targets, torch.Generator().manual_seed(0))
    return model, encode_clips(model, data)
