"""How a run is trained, watched, stopped and resumed."""

import json
import resource
from pathlib import Path

import pytest
import torch

from otoscope.cli import main
from otoscope.core.errors import OtoscopeError, ParameterError, UnknownNameError
from otoscope.datasets import load_dataset
from otoscope.training import load_recipe, train
from otoscope.training.classifier.module import ClassifierModule
from otoscope.training.settings import DataSettings
from training.classifier_worlds import MN, quick, recipe_file, weights


def clips(corpus, **settings):
    data = load_dataset("esc50,esc10=true", corpus)
    return data, DataSettings(root=str(corpus), seconds=settings.pop("seconds", 0.5), **settings)


def test_the_best_epoch_is_kept_and_bad_ones_stop_the_run(tmp_path, corpus):
    overrides = ["data.validation=next", "optimiser.keep=best", "optimiser.early_stopping=1", "optimiser.epochs=30"]
    result = train(load_recipe(recipe_file(tmp_path, corpus), overrides), "cpu")
    best = torch.load(tmp_path / "run" / "best.ckpt", weights_only=True)
    last = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)
    assert last["epoch"] < 29
    state = weights(result["folder"])
    assert all(torch.equal(state[k], best["state_dict"][f"network.{k}"]) for k in state)


def test_stopping_early_without_a_validation_fold_is_refused(tmp_path, corpus):
    with pytest.raises(ParameterError, match="need a validation fold"):
        train(load_recipe(recipe_file(tmp_path, corpus), ["optimiser.early_stopping=3"]), "cpu")


def test_weights_are_averaged_over_epochs(tmp_path, corpus):
    plain, averaged = tmp_path / "p", tmp_path / "a"
    for folder in (plain, averaged):
        folder.mkdir()
    states = []
    one = load_recipe(recipe_file(plain, corpus), [MN, "optimiser.epochs=2", "optimiser.schedule=constant"])
    first = train(one.replace(optimiser=one.optimiser.replace(epochs=1), out=str(plain / "1")), "cpu")
    states = [weights(first["folder"]), weights(train(one, "cpu")["folder"])]
    both = load_recipe(
        recipe_file(averaged, corpus),
        [MN, "optimiser.epochs=2", "optimiser.schedule=constant", "optimiser.average_from=1"],
    )
    mean = weights(train(both, "cpu")["folder"])
    key = "classifier.5.weight"
    assert torch.allclose(mean[key], (states[0][key] + states[1][key]) / 2, atol=1e-6)
    assert not torch.allclose(mean[key], states[1][key], atol=1e-6)


def test_trainer_settings_reach_lightning_and_unknown_ones_do_not(tmp_path, corpus):
    file = recipe_file(tmp_path, corpus, "trainer: {limit_train_batches: 1}")
    result = train(load_recipe(file, quick()), "cpu")
    assert torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)["global_step"] == 2
    assert result["clips"] == 8
    with pytest.raises(UnknownNameError, match="did you mean 'devices'"):
        train(load_recipe(file, ["trainer.device=2", f"out={tmp_path / 'other'}"]), "cpu")


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "damaged"), (b"text", "damaged"), (None, "of another network"), ("cut", "damaged")],
)
def test_a_checkpoint_that_cannot_be_gone_on_from_is_named(tmp_path, corpus, content, words):
    file = recipe_file(tmp_path, corpus)
    train(load_recipe(file, ["optimiser.epochs=1"]), "cpu")
    last = tmp_path / "run" / "last.ckpt"
    (tmp_path / "run" / "model" / "results.json").unlink()
    if content is None:
        torch.save({"state_dict": {"a": torch.zeros(2)}, "epoch": 0, "callbacks": {}}, last)
    else:
        last.write_bytes(last.read_bytes()[:5000] if content == "cut" else content)
    with pytest.raises(OtoscopeError, match=f"cannot resume from .*last.ckpt: it is {words}"):
        train(load_recipe(file, ["optimiser.epochs=1"]), "cpu")


def resumed(folder, corpus, overrides, stop_after, extra=""):
    """The result of a run that stops after an epoch, as a kill there would, and is begun again."""
    folder.mkdir()
    recipe = load_recipe(recipe_file(folder, corpus, extra), overrides)
    module = ClassifierModule.on_train_epoch_start

    def stop(self):
        if self.current_epoch == stop_after:
            raise SystemExit
        module(self)

    ClassifierModule.on_train_epoch_start = stop
    try:
        with pytest.raises(SystemExit):
            train(recipe, "cpu")
    finally:
        ClassifierModule.on_train_epoch_start = module
    return train(recipe, "cpu")


@pytest.mark.parametrize("overrides", [["data.workers=1", "data.crop_s=0.2"], [MN, "optimiser.average_from=2"]])
def test_gone_on_with_is_as_if_never_stopped(tmp_path, corpus, overrides):
    overrides = ["optimiser.epochs=4", *overrides]
    (tmp_path / "whole").mkdir()
    whole = weights(train(load_recipe(recipe_file(tmp_path / "whole", corpus), overrides), "cpu")["folder"])
    again = weights(resumed(tmp_path / "stopped", corpus, overrides, 2)["folder"])
    assert all(torch.equal(whole[k], again[k]) for k in whole)


@pytest.mark.parametrize(
    "overrides",
    [
        [MN, "optimiser.average_from=1", "optimiser.schedule=constant"],
        ["data.validation=next", "optimiser.early_stopping=1", "optimiser.epochs=30", "optimiser.lr=1e-9"],
        ["data.validation=next", "optimiser.keep=best"],
        ["model.architecture='dymn,width=0.1'", "model.temperature_from=9"],
    ],
)
def test_stopped_between_the_last_epoch_and_the_results_it_ends_with_the_same(tmp_path, corpus, overrides, monkeypatch):
    recipe = load_recipe(recipe_file(tmp_path, corpus), ["optimiser.epochs=3", *overrides])
    first = train(recipe, "cpu")
    before, config = weights(first["folder"]), (Path(first["folder"]) / "config.json").read_text()
    (Path(first["folder"]) / "results.json").unlink()
    again = train(recipe, "cpu")
    after = weights(again["folder"])
    assert all(torch.equal(before[k], after[k]) for k in before)
    assert (Path(again["folder"]) / "config.json").read_text() == config
    if "dymn" in overrides[0]:
        assert json.loads(config)["settings"]["temperature"] == 7.0


def test_a_disk_that_fills_up_leaves_the_last_good_checkpoint(tmp_path, corpus, monkeypatch, capfd):
    """A limit on the size of files stands for the full disk: the second checkpoint cannot be written."""
    file, overrides = recipe_file(tmp_path, corpus, "loggers: []"), [MN, "optimiser.epochs=4"]
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def full(self):
        if self.current_epoch == 2:
            resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))

    with monkeypatch.context() as patch:
        patch.setattr(ClassifierModule, "on_train_epoch_end", full)
        try:
            with pytest.raises(SystemExit) as left:
                main(["train", str(file), *overrides, "--device", "cpu"])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    said = capfd.readouterr().err
    assert left.value.code == 2, said
    assert "the last good checkpoint is kept" in said
    assert "Traceback" not in said
    assert torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)["epoch"] in (1, 2)
    again = train(load_recipe(file, overrides), "cpu")
    (tmp_path / "whole").mkdir()
    whole = train(load_recipe(recipe_file(tmp_path / "whole", corpus, "loggers: []"), overrides), "cpu")
    a, b = weights(whole["folder"]), weights(again["folder"])
    assert all(torch.equal(a[k], b[k]) for k in a)
