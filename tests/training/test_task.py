"""A new kind of trained model plugs in by the registry alone: here one that predicts how loud a clip is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import nn

from otoscope.classifiers.model_folder import read_config, short_card, write_model_folder
from otoscope.core import registry
from otoscope.core.errors import OtoscopeError, UnknownNameError
from otoscope.recipes.schema import Field
from otoscope.training import load_recipe, train
from otoscope.training.data import Clips, loader
from otoscope.training.module import TrainingModule
from otoscope.training.settings import RunSettings
from otoscope.training.task import Task, task_types
from training.autoencoder_worlds import RATE, write_corpus


class LevelRecipe(RunSettings):
    """A recipe with one setting of its own."""

    task: ClassVar[str] = "level"
    bias: bool = Field(True, description="Whether the network has a bias.")


class LevelModule(TrainingModule):
    def training_step(self, batch, index):
        power = batch[0].square().mean(1, keepdim=True)
        return nn.functional.mse_loss(self.network(power), power.log10())


class LevelTask(Task):
    recipe_type = LevelRecipe

    def __init__(self, recipe, data, parts):
        super().__init__(recipe, data, parts)
        self.model = nn.Linear(1, 1, bias=recipe.bias)

    @property
    def network(self):
        return self.model

    def loaders(self):
        clips = Clips(self.training, RATE, self.recipe.data, self.recipe.seed)
        return loader(clips, self.recipe.optimiser.batch_size, self.recipe.seed), None

    def make_module(self, batches):
        return LevelModule(self.model, self.recipe, batches)

    def score(self, device):
        return {"clips": len(self.test)}

    def save(self, folder, result):
        card = short_card(self.recipe.name, "Tells a level.", {}, "load_level", results=False)
        write_model_folder(folder, "level", {"name": self.recipe.name}, self.model.state_dict(), card)
        return result


@pytest.fixture
def level(monkeypatch):
    registry.names("task")
    monkeypatch.setitem(
        registry._entries, ("task", "level"), registry.Entry("task", "level", lambda: LevelTask, "Predicts a level.")
    )


@pytest.fixture
def recipe(tmp_path, level):
    file = tmp_path / "level.yaml"
    file.write_text(
        "task: level\nname: level\nloggers: []\noptimiser: {epochs: 2, batch_size: 8, warmup_epochs: 0}\n"
        f"data: {{name: 'esc50,esc10=true', root: corpus, validation: [], seconds: 0.25}}\nout: {tmp_path / 'run'}\n"
    )
    write_corpus(tmp_path / "corpus")
    return file


def test_it_trains_is_stored_and_is_not_trained_again(recipe, tmp_path):
    result = train(load_recipe(recipe), "cpu")
    assert (result["clips"], result["parameters"]) == (8, 2)
    folder = Path(result["folder"])
    assert read_config(folder, {"name": str}, "level")["name"] == "level"
    stored = json.loads((folder / "results.json").read_text())
    assert stored["recipe"]["bias"] is True
    assert stored["recipe"]["data"]["root"] == "corpus"
    before = (folder / "model.safetensors").stat().st_mtime_ns
    assert train(load_recipe(recipe), "cpu")["clips"] == 8
    assert (folder / "model.safetensors").stat().st_mtime_ns == before
    with pytest.raises(OtoscopeError, match="another recipe"):
        train(load_recipe(recipe, ["bias=false"]), "cpu")


def test_its_settings_are_checked_and_its_paths_are_absolute(recipe, tmp_path):
    made = load_recipe(recipe)
    assert type(made) is LevelRecipe
    assert made.data.root == str(tmp_path / "corpus")
    with pytest.raises(UnknownNameError, match="did you mean 'bias'"):
        load_recipe(recipe, ["bais=true"])
    assert list(task_types()) == ["classifier", "pretrain", "tune", "level"]


def test_without_it_the_task_is_unknown(tmp_path):
    (tmp_path / "r.yaml").write_text("task: level")
    with pytest.raises(UnknownNameError, match="unknown task 'level'; there are classifier, pretrain, tune"):
        load_recipe(tmp_path / "r.yaml")


def test_the_state_of_torch_is_that_of_a_run(recipe):
    """Nothing but the seed decides the weights."""
    first = train(load_recipe(recipe, [f"out={recipe.parent / 'a'}"]), "cpu")
    torch.manual_seed(99)
    second = train(load_recipe(recipe, [f"out={recipe.parent / 'b'}"]), "cpu")
    a, b = (Path(r["folder"], "model.safetensors").read_bytes() for r in (first, second))
    assert a == b
