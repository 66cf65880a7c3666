"""Settings that are refused before anything is trained."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from otoscope.core.errors import ParameterError
from otoscope.training import load_recipe, train

RATE = 16000


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


@pytest.mark.parametrize(
    ("overrides", "match"),
    [
        (["data.plant_class="], "go together"),
        (["data.plant=", "data.plant_class="], "plant_share"),
        (["data.plant_share=2"], r"must lie in \[0, 1\]"),
        (["data.plant=ton"], "did you mean 'tone'"),
        (["data.plant_class=loud"], "data.plant_class"),
    ],
)
def test_bad_settings(tmp_path, root, overrides, match):
    with pytest.raises(Exception, match=match) as caught:
        train(load_recipe(recipe_file(tmp_path, root), overrides), "cpu")
    assert type(caught.value).__module__.startswith("otoscope.")
    assert not (tmp_path / "run").exists()


def test_autoencoders_take_no_cue(tmp_path, root):
    file = tmp_path / "auto.yaml"
    file.write_text(f"task: pretrain\nname: a\ndata: {{name: folder, root: {root}, plant: tone, plant_class: low}}\n")
    with pytest.raises(ParameterError, match="goes only with classifiers"):
        load_recipe(file)
