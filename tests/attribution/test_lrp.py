from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import otoscope
from otoscope.attribution import attribute
from reference import attribution as slow
from worlds import RATE, linear, spectral


def without_constants():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 8, 3, bias=False), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 6, 3, bias=False), nn.Hardswish(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4, bias=False),
    )  # fmt: skip

    class FromSilence(nn.Module):
        """Features counted from silence, so that the logits of silence are 0."""

        def __init__(self, silence):
            super().__init__()
            self.net, self.silence = net, silence

        def forward(self, x):
            return self.net(x - self.silence)

    front = spectral().frontend
    return otoscope.wrap(FromSilence(front.silence), sample_rate=16000, labels=list("abcd"), frontend=front).eval()


@pytest.mark.parametrize("domain", ["stft", "mel", "time", "features"])
@pytest.mark.parametrize("gamma", [0.0, 0.25])
def test_without_constants_values_sum_to_the_logit(ask, noise, values, domain, gamma):
    problem = ask(without_constants(), noise(4000, 2), domain, target=[1, 3])
    with torch.no_grad():
        logits = problem.of_target(problem.inspected.original())
    found = values(problem, "lrp", epsilon=0, gamma=gamma)
    np.testing.assert_allclose(found.sum((1, 2)), logits, rtol=1e-3, atol=1e-5)


def test_domains_share_out_the_same_sum(ask, noise, values):
    """What stands before the network loses nothing: only biases and epsilon do."""
    sums = [values(ask(spectral(), noise(4000), d, target=2), "lrp").sum() for d in ("stft", "mel", "time", "features")]
    np.testing.assert_allclose(sums, sums[0], rtol=1e-3)


def test_with_nothing_but_relus_and_no_epsilon_or_gamma_it_is_gradient_times_input(ask, noise, values):
    problem = ask(spectral(), noise(4000, 2), "features", target=1)
    found = values(problem, "lrp", epsilon=0, gamma=0)
    expected = values(problem, "input_x_gradient")
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5 * np.abs(expected).max())


def test_on_a_linear_classifier_it_is_w_times_x_by_segment(ask, values, noise):
    x, world = noise(403), linear(403)
    problem = ask(world, x, ms=10)
    expected = slow.linear_by_segment(world.network.weights.detach()[:, 0], x, RATE, problem.inspected.grid.times)
    np.testing.assert_allclose(values(problem, "lrp", epsilon=0)[0, 0], expected, atol=1e-6)


def test_a_large_gamma_leaves_less_against_the_target(ask, noise, values):
    problem = ask(without_constants(), noise(4000), "features")
    problem.targets = problem.inspected.original().argmax(1)
    found = [values(problem, "lrp", gamma=g, epsilon=0) for g in (0.0, 1.0, 1e5)]
    against = [-np.minimum(v, 0).sum() / np.abs(v).sum() for v in found]
    assert against[0] > against[1] > against[2]
    assert against[2] < 0.01


def test_a_network_of_functions_gets_what_its_twin_of_modules_gets(ask, noise, values):
    class Functional(nn.Module):
        def __init__(self, body):
            super().__init__()
            self.body = body

        def forward(self, x):
            x = nn.functional.relu(self.body[1](self.body[0](x)), inplace=True)
            return nn.functional.linear(
                torch.relu_(self.body[3](x)).mean((2, 3)), self.body[7].weight, self.body[7].bias
            )

    world, x = spectral(), noise(4000)
    twin = otoscope.wrap(Functional(world.network), sample_rate=16000, labels=list("abcd"), frontend=world.frontend)
    found, expected = (values(ask(w, x, "mel", target=2), "lrp") for w in (twin, world))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5 * np.abs(expected).max())


def test_two_passes(ask, noise):
    problem = ask(spectral(), noise(4000, 3), "mel", batch_size=2)
    attribute(problem, "lrp")
    assert problem.inspected.passes == 6
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in problem.inspected.classifier.modules())
