"""Autoencoders that are trained: brought close to the sound, or tuned to a frozen classifier."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import otoscope
from otoscope.autoencoders import Autoencoder, load_autoencoder, save_autoencoder
from otoscope.classifiers import build
from otoscope.core.errors import (
    NonFiniteError,
    OtoscopeError,
    ParameterError,
    ShapeError,
    UnknownNameError,
    UnsupportedError,
    WeightsError,
)
from otoscope.datasets import load_dataset
from otoscope.training import load_recipe, train
from otoscope.training import run as runs
from otoscope.training.autoencoder import task as run
from otoscope.training.autoencoder.module import AutoencoderModule
from otoscope.training.data import Clips
from otoscope.training.score import score_reconstructions
from training.autoencoder_worlds import RATE, ear, recipe_file, write_corpus
from worlds import band_energy, killed_at


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("esc") / "data")


@pytest.fixture
def listener(monkeypatch):
    """The classifier that recipes of this file are tuned to."""
    made = ear()
    monkeypatch.setattr(run, "load_classifier", lambda *_: made)
    return made


def recipe(folder, corpus, task="pretrain", *overrides, extra=""):
    return load_recipe(recipe_file(folder, corpus, task, extra), overrides)


def weights(folder):
    return load_file(Path(folder) / "model.safetensors")


def same(a, b):
    return set(a) == set(b) and all(torch.equal(a[k], b[k]) for k in a)


def parts(recipe):
    data = load_dataset(recipe.data.name, recipe.data.root)
    return data.folds([2, 3]), data.folds([1])


def test_pretraining_brings_the_sound_closer_and_writes_a_folder(tmp_path, corpus):
    settings = recipe(tmp_path, corpus, "pretrain", "optimiser.epochs=30")
    _, test = parts(settings)
    before = score_reconstructions(run.start_autoencoder(settings), None, test, settings.data, [])
    result = train(settings, "cpu")
    assert result["mse"] < 0.5 * before["mse"]
    assert result["si_sdr_db"] > before["si_sdr_db"] + 3
    assert result["clips"] == 8
    assert "accuracy" not in result
    made = load_autoencoder(result["folder"])
    again = score_reconstructions(made, None, test, settings.data, [])
    assert again["mse"] == pytest.approx(result["mse"], rel=1e-5)
    assert result["parameters"] == sum(p.numel() for p in made.parameters())
    assert result["kept_epoch"] == 30
    assert (made.name, made.sample_rate) == ("toy", RATE)
    assert made.info["task"] == "pretrain"
    assert "tuned_to" not in made.info
    card = (Path(result["folder"]) / "README.md").read_text()
    for words in ("# toy", "not tuned to any classifier", f"mean squared error {result['mse']:.3g}", "random weights"):
        assert words in card, words
    stored = (Path(result["folder"]) / "results.json").read_text()
    assert json.loads(stored)["recipe"]["seed"] == 3
    assert set(json.loads(stored)) >= {"mse", "si_sdr_db", "train_s", "versions", "machine", "kept_epoch", "parameters"}
    assert str(tmp_path) not in stored + card  # no path of this machine goes out with a model


def classifier_loss(autoencoder, classifier, clips, numbers):
    loss = 0.0
    with torch.no_grad():
        for i in range(len(clips)):
            waveform, truth = clips[i]
            logits = classifier(autoencoder(waveform[None], classifier.sample_rate))
            loss += float(nn.functional.cross_entropy(logits, torch.tensor([numbers[truth]])))
    return loss / len(clips)


def test_tuning_pleases_the_classifier_and_leaves_it_as_it_was(tmp_path, corpus, listener):
    settings = recipe(tmp_path, corpus, "tune", "optimiser.epochs=15")
    training, _ = parts(settings)
    clips = Clips(training, RATE, settings.data)
    listener.network.norm.weight.grad = torch.ones(2)
    before = {k: v.clone() for k, v in [*listener.named_parameters(), *listener.named_buffers()]}
    first = classifier_loss(run.start_autoencoder(settings).eval(), listener, clips, [0, 1])
    result = train(settings, "cpu")
    made = load_autoencoder(result["folder"])
    assert classifier_loss(made, listener, clips, [0, 1]) < 0.7 * first
    after = dict([*listener.named_parameters(), *listener.named_buffers()])
    assert same(before, after)
    assert not any(m.training for m in listener.modules())
    assert listener.network.norm.weight.grad.tolist() == [1, 1]
    assert all(p.grad is None for n, p in listener.named_parameters() if n != "network.norm.weight")
    assert all(p.requires_grad for p in listener.parameters())
    tuned = made.info["tuned_to"]
    assert tuned == {"name": "ear", "sha256": listener.digest(), "labels": ["noise", "tone"]}
    assert made.mismatch(listener) is None
    card = " ".join((Path(result["folder"]) / "README.md").read_text().split())
    assert f"frozen classifier `ear` (weights {listener.digest()[:12]})" in card
    assert f"right on {100 * result['accuracy']:.1f} % of the reconstructions" in card
    assert f"{100 * result['accuracy_original']:.1f} % of the originals" in card


def test_what_the_classifier_says_is_counted_as_it_says_it(tmp_path, corpus, listener):
    """Accuracy, agreement and closeness of a run, against one clip after another."""
    settings = recipe(tmp_path, corpus, "tune")
    result = train(settings, "cpu")
    made, (_, test) = load_autoencoder(result["folder"]), parts(settings)
    clips, right, before, both, errors = Clips(test, RATE, settings.data), 0, 0, 0, []
    with torch.no_grad():
        for i in range(len(clips)):
            waveform, truth = clips[i]
            sound = made(waveform[None])
            said, original = int(listener(sound).argmax()), int(listener(waveform[None]).argmax())
            right, before, both = right + (said == truth), before + (original == truth), both + (said == original)
            errors.append(float((sound[0] - waveform).square().mean()))
    assert (result["accuracy"], result["accuracy_original"], result["agreement"]) == (right / 8, before / 8, both / 8)
    assert result["mse"] == pytest.approx(np.mean(errors), rel=1e-4)
    assert result["interval"][0] <= result["accuracy"] <= result["interval"][1]
    assert result["right_is"] == "label"


@pytest.mark.parametrize("scope", ["encoder", "decoder", "both"])
@pytest.mark.parametrize("task", ["pretrain", "tune"])
def test_only_the_half_in_scope_learns(tmp_path, corpus, listener, scope, task):
    settings = recipe(tmp_path, corpus, task, f"autoencoder.scope={scope}", "autoencoder.zero_residuals=false")
    start = run.start_autoencoder(settings).network.state_dict()
    result = train(settings, "cpu")
    changed = {k.split(".")[0] for k, v in weights(result["folder"]).items() if not torch.equal(v, start[k])}
    assert changed == ({"encoder", "decoder"} if scope == "both" else {scope})
    assert load_autoencoder(result["folder"]).info["scope"] == scope


def test_same_seed_same_weights_other_seed_other_weights(tmp_path, corpus, listener):
    found = [
        weights(train(recipe(tmp_path / str(i), corpus, "tune", f"seed={seed}", "augment.gain_db=6"), "cpu")["folder"])
        for i, seed in enumerate((3, 3, 4))
    ]
    assert same(found[0], found[1])
    assert not same(found[0], found[2])


# Going on.


def test_killed_and_run_again_gives_the_same_weights(tmp_path, corpus):
    """Tuned to a classifier in a folder, at another rate, in a process of its own."""
    torch.manual_seed(0)
    build("mn", ["noise", "tone"], settings={"width": 0.1}, name="mn").eval().save_pretrained(tmp_path / "mn")
    overrides = ["optimiser.epochs=4", f"classifier.model={tmp_path / 'mn'}"]
    whole = train(recipe(tmp_path / "whole", corpus, "tune", *overrides), "cpu")
    file = recipe_file(tmp_path / "killed", corpus, "tune")
    killed_at(tmp_path / "killed" / "run" / "last.ckpt", train, load_recipe(file, overrides), "cpu")
    again = train(load_recipe(file, overrides), "cpu")
    assert same(weights(whole["folder"]), weights(again["folder"]))


def stopped_then(monkeypatch, settings, epoch):
    """The result of a run that is stopped before an epoch and begun again."""
    plain = AutoencoderModule.on_train_epoch_start

    def stop(self):
        if self.current_epoch == epoch:
            raise SystemExit
        plain(self)

    with monkeypatch.context() as patch:
        patch.setattr(AutoencoderModule, "on_train_epoch_start", stop)
        with pytest.raises(SystemExit):
            train(settings, "cpu")
    return train(settings, "cpu")


@pytest.mark.parametrize(
    ("task", "overrides"),
    [
        ("pretrain", ["data.crop_s=0.1", "augment.roll_s=0.1", "loss.stft=1"]),
        ("tune", ["optimiser.keep=best", "data.validation=next", "augment.wave_mix=0.5"]),
        (
            "tune",
            [
                "classifier.targets=own",
                "augment.mixup_probability=1",
                "optimiser.average_from=2",
                "optimiser.accumulate=2",
                "optimiser.batch_size=4",
            ],
        ),
    ],
)
def test_gone_on_with_is_as_if_never_stopped(tmp_path, corpus, listener, monkeypatch, task, overrides):
    overrides = ["optimiser.epochs=4", *overrides]
    whole = train(recipe(tmp_path / "whole", corpus, task, *overrides), "cpu")
    again = stopped_then(monkeypatch, recipe(tmp_path / "stopped", corpus, task, *overrides), 2)
    assert same(weights(whole["folder"]), weights(again["folder"]))
    assert whole["kept_epoch"] == again["kept_epoch"]
    assert whole["mse"] == again["mse"]


def test_a_run_that_is_done_is_read(tmp_path, corpus, listener, monkeypatch):
    settings = recipe(tmp_path, corpus, "tune")
    first = train(settings, "cpu")
    monkeypatch.setattr(runs, "fit_module", lambda *_: pytest.fail("trained again"))
    monkeypatch.setattr(run, "load_classifier", lambda *_: pytest.fail("loaded again"))
    again = train(settings, "cpu")
    assert {k: again[k] for k in first if k != "versions"} == first


def test_a_folder_of_another_recipe_is_refused_and_left_alone(tmp_path, corpus, listener):
    first = train(recipe(tmp_path, corpus), "cpu")
    before = {f: f.read_bytes() for f in (tmp_path / "run").rglob("*") if f.is_file()}
    for task, override in (
        ("pretrain", "autoencoder.scope=decoder"),
        ("tune", "seed=3"),
        ("pretrain", "loss.stft=0.5"),
    ):
        with pytest.raises(OtoscopeError, match="holds a run of another recipe"):
            train(recipe(tmp_path, corpus, task, override), "cpu")
    assert {f: f.read_bytes() for f in (tmp_path / "run").rglob("*") if f.is_file()} == before
    assert train(recipe(tmp_path, corpus, "pretrain", "threads=1"), "cpu")["mse"] == first["mse"]


# What it is to say.


def test_labels_are_met_by_name_in_any_order_and_spelling(tmp_path, corpus, monkeypatch):
    assert run.class_numbers(["noise", "crying_baby"], ear(("Crying  Baby", "x", "NOISE"))) == [2, 0]
    turned = ear(("TONE", "Noise"))
    with torch.no_grad():
        turned.network.out.weight.copy_(turned.network.out.weight.flip(0))
    straight, results = ear(), []
    for name, classifier in (("a", straight), ("b", turned)):
        monkeypatch.setattr(run, "load_classifier", lambda *_, c=classifier: c)
        results.append(train(recipe(tmp_path / name, corpus, "tune"), "cpu"))
    assert results[0]["accuracy"] == results[1]["accuracy"]
    a, b = (weights(r["folder"]) for r in results)
    assert all(torch.allclose(a[k], b[k], atol=1e-4) for k in a)


def test_classes_that_the_classifier_does_not_know_are_refused(tmp_path, corpus, monkeypatch):
    monkeypatch.setattr(run, "load_classifier", lambda *_: ear(("noise", "hum")))
    with pytest.raises(ParameterError, match=r"'ear' has no class 'tone' of the data set; .*classifier\.targets=own"):
        train(recipe(tmp_path, corpus, "tune"), "cpu")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("labels", "multilabel"), [(("a", "b", "c"), False), (("only",), True), (("a", "b"), True)])
def test_its_own_word_can_be_the_target_with_any_classes(tmp_path, corpus, monkeypatch, labels, multilabel):
    """Also with fewer classes than the data has."""
    classifier = ear(labels, multilabel)
    monkeypatch.setattr(run, "load_classifier", lambda *_: classifier)
    overrides = (
        "classifier.targets=own",
        "data.validation=next",
        "autoencoder.zero_residuals=false",
        "optimiser.epochs=6",
    )
    settings = recipe(tmp_path, corpus, "tune", *overrides)
    clips = [Clips(parts(settings)[0], RATE, settings.data)[i][0] for i in range(16)]

    def apart(autoencoder):
        with torch.no_grad():
            sound = torch.stack(clips)
            wanted = classifier.probabilities(classifier(sound))
            return float((classifier.probabilities(classifier(autoencoder(sound))) - wanted).abs().mean())

    first = apart(run.start_autoencoder(settings))
    result = train(settings, "cpu")
    assert apart(load_autoencoder(result["folder"])) < first
    assert result["accuracy"] == result["agreement"]
    assert result["accuracy_original"] == 1
    assert result["right_is"] == "original"
    card = (Path(result["folder"]) / "README.md").read_text()
    assert f"For {100 * result['accuracy']:.1f} % of the reconstructions" in " ".join(card.split())
    assert "prediction equals that for the original" in " ".join(card.split())


def test_its_own_word_is_still_scored_by_labels_that_it_knows(tmp_path, corpus, listener):
    result = train(recipe(tmp_path, corpus, "tune", "classifier.targets=own"), "cpu")
    assert result["right_is"] == "label"


# Starts.


def test_it_starts_from_a_folder(tmp_path, corpus, listener):
    settings = recipe(tmp_path / "a", corpus)
    start = run.start_autoencoder(settings)
    start.info["licence"] = "CC0"
    save_autoencoder(start, tmp_path / "start")
    overrides = (f"autoencoder={{start: {tmp_path / 'start'}}}", "optimiser.lr=0")
    result = train(recipe(tmp_path / "b", corpus, "tune", *overrides), "cpu")
    assert same(weights(result["folder"]), start.network.state_dict())
    assert load_autoencoder(result["folder"]).info["started_from"] == "toy (CC0)"
    assert "It started from toy (CC0)" in (Path(result["folder"]) / "README.md").read_text()
    other = run.start_autoencoder(recipe(tmp_path / "a", corpus, "pretrain", "seed=4"))
    torch.save(other.network.state_dict(), tmp_path / "w.pt")
    more = (f"autoencoder={{start: {tmp_path / 'start'}, weights: {tmp_path / 'w.pt'}}}", "optimiser.lr=0")
    result = train(recipe(tmp_path / "c", corpus, "pretrain", *more), "cpu")
    assert same(weights(result["folder"]), other.network.state_dict())


def test_random_starts_have_the_shape_and_the_residuals_that_are_asked_for(tmp_path, corpus):
    made = run.start_autoencoder(recipe(tmp_path, corpus, "pretrain", "autoencoder.settings.channels=16"))
    assert (made.config.channels, made.config.sample_rate) == (16, RATE)
    assert not made.network.encoder.to_in.block.block2.project.weight.any()
    drawn = run.start_autoencoder(recipe(tmp_path, corpus, "pretrain", "autoencoder.zero_residuals=false"))
    assert drawn.network.encoder.to_in.block.block2.project.weight.any()
    small = run.start_autoencoder(recipe(tmp_path, corpus, "pretrain", "autoencoder.settings={}"))
    assert (small.config.sample_rate, small.config.in_channels) == (32000, 1)
    large = recipe(tmp_path, corpus, "pretrain", "autoencoder={shape: archisound, settings: {sample_rate: 44100}}")
    assert run.start_autoencoder(large).config.sample_rate == 44100
    ears = band_energy()
    assert (
        run.start_autoencoder(recipe(tmp_path, corpus, "pretrain", "autoencoder.settings={}"), ears).sample_rate == 8000
    )
    kept = recipe(tmp_path, corpus, "pretrain", "autoencoder.settings={sample_rate: 16000}")
    assert run.start_autoencoder(kept, ears).sample_rate == 16000


@pytest.mark.parametrize(
    ("overrides", "error", "words"),
    [
        (["autoencoder.start=archisound"], ParameterError, "settings are for random weights"),
        (["autoencoder.start=archisond", "autoencoder.settings={}"], UnknownNameError, "did you mean 'archisound'"),
        (["autoencoder={start: ./nowhere}"], WeightsError, "is not a folder of an autoencoder"),
        (["autoencoder.settings.chanels=4"], UnknownNameError, "did you mean 'channels'"),
        (["autoencoder.settings.channels=7"], ParameterError, "divisible by resnet_groups"),
        (["autoencoder.settings.channels=[8]"], ParameterError, "channels must be a whole number"),
        (["autoencoder.settings.sample_rate=50"], ParameterError, "sample_rate must lie between"),
        (["autoencoder.settings.sample_rate=2000000"], ParameterError, "sample_rate must be a whole number from"),
        (["data.test=9"], ParameterError, r"got \[9\]"),
        (["optimiser.keep=best"], ParameterError, "need a validation fold"),
        (["trainer.max_epochs=3"], ParameterError, "is set by the recipe itself"),
    ],
)
def test_what_cannot_be_run_is_refused_and_leaves_the_folder_free(tmp_path, corpus, overrides, error, words):
    with pytest.raises(error, match=words):
        train(recipe(tmp_path, corpus, "pretrain", *overrides), "cpu")
    assert not [file for file in (tmp_path / "run").rglob("*") if file.is_file()]


def test_after_a_refusal_another_recipe_runs(tmp_path, corpus):
    with pytest.raises(ParameterError, match="is set by the recipe itself"):
        train(recipe(tmp_path, corpus, "pretrain", "trainer.max_epochs=3"), "cpu")
    assert train(recipe(tmp_path, corpus, "pretrain", "optimiser.epochs=1"), "cpu")["clips"] == 8


# Listeners.


class Detached(nn.Module):
    def forward(self, waveform):
        return torch.stack([waveform.detach().mean(1), waveform.detach().std(1)], 1)


class Numpy(nn.Module):
    def forward(self, waveform):
        return torch.from_numpy(np.stack([waveform.numpy().mean(1), waveform.numpy().std(1)], 1))


class Steps(nn.Module):
    """Differentiable in name alone: every derivative is zero."""

    def forward(self, waveform):
        return torch.stack([waveform.sign().mean(1), waveform.round().mean(1)], 1)


class Constant(nn.Module):
    def __init__(self):
        super().__init__()
        self.level = nn.Parameter(torch.zeros(2))

    def forward(self, waveform):
        return self.level.expand(len(waveform), 2)


class Edge(nn.Module):
    """An infinite derivative."""

    def forward(self, waveform):
        return (waveform[:, :2] * 0).sqrt() * waveform[:, :2]


class Quiet(nn.Module):
    @torch.no_grad()
    def forward(self, waveform):
        return waveform[:, :2]


@pytest.mark.parametrize("module", [Detached, Numpy, Steps, Constant, Edge, Quiet])
def test_a_classifier_without_gradients_is_refused_before_anything_is_trained(tmp_path, corpus, monkeypatch, module):
    classifier = otoscope.wrap(module(), sample_rate=RATE, labels=["noise", "tone"], name="deaf")
    monkeypatch.setattr(run, "load_classifier", lambda *_: classifier)
    with pytest.raises(
        UnsupportedError, match="'deaf' gives no usable gradients, and an autoencoder cannot be tuned to it"
    ):
        train(recipe(tmp_path, corpus, "tune"), "cpu")
    assert not (tmp_path / "run" / "recipe.json").exists()


def test_probabilities_in_place_of_logits_have_gradients():
    """Their sum has none."""

    class Soft(nn.Module):
        def forward(self, waveform):
            return waveform[:, :3].softmax(1)

    run.check_gradients(otoscope.wrap(Soft(), sample_rate=RATE, labels=3))
    run.check_gradients(ear())


def test_a_classifier_of_another_form_keeps_its_own_error():
    class Long(nn.Module):
        def forward(self, waveform):
            return waveform[:, :5]

    with pytest.raises(ShapeError, match=r"expected \(1, 2\)"):
        run.check_gradients(otoscope.wrap(Long(), sample_rate=RATE, labels=2, check=False))


class Learner(nn.Module):
    """Counts what it hears: it does change itself."""

    def __init__(self):
        super().__init__()
        self.inner = ear().network
        self.register_buffer("heard", torch.zeros(()))

    def forward(self, waveform):
        self.heard += len(waveform)
        return self.inner(waveform)


def test_a_classifier_that_changes_itself_is_found_out(tmp_path, corpus, monkeypatch):
    classifier = otoscope.wrap(Learner(), sample_rate=RATE, labels=["noise", "tone"], name="learner")
    monkeypatch.setattr(run, "load_classifier", lambda *_: classifier)
    with pytest.raises(OtoscopeError, match="'learner' was frozen but changed"):
        train(recipe(tmp_path, corpus, "tune"), "cpu")
    assert not (tmp_path / "run" / "model").exists()


def test_parts_of_a_dymn_are_switched_off_and_count_as_another_classifier(tmp_path, corpus, monkeypatch):
    torch.manual_seed(0)
    whole = build("dymn", ["noise", "tone"], settings={"width": 0.1}, name="dymn").eval()
    whole.save_pretrained(tmp_path / "dymn")
    off = ("coordinate_attention", "dynamic_relu")
    overrides = (
        f"classifier.model={tmp_path / 'dymn'}",
        f"classifier.without=[{', '.join(off)}]",
        "optimiser.epochs=1",
    )
    result = train(recipe(tmp_path / "run", corpus, "tune", *overrides), "cpu")
    made = load_autoencoder(result["folder"])
    assert made.info["tuned_to"]["name"] == "dymn without coordinate_attention, dynamic_relu"
    assert "was tuned to 'dymn without" in made.mismatch(whole)
    whole.network.switch(**dict.fromkeys(off, False))
    assert made.mismatch(whole) is None


def test_a_classifier_without_such_parts_is_named(tmp_path, corpus, listener):
    with pytest.raises(
        UnsupportedError, match="'ear' has no parts that can be switched off; leave out the setting without"
    ):
        train(recipe(tmp_path, corpus, "tune", "classifier.without=dynamic_relu"), "cpu")


# Losses that are no numbers.


def test_a_loss_that_is_no_number_stops_names_step_and_clip_and_keeps_the_last_checkpoint(
    tmp_path, corpus, listener, monkeypatch
):
    settings = recipe(tmp_path / "a", corpus, "tune", "optimiser.epochs=3")
    losses, broken = AutoencoderModule.losses, []

    def sick(self, waveform, target):
        found, logits = losses(self, waveform, target)
        if self.global_step == 3:
            broken.append(self.names[int(self.heard[5])])
            found["classifier"] = found["classifier"] * torch.where(torch.arange(len(waveform)) >= 5, torch.nan, 1.0)
        return found, logits

    with monkeypatch.context() as patch:
        patch.setattr(AutoencoderModule, "losses", sick)
        with pytest.raises(NonFiniteError) as caught:
            train(settings, "cpu")
    assert f"the loss is nan at step 3 (epoch 1), first on {broken[0]};" in str(caught.value)
    assert "checkpoint of the last whole epoch is kept" in str(caught.value)
    kept = torch.load(tmp_path / "a" / "run" / "last.ckpt", weights_only=True)
    assert kept["epoch"] == 0
    assert all(v.isfinite().all() for v in kept["state_dict"].values())
    assert not (tmp_path / "a" / "run" / "model").exists()
    whole = train(recipe(tmp_path / "b", corpus, "tune", "optimiser.epochs=3"), "cpu")
    assert same(weights(train(settings, "cpu")["folder"]), weights(whole["folder"]))


def test_weights_that_the_last_step_of_an_epoch_broke_do_not_replace_good_ones(tmp_path, corpus, monkeypatch):
    """Its loss was still a number, its gradient was none."""
    settings = recipe(tmp_path / "a", corpus, "pretrain", "optimiser.epochs=3")
    plain = AutoencoderModule.training_step

    def sick(self, batch, index):
        loss = plain(self, batch, index)
        edge = next(self.network.parameters()).sum() * 0
        return loss + edge.abs().sqrt() if (self.current_epoch, index) == (1, self.batches - 1) else loss

    with monkeypatch.context() as patch:
        patch.setattr(AutoencoderModule, "training_step", sick)
        with pytest.raises(
            NonFiniteError,
            match=r"the weights hold NaN or infinite values after step 3 \(epoch 1\), whose clips were .*\.wav",
        ):
            train(settings, "cpu")
    kept = torch.load(tmp_path / "a" / "run" / "last.ckpt", weights_only=True)
    assert kept["epoch"] == 0
    assert all(v.isfinite().all() for v in kept["state_dict"].values())
    whole = train(recipe(tmp_path / "b", corpus, "pretrain", "optimiser.epochs=3"), "cpu")
    assert same(weights(train(settings, "cpu")["folder"]), weights(whole["folder"]))


def test_steps_that_are_far_too_long_end_in_words(tmp_path, corpus, listener):
    overrides = (
        "optimiser.lr=1000",
        "optimiser.clip_norm=0",
        "optimiser.name=sgd",
        "loss.mse=1e9",
        "optimiser.epochs=20",
    )
    with pytest.raises(NonFiniteError, match=r"lower optimiser\.lr"):
        train(recipe(tmp_path, corpus, "tune", *overrides), "cpu")
    last = tmp_path / "run" / "last.ckpt"
    if last.exists():
        assert all(v.isfinite().all() for v in torch.load(last, weights_only=True)["state_dict"].values())


# The rest of a recipe.


def test_halves_are_what_was_scored(tmp_path, corpus, listener):
    settings = recipe(tmp_path, corpus, "tune", "half=true")
    result = train(settings, "cpu")
    assert {v.dtype for v in weights(result["folder"]).values()} == {torch.float16}
    again = score_reconstructions(
        load_autoencoder(result["folder"]), listener, parts(settings)[1], settings.data, [0, 1]
    )
    assert again["mse"] == pytest.approx(result["mse"], rel=1e-5)
    assert again["accuracy"] == result["accuracy"]
    assert "stored as float16" in " ".join((Path(result["folder"]) / "README.md").read_text().split())


def test_the_best_epoch_is_the_one_of_the_lowest_loss(tmp_path, corpus, listener):
    overrides = ("optimiser.keep=best", "data.validation=next", "optimiser.epochs=5", "optimiser.lr=0.05")
    result = train(recipe(tmp_path, corpus, "tune", *overrides), "cpu")
    best = torch.load(tmp_path / "run" / "best.ckpt", weights_only=True)
    assert same(weights(result["folder"]), {k.removeprefix("network."): v for k, v in best["state_dict"].items()})
    assert result["kept_epoch"] == best["epoch"] + 1
    assert "mode': 'min'" in repr(best["callbacks"])
    assert not any(k.startswith(("classifier", "_others")) for k in best["state_dict"])


def test_clips_that_are_silent_or_clipped_are_no_trouble(tmp_path, corpus, listener):
    copy = write_corpus(tmp_path / "esc")
    import soundfile

    for name, sound in (("2-0", np.zeros(2000)), ("2-1", np.sign(np.sin(np.arange(2000)))), ("1-2", np.zeros(2000))):
        soundfile.write(copy / "audio" / f"{name}.wav", sound, RATE)
    for task in ("pretrain", "tune"):
        result = train(recipe(tmp_path / task, copy, task, "loss.stft=1"), "cpu")
        assert np.isfinite([result["mse"], result["si_sdr_db"]]).all()


def test_a_checkpoint_of_another_shape_is_named(tmp_path, corpus):
    settings = recipe(tmp_path, corpus)
    train(settings, "cpu")
    (tmp_path / "run" / "model" / "results.json").unlink()
    torch.save({"state_dict": {"a": torch.zeros(2)}, "epoch": 0, "callbacks": {}}, tmp_path / "run" / "last.ckpt")
    with pytest.raises(OtoscopeError, match=r"cannot resume from .*last.ckpt: it is of another network"):
        train(settings, "cpu")


def test_an_autoencoder_is_an_autoencoder(tmp_path, corpus):
    assert isinstance(run.start_autoencoder(recipe(tmp_path, corpus)), Autoencoder)


@pytest.mark.parametrize(
    ("numbers", "right_is", "before"), [([0, 1], "label", 1.0), ([1, 0], "label", 0.0), ([], "original", 1.0)]
)
def test_what_counts_as_right(corpus, tmp_path, monkeypatch, numbers, right_is, before):
    """Everything sounds like noise: right for the noises, by label or by what it said of the original."""
    settings, listener = recipe(tmp_path, corpus), ear()
    made = run.start_autoencoder(settings)
    noise = torch.randn(1, 1, 2000, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr(made.network, "forward", lambda x: 0.2 * noise.expand(len(x), 1, -1))
    result = score_reconstructions(made, listener, parts(settings)[1], settings.data, numbers)
    assert result["accuracy_original"] == before
    assert (result["accuracy"], result["agreement"], result["right_is"]) == (0.5, 0.5, right_is)
