"""Losses of a classifier."""

import pytest
import torch

import otoscope
from otoscope.core.errors import OtoscopeError, ParameterError
from otoscope.training import Recipe, load_recipe, train
from otoscope.training.classifier.module import ClassifierModule
from training.classifier_worlds import quick, recipe_file


def test_infinite_loss_is_said(tmp_path, corpus, monkeypatch):
    features = ClassifierModule.features
    monkeypatch.setattr(ClassifierModule, "features", lambda self, *a: features(self, *a) * float("nan"))
    with pytest.raises(OtoscopeError, match=r"the loss is nan at step 0 \(epoch 0\); lower optimiser\.lr"):
        train(load_recipe(recipe_file(tmp_path, corpus), quick()), "cpu")


APNET = "model.architecture=apnet,sample_rate=8000,n_fft=256,hop=128,n_mels=16,frames=28,channels=4,prototypes=6"


def test_apnet_is_trained_with_its_losses_and_constrained(tmp_path, corpus):
    overrides = [APNET, "losses={classification: 10, reconstruction: 5, prototypes: 5}", "optimiser.lr=0.01"]
    result = train(load_recipe(recipe_file(tmp_path, corpus), quick(*overrides)), "cpu")
    model = otoscope.load_classifier(result["folder"])
    weights = model.network.prototypes.weights
    torch.testing.assert_close(weights.abs().sum(1), torch.ones(6))
    assert weights.std() > 0  # they were trained
    owners = model.network.out.weight.argmax(0)
    assert set(owners.tolist()) == set(range(len(model.labels)))


@torch.no_grad()
def test_losses_of_apnet_are_those_written_out():
    torch.manual_seed(0)
    network = otoscope.load_classifier(APNET.partition("=")[2], "random", labels=2).network
    features = torch.rand(3, 1, 16, 28) * 2 - 1
    logits, losses = network.losses(features)
    torch.testing.assert_close(logits, network(features))
    latent = network.encoder(features)
    found = network.decoder(latent.map, latent.masks)
    expected = sum(float((found[i] - features[i]).square().mean()) for i in range(3)) / 3
    assert float(losses["reconstruction"]) == pytest.approx(expected, rel=1e-5)
    distances = torch.tensor(
        [
            [float(network.prototypes.scale) * float((z - p).square().mean()) for p in network.prototypes.maps]
            for z in latent.map
        ]
    )  # (clip, prototype)
    expected = float(distances.min(0).values.mean() + distances.min(1).values.mean())
    assert float(losses["prototypes"]) == pytest.approx(expected, rel=1e-4)


def test_losses_that_a_network_does_not_have_are_refused(tmp_path, corpus):
    recipe = load_recipe(recipe_file(tmp_path, corpus), quick("losses.prototypes=1"))
    with pytest.raises(
        ParameterError, match=r"losses\.prototypes is a loss of APNet; leave it out for model\.architecture="
    ):
        train(recipe, "cpu")


def test_runs_that_are_older_than_the_losses_are_still_known():
    assert "losses" not in Recipe().identity()
    assert Recipe(losses={"reconstruction": 5}).identity()["losses"]["reconstruction"] == 5
