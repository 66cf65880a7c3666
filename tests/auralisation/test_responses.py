"""Responses of several layers in one pass."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from feature_worlds import RATE, bursts, planted_classifier, tone
from otoscope.auralisation import layer_responses
from otoscope.classifiers import build
from otoscope.core.errors import ParameterError, UnknownNameError


def test_strength_and_profile_written_out():
    world, sounds = planted_classifier(), [tone(1100), bursts((0.5,))]
    found = layer_responses(world, ["planted", "conv"], sounds, batch_size=1)
    maps = world.network.planted(world.network.conv(world.features(torch.from_numpy(np.stack(sounds)))[:, 0])).detach()
    np.testing.assert_allclose(found["planted"].strength, maps.square().mean(2).sqrt(), rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(found["planted"].profile, maps.abs(), rtol=1e-4, atol=1e-6)
    assert found["conv"].strength.shape == (2, 4)


def test_batches_and_biases_do_not_count():
    torch.manual_seed(0)
    model = build("vgg5", ["a", "b"], settings={"channels": 4})
    with torch.no_grad():
        model.network.block1.conv.bias.fill_(0.7)
    sounds = [np.zeros(11025, np.float32), *np.random.default_rng(0).standard_normal((2, 11025)).astype(np.float32)]
    one, two = (layer_responses(model, ["block2"], sounds, batch_size=n)["block2"] for n in (1, 3))
    np.testing.assert_allclose(one.strength, two.strength, rtol=1e-4, atol=1e-6)
    assert one.strength[0].max() == 0
    assert one.strength[1].max() > 0.1


def test_what_is_asked_wrong():
    world = planted_classifier()
    with pytest.raises(ParameterError, match="of one length"):
        layer_responses(world, ["planted"], [np.zeros(RATE), np.zeros(RATE // 2)])
    with pytest.raises(ParameterError, match="of one length"):
        layer_responses(world, ["planted"], [])
    with pytest.raises(UnknownNameError, match="did you mean 'planted'"):
        layer_responses(world, ["plantde"], [np.zeros(RATE)])
