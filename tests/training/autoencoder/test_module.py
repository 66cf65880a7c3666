"""The losses of an autoencoder, each against its definition, and how a batch is heard."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import otoscope
from otoscope.autoencoders import AutoencoderConfig
from otoscope.autoencoders.autoencoder import random_autoencoder
from otoscope.classifiers import build
from otoscope.core.errors import NonFiniteError
from otoscope.training.autoencoder.losses import multi_resolution_stft
from otoscope.training.autoencoder.module import AutoencoderModule, classification_loss, hear
from otoscope.training.autoencoder.settings import AutoencoderRecipe, ListenerSettings, LossSettings
from otoscope.training.settings import OptimiserSettings
from training.autoencoder_worlds import RATE, ear
from worlds import spectral

TINY = AutoencoderConfig(1, 8, (1, 2, 1), (2, 1), (1, 1), 4, 4, RATE)


def module(classifier=None, numbers=(0, 1), config=TINY, **settings):
    autoencoder = random_autoencoder(config, 0, zero_residuals=False)
    recipe = AutoencoderRecipe(task="tune" if classifier else "pretrain", **settings)
    return AutoencoderModule(autoencoder, recipe, classifier, numbers, [f"{i}.wav" for i in range(9)], batches=3)


def sound(n=2000, batch=3, seed=0):
    return 0.2 * torch.randn(batch, n, generator=torch.Generator().manual_seed(seed))


def test_losses_are_their_definitions_with_their_weights():
    listener, wave = ear(), sound()
    target = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.3, 0.7]])
    own = module(listener, loss=LossSettings(mse=2.0, stft=0.5, classifier=3.0))
    with torch.no_grad():
        parts, logits = own.losses(wave, target)
        made = own.autoencoder(wave)
        assert list(parts) == ["mse", "stft", "classifier"]
        assert torch.allclose(logits, listener(made), atol=1e-6)
        assert torch.allclose(parts["mse"], 2 * (made - wave).square().mean(1))
        assert torch.allclose(parts["stft"], 0.5 * multi_resolution_stft(made, wave))
        expected = -3 * (target * logits.log_softmax(1)).sum(1)
        assert torch.allclose(parts["classifier"], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("task", "loss", "names"),
    [
        ("pretrain", {}, ["mse"]),
        ("pretrain", {"stft": 1.0}, ["stft"]),
        ("pretrain", {"mse": 1.0, "stft": 1.0}, ["mse", "stft"]),
        ("tune", {}, ["classifier"]),
        ("tune", {"mse": 1.0}, ["mse", "classifier"]),
    ],
)
def test_only_losses_that_are_asked_for_are_computed(task, loss, names):
    own = module(ear() if task == "tune" else None, loss=LossSettings(**loss))
    parts, logits = own.losses(sound(), torch.eye(2)[[0, 1, 0]])
    assert list(parts) == names
    assert (logits is None) == (task == "pretrain")
    assert all(p.shape == (3,) for p in parts.values())


def test_classes_that_hold_together_are_asked_one_by_one():
    listener = ear(multilabel=True)
    logits, target = torch.tensor([[2.0, -1.0]]), torch.tensor([[1.0, 0.25]])
    p = torch.sigmoid(logits)
    expected = -(target * p.log() + (1 - target) * (1 - p).log()).sum(1)
    assert torch.allclose(classification_loss(listener, logits, target), expected)


def test_its_own_word_is_what_it_says_of_the_original():
    listener, wave = ear(("a", "b", "c")), sound()
    own = module(listener, numbers=())
    own.recipe = own.recipe.replace(classifier=ListenerSettings(targets="own"))
    target = own._one_hot(torch.tensor([0, 7, 9]))
    assert target.shape == (3, 3)
    parts, logits = own.losses(wave, target)
    wanted = listener(wave).softmax(1).detach()
    assert torch.allclose(parts["classifier"], -(wanted * logits.log_softmax(1)).sum(1), atol=1e-6)


def test_the_datas_classes_are_turned_into_the_classifiers():
    own = module(ear(("x", "tone", "noise")), numbers=(2, 1))
    assert own._one_hot(torch.tensor([0, 1, 1])).tolist() == [[0, 0, 1], [0, 1, 0], [0, 1, 0]]


def test_a_classifier_hears_the_same_as_by_itself_and_its_features_in_full_precision():
    listener, wave = spectral(), sound(16000)
    with torch.no_grad():
        plain = listener(wave)
        assert torch.equal(hear(listener, wave), plain)
        seen = []
        hook = listener.network[0].register_forward_pre_hook(lambda _m, x: seen.append(x[0].detach().clone()))
        with torch.autocast("cpu", torch.bfloat16):
            low = hear(listener, wave)
        hook.remove()
        assert seen[0].dtype == torch.float32
        assert torch.equal(seen[0], listener.features(wave))
        assert low.dtype == torch.float32
        assert torch.allclose(low, plain, atol=0.05 * float(plain.abs().max()))


@pytest.mark.parametrize("kind", ["pretrain", "ear", "spectral", "mn"])
def test_bfloat16_changes_the_loss_by_less_than_a_hundredth(kind):
    torch.manual_seed(0)
    listener = {
        "pretrain": lambda: None,
        "ear": ear,
        "spectral": spectral,
        "mn": lambda: build("mn", ["a", "b"], settings={"width": 0.1}, name="mn").eval(),
    }[kind]()
    if kind == "mn":  # an untrained one says the same of everything
        with torch.no_grad():
            listener.network.classifier[-1].weight *= 1e4
    n = 2 if listener is None else len(listener.labels)
    own = module(listener, numbers=tuple(range(n)))
    wave = sound(RATE if listener is None else listener.sample_rate, 4)
    target = torch.eye(n)[torch.arange(4) % n]
    losses = []
    for low in (False, True):
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=low):
            parts, _ = own.losses(wave, target)
        losses.append(float(torch.stack(list(parts.values())).sum(0).mean()))
        assert all(p.dtype == torch.float32 for p in parts.values())
    assert losses[1] == pytest.approx(losses[0], rel=0.01)
    assert losses[1] != losses[0]  # it was another precision


def test_gradients_reach_the_autoencoder_and_not_the_classifier():
    listener = ear()
    for p in listener.parameters():
        p.requires_grad_(False)
    own = module(listener)
    parts, _ = own.losses(sound(), torch.eye(2)[[0, 1, 0]])
    parts["classifier"].sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in own.network.parameters())
    assert any(p.grad.abs().sum() > 0 for p in own.network.encoder.parameters())
    assert all(p.grad is None for p in listener.parameters())


def test_the_classifier_is_no_part_of_the_checkpoint_nor_of_what_is_moved():
    own = module(ear())
    own.train()
    assert not own.classifier.training
    assert {k.split(".")[0] for k in own.state_dict()} == {"network"}
    optimiser = own.configure_optimizers()["optimizer"]
    moved = {id(p) for group in optimiser.param_groups for p in group["params"]}
    assert moved == {id(p) for p in own.network.parameters()}


def test_only_the_scope_is_moved():
    own = module(optimiser=OptimiserSettings())
    own.autoencoder.set_scope("decoder")
    groups = own.configure_optimizers()["optimizer"].param_groups
    assert {id(p) for g in groups for p in g["params"]} == {id(p) for p in own.network.decoder.parameters()}


def test_a_loss_that_is_no_number_is_named_with_its_clip():
    own = module()
    clips = torch.tensor([4, 7, 2])
    own._refuse_nonfinite(torch.tensor([1.0, 2.0, 3.0]), clips, None)
    for value in (torch.nan, torch.inf):
        with pytest.raises(NonFiniteError, match=rf"the loss is {value} at step 0 \(epoch 0\), first on 7\.wav"):
            own._refuse_nonfinite(torch.tensor([1.0, value, torch.nan]), clips, None)


def test_broken_weights_are_named():
    own = module()
    own.on_train_epoch_end()
    own.heard = torch.tensor([4, 7])
    with torch.no_grad():
        own.network.decoder.to_out.block.block1.project.bias[0] = torch.inf
    with pytest.raises(NonFiniteError, match=r"clips were 4\.wav, 7\.wav, "):
        own.on_train_epoch_end()
    with pytest.raises(NonFiniteError, match=r"clips were 1\.wav, "):  # the step before, not the one that shows it
        own._refuse_nonfinite(torch.tensor([torch.nan]), torch.tensor([4]), torch.tensor([1]))


def test_a_classifier_at_another_rate_hears_at_its_own():
    heard = []

    class Listen(nn.Module):
        def forward(self, waveform):
            heard.append(waveform.shape)
            return waveform[:, :2]

    own = module(otoscope.wrap(Listen(), sample_rate=3 * RATE, labels=["a", "b"], check=False))
    assert own.rate == 3 * RATE
    own.losses(sound(3001), torch.eye(2)[[0, 1, 0]])
    assert heard == [(3, 3001)]
