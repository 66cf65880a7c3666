"""The network that is trained: its settings, and the weights it starts from."""

import numpy as np
import pytest
import torch

import otoscope
from otoscope.audio import write_wav
from otoscope.core.errors import ParameterError, WeightsError
from otoscope.datasets import load_dataset
from otoscope.training import load_recipe, train
from otoscope.training.classifier.task import make_classifier
from training.classifier_worlds import quick, recipe_file, toy


def test_the_recipes_network_settings_reach_the_network(tmp_path, corpus, monkeypatch):
    from otoscope.training import run

    made = []

    def keep(_trainer, _settings, module, *_):
        made.append(module.classifier.eval())
        return 0.0

    monkeypatch.setattr(run, "fit_module", keep)
    overrides = ["model.architecture='mn,width=0.2,dropout=0.7,bn_momentum=0.5'"]
    train(load_recipe(recipe_file(tmp_path, corpus), overrides), "cpu")
    network = made[0].network
    assert network.classifier[4].p == 0.7
    assert network.features[0][1].momentum == 0.5
    assert network.features[16][0].out_channels == 192


def test_a_body_starts_from_another_tasks_weights(tmp_path, corpus):
    source = toy(["a", "b", "c"], seed=5)
    source.save_pretrained(tmp_path / "start")
    recipe = load_recipe(
        recipe_file(tmp_path, corpus),
        ["model.architecture='mn,width=0.1'", f"model.start={tmp_path / 'start'}"],
    )
    data = load_dataset(recipe.data.name, recipe.data.root)
    made, own = make_classifier(recipe, data).network.state_dict(), source.network.state_dict()
    differ = {k for k in own if own[k].shape != made[k].shape or not torch.equal(own[k], made[k])}
    assert differ == {"classifier.5.weight", "classifier.5.bias"}


def test_a_body_of_another_architecture_is_refused(tmp_path, corpus):
    toy(["a", "b"]).save_pretrained(tmp_path / "start")
    recipe = load_recipe(
        recipe_file(tmp_path, corpus),
        ["model.architecture='mn,width=0.2'", f"model.start={tmp_path / 'start'}"],
    )
    with pytest.raises(WeightsError, match="do not fit this network"):
        make_classifier(recipe, load_dataset(recipe.data.name, recipe.data.root))


def test_a_teacher_does_not_go_with_mixed_features(tmp_path, corpus):
    overrides = quick("augment.mixup_on=features", "teacher.model=esc10-mn")
    with pytest.raises(ParameterError, match="a teacher hears waveforms"):
        train(load_recipe(recipe_file(tmp_path, corpus), overrides), "cpu")


def test_a_prototype_network_needs_clips_of_every_class(tmp_path):
    """A list of classes, one of which has no clips."""
    rows = ["file,label,fold,source"]
    for i in range(6):
        write_wav(tmp_path / f"{i}.wav", np.random.default_rng(i).normal(0, 0.1, (1, 8000)).astype(np.float32), 8000)
        rows.append(f"{i}.wav,{['dog', 'rain'][i % 2]},{1 + i // 4},{i}")
    (tmp_path / "metadata.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "labels.txt").write_text("dog\nrain\nwind\n")
    spec = "apnet,sample_rate=8000,n_fft=256,hop=128,n_mels=16,frames=28,channels=4,prototypes=6"
    overrides = [
        f"data.name='folder,labels={tmp_path / 'labels.txt'}'", f"data.root={tmp_path}", "data.test=2", "data.validation=[]",
        "data.seconds=0.5", f"model.architecture='{spec}'", "optimiser.epochs=1", "trainer.enable_progress_bar=false",
        f"out={tmp_path / 'run'}",
    ]  # fmt: skip
    with pytest.raises(ParameterError, match=r"the training clips have none of class wind; a prototype network needs"):
        train(load_recipe("apnet", overrides), "cpu")


def test_a_network_hears_short_sounds_as_it_did_in_training(tmp_path, corpus):
    result = train(load_recipe(recipe_file(tmp_path, corpus), quick()), "cpu")
    assert otoscope.load_classifier(result["folder"]).min_s == 0.5
