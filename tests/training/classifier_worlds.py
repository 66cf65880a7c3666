"""A toy copy of ESC-50's layout, a recipe for it, and what its runs leave."""

import csv
from pathlib import Path

import numpy as np
import soundfile
import torch
from safetensors.torch import load_file

from otoscope.classifiers import build


def write_corpus(root: Path) -> Path:
    """Three folds of tones and noises in ESC-50's layout."""
    (root / "meta").mkdir()
    (root / "audio").mkdir()
    rows = ["filename,fold,target,category,esc10,src_file,take"]
    rng = np.random.default_rng(0)
    for fold in (1, 2, 3):
        for i in range(8):
            kind = i % 2
            hz = rng.uniform(500, 3000)
            n = 16000
            sound = np.sin(2 * np.pi * hz * np.arange(n) / 32000) if kind else rng.normal(size=n)
            name = f"{fold}-{i}.wav"
            soundfile.write(root / "audio" / name, 0.1 * sound, 32000)
            rows.append(f"{name},{fold},{10 + kind},{'tone' if kind else 'noise'},True,{fold}{i},A")
    (root / "meta" / "esc50.csv").write_text("\n".join(rows) + "\n")
    return root


def recipe_file(folder: Path, corpus: Path, extra: str = "") -> Path:
    file = folder / "toy.yaml"
    file.write_text(f"""
name: toy
seed: 3
data: {{name: "esc50,esc10=true", root: {corpus}, validation: [], test: 1, seconds: 0.5}}
model: {{architecture: "vgg5,channels=4"}}
augment: {{roll_s: 0.1, time_mask: 5, frequency_mask: 8}}
optimiser: {{epochs: 16, batch_size: 8, lr: 0.01, warmup_epochs: 1}}
out: {folder / "run"}
{extra}""")
    return file


MN = "model.architecture='mn,width=0.1,bn_momentum=0.5'"  # with batch norms and dropout, where these count


def quick(*overrides):
    return ["optimiser.epochs=2", *overrides]


def weights(folder):

    return load_file(Path(folder) / "model.safetensors")


def toy(labels, multilabel=False, seed=0):
    torch.manual_seed(seed)
    return build("mn", labels, multilabel=multilabel, settings={"width": 0.1}, name="toy").eval()


def read_predictions(folder):
    with (Path(folder) / "predictions.csv").open() as lines:
        return [{**row, "p": float(row["p"])} for row in csv.DictReader(lines)]
