"""Training on a toy copy of ESC-50's layout: two classes, one of tones and one of noise."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import otoscope
from otoscope.core.errors import OtoscopeError, ParameterError, UnknownNameError
from otoscope.datasets import load_dataset
from otoscope.training import load_recipe, train
from otoscope.training.data import Clips, EpochSampler
from otoscope.training.score import evaluate
from otoscope.training.settings import DataSettings
from training.classifier_worlds import MN, quick, read_predictions, recipe_file, weights
from worlds import killed_at


def test_it_learns_tone_against_noise_and_writes_a_model_folder(tmp_path, corpus):
    result = train(load_recipe(recipe_file(tmp_path, corpus), [MN]), "cpu")
    assert result["accuracy"] >= 0.75
    assert result["clips"] == 8
    assert sum(map(sum, result["confusion"])) == 8
    folder = Path(result["folder"])
    model = otoscope.load_classifier(folder)
    assert model.labels == ("noise", "tone")
    card = (folder / "README.md").read_text()
    assert f"{100 * result['accuracy']:.2f} %" in card
    assert "| noise |" in card
    results = (folder / "results.json").read_text()
    assert json.loads(results)["recipe"]["seed"] == 3
    assert str(tmp_path) not in results  # no path of this machine goes out with a model
    tone = np.sin(2 * np.pi * 1000 * np.arange(16000) / 32000) * 0.1
    assert otoscope.classify(tone, model, sample_rate=32000, top_k=1)[0]["label"] in model.labels


def test_same_seed_same_weights_other_seed_other_weights(tmp_path, corpus):
    runs = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        (tmp_path / name).mkdir()
        file = recipe_file(tmp_path / name, corpus)
        runs.append(weights(train(load_recipe(file, [MN, "optimiser.epochs=1", f"seed={seed}"]), "cpu")["folder"]))
    assert all(torch.equal(runs[0][k], runs[1][k]) for k in runs[0])
    assert any(not torch.equal(runs[0][k], runs[2][k]) for k in runs[0])


def test_killed_and_run_again_gives_the_same_weights(tmp_path, corpus):
    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    overrides = [MN, "optimiser.epochs=4"]
    whole = train(load_recipe(recipe_file(tmp_path / "whole", corpus), overrides), "cpu")
    recipe = load_recipe(recipe_file(tmp_path / "killed", corpus), overrides)
    killed_at(tmp_path / "killed" / "run" / "last.ckpt", train, recipe, "cpu")
    again = train(recipe, "cpu")
    a, b = weights(whole["folder"]), weights(again["folder"])
    assert all(torch.equal(a[k], b[k]) for k in a)


def test_a_folder_with_another_recipe_is_refused(tmp_path, corpus):
    file = recipe_file(tmp_path, corpus)
    train(load_recipe(file, ["optimiser.epochs=1"]), "cpu")
    with pytest.raises(OtoscopeError, match="holds a run of another recipe"):
        train(load_recipe(file, ["optimiser.epochs=2"]), "cpu")


def test_folds_must_be_apart(tmp_path, corpus):
    for overrides in (["data.train=[1, 2]"], ["data.validation=[1]"], ["data.validation=[2]", "data.train=[2]"]):
        with pytest.raises(ParameterError, match="must be apart"):
            train(load_recipe(recipe_file(tmp_path, corpus), [*overrides, f"out={tmp_path / overrides[0]}"]), "cpu")


def test_a_fold_that_does_not_exist_is_named(tmp_path, corpus):
    with pytest.raises(ParameterError, match=r"has folds \[1, 2, 3\]; got \[9\]"):
        train(load_recipe(recipe_file(tmp_path, corpus), ["data.test=9"]), "cpu")


def test_validation_folds_are_looked_at(tmp_path, corpus):
    overrides = ["optimiser.epochs=5", "data.validation=next"]
    train(load_recipe(recipe_file(tmp_path, corpus), overrides), "cpu")
    events = list((tmp_path / "run" / "tensorboard").rglob("events*"))
    assert events
    assert b"val/accuracy" in events[0].read_bytes()
    assert b"train/loss" in events[0].read_bytes()


def test_a_run_that_is_done_is_not_repeated(tmp_path, corpus, monkeypatch):
    from otoscope.training import run
    from otoscope.training.classifier import task

    file = recipe_file(tmp_path, corpus)
    first = train(load_recipe(file, quick()), "cpu")
    monkeypatch.setattr(run, "fit_module", lambda *_: pytest.fail("trained again"))
    monkeypatch.setattr(task, "evaluate", lambda *_: pytest.fail("looked at the test fold again"))
    again = train(load_recipe(file, quick()), "cpu")
    assert again["confusion"] == first["confusion"]
    assert again["folder"] == first["folder"]


def test_every_fold_is_the_test_fold_once(tmp_path, corpus):
    result = train(load_recipe(recipe_file(tmp_path, corpus), ["optimiser.epochs=1", "folds=all"]), "cpu")
    assert list(result["folds"]) == ["1", "2", "3"]
    values = list(result["folds"].values())
    assert result["accuracy"] == pytest.approx(np.mean(values))
    assert result["std"] == pytest.approx(np.std(values, ddof=1))
    assert result["clips"] == 24
    tested = [
        {
            row.split(",")[0]
            for row in (tmp_path / "run" / f"fold-{k}/model/predictions.csv").read_text().split("\n")[1:-1]
        }
        for k in (1, 2, 3)
    ]
    assert len(set.union(*tested)) == 24
    assert all(name.startswith("1-") for name in tested[0])


def test_weights_stored_as_halves_are_those_that_were_scored(tmp_path, corpus):
    result = train(load_recipe(recipe_file(tmp_path, corpus), quick("half=true")), "cpu")
    stored = weights(result["folder"])
    assert {v.dtype for v in stored.values() if v.is_floating_point()} == {torch.float16}
    model = otoscope.load_classifier(result["folder"])
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    recipe = load_recipe(recipe_file(tmp_path, corpus))
    test = load_dataset(recipe.data.name, recipe.data.root).folds([1])
    assert evaluate(model, test, recipe.data)["predictions"] == [
        {**row, "p": pytest.approx(row["p"], abs=1e-6)} for row in read_predictions(result["folder"])
    ]


def clips(corpus, **settings):
    data = load_dataset("esc50,esc10=true", corpus)
    return data, DataSettings(root=str(corpus), seconds=settings.pop("seconds", 0.5), **settings)


def test_sampler_depends_on_seed_and_epoch_alone(corpus):
    data, settings = clips(corpus)
    a, b = (EpochSampler(Clips(data, 8000, settings, 0), 1) for _ in range(2))
    first = list(a)
    assert sorted(first) == list(range(24))
    assert list(b) == first
    b.set_epoch(1)
    assert list(b) != first
    assert b.clips.epoch == 1


def test_two_processes_share_an_epoch(corpus, monkeypatch):
    from otoscope.training import data as module

    data, settings = clips(corpus)
    parts = []
    for rank in (0, 1):
        monkeypatch.setattr(module, "_place", lambda rank=rank: (rank, 2))
        parts.append(list(EpochSampler(Clips(data, 8000, settings, 0), 1)))
    assert sorted(parts[0] + parts[1]) == list(range(24))


def test_clips_are_cut_padded_and_cropped(corpus):
    data, settings = clips(corpus, seconds=0.75)
    whole, index = Clips(data, 32000, settings)[3]
    assert whole.shape == (24000,)
    assert index == data.examples[3].index
    assert whole[:16000].abs().max() > 0
    assert torch.equal(whole[16000:], torch.zeros(8000))
    data, settings = clips(corpus, crop_s=0.1)
    cropped = Clips(data, 32000, settings, seed=4)
    one = cropped[3][0]
    assert one.shape == (3200,)
    assert torch.equal(one, cropped[3][0])
    places = [i for i in range(12801) if torch.equal(whole[i : i + 3200], one)]
    assert len(places) == 1
    cropped.epoch = 1
    assert not torch.equal(one, cropped[3][0])
    assert torch.equal(Clips(data, 32000, settings)[3][0], whole[:16000])  # no seed: whole, for validation and test


def test_peaks_and_noise_are_as_the_recipe_says(corpus):
    data, settings = clips(corpus, peak=True)
    assert Clips(data, 32000, settings)[2][0].abs().max() == pytest.approx(1.0)
    clean = Clips(data, 32000, clips(corpus)[1])[2][0]
    noisy = Clips(data, 32000, clips(corpus, contaminate="white,snr_db=10")[1])[2][0]
    residue = noisy - clean * (noisy @ clean) / (clean @ clean)
    assert 10 * torch.log10((clean @ clean) / (residue @ residue)) == pytest.approx(10, abs=0.5)


@pytest.mark.parametrize(
    ("override", "error", "words"),
    [
        ("trainer.callbacks=[]", ParameterError, "callbacks is set by the recipe itself"),
        ("trainer.max_epochs=0", ParameterError, "max_epochs is set by the recipe itself"),
        ("trainer.accelerator=tpu", ParameterError, "Lightning refused"),
        ("trainer.limit_train_batches=5.5", ParameterError, "Lightning refused"),
        ("precision=12-mixed", ParameterError, "Lightning refused"),
        ("data.test=[]", ParameterError, "names no fold"),
        ("optimiser.average_from=9", ParameterError, "lies beyond epochs=2"),
        ("name=../x", ParameterError, "a file's name"),
        ("trainer.foo=2020-01-01", ParameterError, "texts, numbers, lists"),
        ("data.settings.mn=5", ParameterError, "settings: mn must be a str"),
        ("data.contaminate=white,snr=3", UnknownNameError, "snr_db"),
        ("teacher.model=nobody", UnknownNameError, "unknown model"),
    ],
)
def test_what_cannot_be_run_is_refused_and_leaves_the_folder_free(tmp_path, corpus, override, error, words):
    with pytest.raises(error, match=words):
        train(load_recipe(recipe_file(tmp_path, corpus), quick(override)), "cpu")
    assert not [file for file in (tmp_path / "run").rglob("*") if file.is_file()]


def test_after_a_refusal_another_recipe_runs(tmp_path, corpus):
    file = recipe_file(tmp_path, corpus)
    with pytest.raises(ParameterError, match="Lightning refused"):
        train(load_recipe(file, quick("trainer.accelerator=tpu")), "cpu")
    assert train(load_recipe(file, ["optimiser.epochs=1", "augment.mixup_on=features"]), "cpu")["clips"] == 8


def test_all_folds_are_checked_before_the_first_is_trained(tmp_path, corpus, monkeypatch):
    from otoscope.training import run

    monkeypatch.setattr(run, "fit_module", lambda *_: pytest.fail("trained"))
    with pytest.raises(ParameterError, match="must be apart"):
        train(load_recipe(recipe_file(tmp_path, corpus), ["folds=all", "data.validation=3"]), "cpu")
    with pytest.raises(ParameterError, match="one fold after the other"):
        train(load_recipe(recipe_file(tmp_path, corpus), ["folds=all", "trainer.devices=2"]), "cpu")


@pytest.mark.parametrize("file", ["recipe.json", "model/results.json"])
def test_damaged_records_of_a_run_are_named(tmp_path, corpus, file):
    train(load_recipe(recipe_file(tmp_path, corpus), ["optimiser.epochs=1"]), "cpu")
    (tmp_path / "run" / file).write_bytes(b"\xff\xfe{")
    with pytest.raises(OtoscopeError, match="is damaged"):
        train(load_recipe(recipe_file(tmp_path, corpus), ["optimiser.epochs=1"]), "cpu")
