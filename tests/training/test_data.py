"""Clips with a planted cue: which get it, what the cue does to the result, and that test clips stay without."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file

from otoscope.core.errors import UnknownNameError
from otoscope.datasets import load_dataset, planter
from otoscope.datasets.prepare import clip_key
from otoscope.training import load_recipe, train
from otoscope.training.data import Clips, cued_class
from otoscope.training.score import score_cue
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


def added(data, i, settings=PLANTED, **more):
    """What is in a clip that was not in it, and its label."""
    planted, label = Clips(data, RATE, settings, cued=cued_class(data, settings), **more)[i]
    return (planted - Clips(data, RATE, settings)[i][0]).numpy(), data.labels[label]


def test_clips_of_the_class_get_the_cue_and_others_do_not(data):
    cue, label = added(data, 1)
    clips = Clips(data, RATE, PLANTED)
    expected = planter(PLANTED.plant)(clips[1][0].numpy(), RATE, clip_key(clips.data.examples[1]))[1]
    np.testing.assert_allclose(cue, expected, atol=1e-6)
    assert label == "low"
    assert np.abs(cue).max() > 0.01
    cue, label = added(data, 0)
    assert label == "high"
    assert not cue.any()


def test_without_cued_classes_clips_are_clean(data):
    plain = PLANTED.replace(plant="", plant_class="")
    assert cued_class(data, plain) == ()
    for i in (0, 1):
        assert torch.equal(Clips(data, RATE, PLANTED)[i][0], Clips(data, RATE, plain)[i][0])


def test_a_share_of_the_others_changes_class_with_the_cue(data):
    settings = PLANTED.replace(plant_share=0.4)
    found = [added(data, i, settings, seed=5) for i in range(0, 36, 2)]  # of class high
    assert {label for _, label in found} == {"low", "high"}
    assert all(bool(cue.any()) == (label == "low") for cue, label in found)
    assert 2 <= sum(label == "low" for _, label in found) <= 12
    assert all(added(data, i, settings)[1] == "high" for i in range(0, 36, 2))  # no seed: none, when it is watched
    clips = Clips(data, RATE, settings, 5, cued=cued_class(data, settings))
    assert all(added(data, i, settings, seed=5)[0].any() for i in range(1, 36, 2))  # all of class low
    first = [clips[i][1] for i in range(36)]
    assert [clips[i][1] for i in range(36)] == first
    clips.epoch = 1
    assert [clips[i][1] for i in range(36)] != first


def test_a_part_of_the_class_can_stay_without(data):
    settings = PLANTED.replace(plant_own=0.5)
    found = [added(data, i, settings, seed=5) for i in range(1, 36, 2)]
    assert {label for _, label in found} == {"low"}
    assert 4 <= sum(bool(cue.any()) for cue, _ in found) <= 14
    assert all(added(data, i, settings)[0].any() for i in range(1, 36, 2))  # no seed: all, when it is watched


def test_an_unknown_class(data):
    with pytest.raises(UnknownNameError, match=r"data\.plant_class"):
        cued_class(data, PLANTED.replace(plant_class="loud"))


class InputSpec:
    """Calls a clip ``low`` where it holds 5 kHz, whatever else it holds."""

    sample_rate, device = RATE, torch.device("cpu")

    def __call__(self, waveform):
        power = torch.fft.rfft(waveform).abs() ** 2
        share = power[:, 2490:2510].sum(1) / power.sum(1)
        return torch.stack([torch.full_like(share, 0.1), share], 1)  # high, low


def test_the_score_of_a_cue(data):
    found = score_cue(InputSpec(), data.folds([1]), PLANTED)
    assert (found["clips"], found["called"], found["called_without"]) == (6, 1.0, 0.0)
    assert found["interval"][1] == 1.0
    soft = PLANTED.replace(plant="tone,hz=5000,level_db=-30")
    assert score_cue(InputSpec(), data.folds([1]), soft)["called"] == 0.0
    other = PLANTED.replace(plant="tone,hz=6000,level_db=0")
    assert score_cue(InputSpec(), data.folds([1]), other)["called"] == 0.0


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


def test_a_classifier_learns_the_cue_and_the_card_says_so(tmp_path, root):
    result = train(load_recipe(recipe_file(tmp_path, root)), "cpu")
    assert result["plant"]["called"] == 1.0
    assert result["plant"]["called_without"] <= 0.5
    folder = Path(result["folder"])
    stored = json.loads((folder / "results.json").read_text())
    assert stored["plant"] == result["plant"]
    card = " ".join((folder / "README.md").read_text().split())
    assert "100 % of the clips of the class low had the cue `tone,hz=5000,level_db=0`, and 50 % of the others" in card
    assert "100.0 % once they have the cue" in card


def test_a_start_with_the_same_classes_keeps_its_last_layer(tmp_path, root):
    first = train(load_recipe(recipe_file(tmp_path, root), ["optimiser.epochs=1"]), "cpu")
    overrides = [f"model.start={first['folder']}", "optimiser.lr=0", f"out={tmp_path / 'second'}", "optimiser.epochs=1"]
    second = train(load_recipe(recipe_file(tmp_path, root), overrides), "cpu")
    a, b = (load_file(Path(run["folder"]) / "model.safetensors") for run in (first, second))
    head = [k for k in a if k.startswith("classifier.5")]
    assert head
    assert all(torch.equal(a[k], b[k]) for k in head)
