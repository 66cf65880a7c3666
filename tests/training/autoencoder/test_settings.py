"""Recipes of autoencoders."""

import pytest

from otoscope.core.errors import ParameterError, UnknownNameError
from otoscope.training import load_recipe
from otoscope.training.autoencoder.settings import AutoencoderRecipe
from otoscope.training.classifier.settings import Recipe


def write(tmp_path, text):
    file = tmp_path / "r.yaml"
    file.write_text(text)
    return file


def test_a_task_says_what_kind_of_recipe_it_is(tmp_path):
    assert type(load_recipe(write(tmp_path, "name: a"))) is Recipe
    assert type(load_recipe(write(tmp_path, "task: classifier"))) is Recipe
    made = load_recipe(write(tmp_path, "task: pretrain"))
    assert type(made) is AutoencoderRecipe
    assert (made.name, made.out, made.loss.mse, made.loss.classifier) == ("autoencoder", "runs/autoencoder", 0.0, 1.0)
    assert (made.augment.gain_db, made.augment.roll_s, made.augment.mixup_probability) == (0, 0, 0)
    assert made.augment.mixup_on == "waveform"
    tuned = load_recipe(write(tmp_path, "task: tune\nclassifier: {model: esc10-mn, without: dynamic_relu}"))
    assert tuned.classifier.without == ("dynamic_relu",)
    assert "mixup_on" not in tuned.identity()["augment"]


def test_a_shape_is_changed_by_overrides(tmp_path):
    file = write(tmp_path, "task: pretrain\nautoencoder: {settings: {channels: 8}}")
    made = load_recipe(file, ["autoencoder.settings.sample_rate=16000", "autoencoder.settings.factors=[2, 2]"])
    assert made.autoencoder.settings == {"channels": 8, "sample_rate": 16000, "factors": [2, 2]}


def test_paths_of_autoencoders_and_listeners_are_relative_to_the_recipe(tmp_path):
    text = "task: tune\nautoencoder: {start: ./ae, weights: w.pt}\nclassifier: {model: ../ear, weights: published}"
    made = load_recipe(write(tmp_path, text))
    assert (made.autoencoder.start, made.autoencoder.weights) == (str(tmp_path / "ae"), str(tmp_path / "w.pt"))
    assert (made.classifier.model, made.classifier.weights) == (str(tmp_path.parent / "ear"), "published")
    named = load_recipe(write(tmp_path, "task: tune\nautoencoder: {start: archisound}\nclassifier: {model: esc10-mn}"))
    assert (named.autoencoder.start, named.classifier.model) == ("archisound", "esc10-mn")


TUNE = "task: tune\nclassifier: {model: esc10-mn}\n"


@pytest.mark.parametrize(
    ("text", "error", "match"),
    [
        ("task: tun", UnknownNameError, "did you mean 'tune'"),
        ("task: tune", ParameterError, r"needs a classifier to tune to; give classifier\.model"),
        ("task: pretrain\nclassifier: {model: esc10-mn}", ParameterError, "uses no classifier"),
        (TUNE + "loss: {classifier: 0}", ParameterError, "needs the classifier's loss"),
        (TUNE + "loss: {mse: -1}", ParameterError, r"mse must lie in \[0"),
        (TUNE + "data: {crop_s: 1}", ParameterError, "a label holds for a whole clip"),
        (TUNE + "autoencoder: {scope: all}", UnknownNameError, "there are both, encoder, decoder"),
        (TUNE + "autoencoder: {shape: tiny}", UnknownNameError, "there are small, archisound"),
        (TUNE + "autoencoder: {settings: small}", ParameterError, "settings must be a group"),
        ("task: tune\nclassifier: {model: m, targets: label}", UnknownNameError, "did you mean 'labels'"),
        ("task: tune\nclassifier: {model: m, without: [attention]}", UnknownNameError, "without"),
        (TUNE + "augment: {frequency_mask: 3}", UnknownNameError, "unknown setting in augment"),
        (TUNE + "augment: {mel_jitter: true}", UnknownNameError, "unknown setting in augment"),
        (TUNE + "augment: {mixup_on: features}", UnknownNameError, "unknown setting in augment"),
        (TUNE + "teacher: {model: mn04_as}", UnknownNameError, "unknown setting"),
        (TUNE + "folds: all", UnknownNameError, "unknown setting 'folds'"),
        ("autoencoder: {scope: both}", UnknownNameError, "unknown setting 'autoencoder'"),
    ],
)
def test_bad_recipes_of_autoencoders(tmp_path, text, error, match):
    with pytest.raises(error, match=match):
        load_recipe(write(tmp_path, text))
