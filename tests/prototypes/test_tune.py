"""Tuning of prototypes on fixed latent maps."""

from __future__ import annotations

import dataclasses
import importlib

import numpy as np
import pytest
import torch

from otoscope.core.errors import NonFiniteError, OtoscopeError, ParameterError
from otoscope.prototypes import TuneSettings, accuracy, delete, list_prototypes, owners, rename, tune
from otoscope.prototypes.clips import decide, window


def loss(model, clips):
    return float(torch.nn.functional.cross_entropy(decide(model.network, clips)[0], clips.targets))


@pytest.mark.parametrize("augment", [False, True])
def test_tuning_lowers_the_loss_and_leaves_encoder_and_decoder(tones, augment):
    model, clips = tones
    start = rename(delete(model, ["p1", "p3"]), "p5", "middle")
    before = {k: v.clone() for k, v in start.network.state_dict().items()}
    made = tune(start, clips, TuneSettings(epochs=30, lr=0.01, augment=augment))
    assert loss(made, clips) < 0.7 * loss(start, clips)
    assert accuracy(made.network, clips) == 1
    assert list_prototypes(made) == list_prototypes(start)
    for key, value in before.items():
        assert torch.equal(start.network.state_dict()[key], value)
        assert torch.equal(made.network.state_dict()[key], value) == (
            key not in ("prototypes.maps", "prototypes.weights", "out.weight")
        )
    torch.testing.assert_close(made.network.prototypes.weights.abs().sum(1), torch.ones(4))


def test_the_same_settings_give_the_same_weights(tones):
    model, clips = tones
    one, two = (tune(model, clips, TuneSettings(epochs=3)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one.network.parameters(), two.network.parameters(), strict=True))
    three = tune(model, clips, TuneSettings(epochs=3, seed=1, batch_size=4))
    assert not torch.equal(one.network.out.weight, three.network.out.weight)


def test_a_stronger_pull_brings_prototypes_nearer_to_clips(tones):
    model, clips = tones
    near, far = (tune(model, clips, TuneSettings(epochs=20, lr=0.01, pull=p, augment=False)) for p in (10.0, 0.0))

    def distance(m):
        return float(decide(m.network, clips)[1].amin(0).mean())

    assert distance(near) < distance(far)


def test_it_stops_when_it_is_told(tones):
    model, clips = tones
    seen = []

    def watch(epoch, value):
        seen.append((epoch, value))
        return epoch == 3

    tune(model, clips, TuneSettings(epochs=10), watch)
    assert [epoch for epoch, _ in seen] == [1, 2, 3]
    assert seen[2][1] < seen[0][1]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"epochs": 0}, "epochs must be int from 1 to 1000; got 0"),
        ({"epochs": 1.5}, "epochs must be int from 1 to 1000; got 1.5"),
        ({"epochs": True}, "epochs must be int"),
        ({"lr": 0}, "lr must be float from 0 to 1; got 0"),
        ({"lr": float("nan")}, "lr must be float from 0 to 1; got nan"),
        ({"pull": "1"}, "pull must be float"),
        ({"augment": 1}, "augment must be true or false; got 1"),
        ({"batch_size": -1}, "batch_size must be int"),
    ],
)
def test_settings_that_are_refused(given, said):
    with pytest.raises(ParameterError, match=said):
        TuneSettings(**given)


def test_a_loss_that_is_not_finite_and_a_class_that_is_lost(tones):
    model, clips = tones
    far = type(clips)(clips.examples, clips.maps * 1e30, clips.targets)
    with pytest.raises(NonFiniteError, match=r"the loss is (nan|inf) in epoch 1; lower lr"):
        tune(model, far, TuneSettings(augment=False))
    small = delete(model, ["p1", "p3", "p5"])
    small.network.out.weight.data = torch.tensor([[1.0, 0.99, 0.99], [-1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]])
    assert owners(small) == [0, 1, 2]
    lonely = type(clips)(clips.examples[:6], clips.maps[:6], clips.targets[:6])  # clips of class 0 alone
    with pytest.raises(ParameterError, match=r"no prototype votes for class (low|middle)"):
        tune(small, lonely, TuneSettings(epochs=200, lr=0.05, augment=False))


def test_clips_are_changed_within_limits(tones):
    """Against each clip by itself: its level and its shift are found again."""
    model, clips = tones
    numbers = torch.tensor([0, 7, 13])
    found = importlib.import_module("otoscope.prototypes.tune")._changed(
        model, clips, numbers, torch.Generator().manual_seed(3)
    )
    drawn = torch.Generator().manual_seed(3)
    db = ((2 * torch.rand(3, 1, generator=drawn) - 1) * 12)[:, 0].tolist()
    length = model.maximum_length
    shifts = torch.randint(-(length // 10), length // 10 + 1, (3,), generator=drawn).tolist()
    assert max(map(abs, db)) <= 12
    for place, i in enumerate(numbers.tolist()):
        sound = np.roll(window(model, clips.examples[i]), shifts[place]) * np.float32(10 ** (db[place] / 20))
        with torch.no_grad():
            own = model.network.encoder(model.features(torch.from_numpy(sound)[None])).map[0]
        torch.testing.assert_close(found[place], own, rtol=1e-4, atol=1e-5)


def test_clips_that_were_changed_since_are_refused(tones, tmp_path):
    model, clips = tones
    other = dataclasses.replace(clips, checksums=(*clips.checksums[:7], 1, *clips.checksums[8:]))
    with pytest.raises(OtoscopeError, match=r"low-1\.wav was changed since it was encoded"):
        tune(model, other, TuneSettings(epochs=1))
