from __future__ import annotations

import warnings

import numpy as np
import torch
from captum.attr import GuidedBackprop
from torch import nn

import otoscope
from worlds import linear, spectral


def test_in_the_features_domain_it_is_captums(ask, noise, values):
    world = spectral()
    problem = ask(world, noise(4000, 2), "features", target=1)
    analysis = problem.inspected.analysis
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        guided = GuidedBackprop(world.network).attribute(analysis.features, target=1).detach()
    above = (analysis.features - analysis.silence)[:, 0].numpy()
    found = values(problem, "guided_backprop", times_input=True)
    np.testing.assert_allclose(found, guided[:, 0].numpy() * above, rtol=1e-3, atol=1e-5 * np.abs(found).max())
    plain = values(problem, "guided_backprop")
    np.testing.assert_allclose(plain, guided[:, 0].numpy() * np.sign(above), rtol=1e-3, atol=1e-5 * np.abs(plain).max())
    assert not np.allclose(plain, values(problem, "gradient"), rtol=0.1)


def test_a_functional_relu_is_met_as_its_module_is(ask, noise, values):
    class Functional(nn.Module):
        def __init__(self, body):
            super().__init__()
            self.body = body

        def forward(self, x):
            x = torch.relu(self.body[1](self.body[0](x)))
            x = nn.functional.relu(self.body[3](x), inplace=True)
            return self.body[7](x.mean((2, 3)))

    world, x = spectral(), noise(4000)
    twin = otoscope.wrap(Functional(world.network), sample_rate=16000, labels=list("abcd"), frontend=world.frontend)
    found, expected = (values(ask(w, x, "mel", target=2), "guided_backprop") for w in (twin, world))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5 * np.abs(expected).max())


def test_without_rectifiers_it_is_the_gradient(ask, noise, values):
    problem = ask(linear(400), noise(400), ms=10)
    np.testing.assert_allclose(values(problem, "guided_backprop"), values(problem, "gradient"), rtol=1e-6)
    times = values(problem, "guided_backprop", times_input=True)
    np.testing.assert_allclose(times, values(problem, "input_x_gradient"), rtol=1e-6)
