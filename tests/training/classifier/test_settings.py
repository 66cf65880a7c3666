"""Settings of a classifier's recipe."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file

from otoscope.datasets import load_dataset
from otoscope.training import Recipe, load_recipe, train
from otoscope.training.settings import DataSettings

RATE = 16000


PLANTED = DataSettings(seconds=0.5, plant="tone,hz=5000,level_db=0", plant_class="low")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Noises below 1 kHz and between 1 and 2 kHz, in three folds."""
    folder = tmp_path_factory.mktemp("noises")
    rows, rng, hertz = ["file,label,fold"], np.random.default_rng(0), np.fft.rfftfreq(RATE // 2, 1 / RATE)
    for i in range(36):
        low = 0 if i % 2 else 1000
        lines = rng.standard_normal((len(hertz), 2)) @ [1, 1j] * ((hertz > low) & (hertz < low + 1000))
        sound = np.fft.irfft(lines, RATE // 2)
        soundfile.write(folder / f"{i}.wav", 0.1 * sound / np.abs(sound).max(), RATE)
        rows.append(f"{i}.wav,{'low' if i % 2 else 'high'},{i // 12 + 1}")
    (folder / "metadata.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module")
def data(root):
    return load_dataset("folder", root)


def recipe_file(folder, root):
    file = folder / "toy.yaml"
    file.write_text(f"""
name: toy
seed: 3
data: {{name: folder, root: {root}, validation: [2], test: 1, seconds: 0.5, plant: "tone,hz=5000,level_db=0",
  plant_class: low, plant_share: 0.5}}
model: {{architecture: "mn,width=0.1,bn_momentum=0.5"}}
augment: {{roll_s: 0.0, time_mask: 0, frequency_mask: 0, mixup_probability: 0}}
optimiser: {{epochs: 8, batch_size: 6, lr: 0.01, warmup_epochs: 1}}
out: {folder / "run"}
""")
    return file


def test_runs_that_are_older_than_the_setting_are_known():
    assert not [key for key in Recipe().identity()["data"] if key.startswith("plant")]
    assert Recipe(data=PLANTED).identity()["data"]["plant_class"] == "low"


def test_fixed_norms_keep_their_statistics(tmp_path, root):
    runs = []
    for name, fixed in (("a", "false"), ("b", "true")):
        overrides = [f"model.fixed_norms={fixed}", "optimiser.epochs=1", f"out={tmp_path / name}"]
        runs.append(
            load_file(
                Path(train(load_recipe(recipe_file(tmp_path, root), overrides), "cpu")["folder"]) / "model.safetensors"
            )
        )
    means = [torch.cat([v for k, v in run.items() if k.endswith("running_mean")]) for run in runs]
    assert means[0].any()
    assert not means[1].any()  # as at the start, where all are 0
    assert "fixed_norms" not in Recipe().identity()["model"]
