from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import otoscope
from otoscope.attribution import gradient_rollout as module
from otoscope.core.errors import UnsupportedError
from otoscope.surgery import record_attention
from reference import attention as slow
from worlds import attentive, planted, spectral


def recorded(problem):
    """Attention and its gradients of each clip, layer by layer, by a fresh network on one clip at a time."""
    inspected, out = problem.inspected, []
    for clip, target in enumerate(problem.targets):
        network = attentive().network
        features = inspected.classifier.features(inspected.waveform[clip : clip + 1]).detach()
        with record_attention(network) as seen:
            logit = network(features)[0, target]
        weights = [layer.weights for layer in seen]
        gradients = torch.autograd.grad(logit, weights)
        out.append([[x[0].detach().double().numpy() for x in some] for some in (weights, gradients)])
    return out


def test_it_is_the_slow_twin(ask, values, noise):
    problem = ask(attentive(), noise(6000, batch=2), "features", target=[1, 2])
    found = values(problem, "gradient_rollout")
    for clip, (layers, gradients) in enumerate(recorded(problem)):
        row = slow.read(slow.gradient_rollout(layers, gradients), own=1)
        expected = slow.on_features(row[1:].reshape(4, -1), ((3.5, 8.0), (2.0, 5.0)), problem.shape)
        np.testing.assert_allclose(found[clip], expected, rtol=2e-3, atol=1e-5 * expected.max())
    assert found.min() >= 0
    assert found.max() > 0


def test_without_class_tokens_all_tokens_are_read_and_none_counts_for_being_itself(ask, values):
    class OverFrames(nn.Module):
        def __init__(self):
            super().__init__()
            self.cut, self.attention = nn.Conv1d(1, 8, 400, 400), nn.MultiheadAttention(8, 1, batch_first=True)

        def forward(self, waveform):
            x = self.cut(waveform[:, None]).transpose(1, 2)
            return self.attention(x, x, x, need_weights=False)[0].mean(1)

    torch.manual_seed(0)
    place = {"attention": ((0.0, 1.0), (199.5, 400.0))}
    world = otoscope.Classifier(
        OverFrames(), sample_rate=8000, labels=list("abcdefgh"), axes={"attention": "frame channel"}, places=place
    )
    problem = ask(world, np.random.default_rng(0).normal(0, 3, 8000), "time", ms=50)  # segments are the tokens
    with record_attention(world.network) as seen:
        logit = problem.inspected.original()[0, 0]
    (gradient,) = torch.autograd.grad(logit, seen[0].weights)
    found = values(problem, "gradient_rollout")[0, 0]
    layers = [x[0].detach().double().numpy() for x in (seen[0].weights, gradient)]
    row = slow.read(slow.gradient_rollout(layers[:1], layers[1:]), own=0)
    expected = np.interp(problem.inspected.grid.times, (199.5 + 400 * np.arange(20)) / 8000, row)
    np.testing.assert_allclose(found, expected, rtol=1e-3)
    assert found.max() < 0.05


def test_classes_have_maps_of_their_own_and_what_speaks_against_is_not_counted(ask, values, noise):
    first, second = (values(ask(planted(2, 1), noise(16000), "mel", target=t), "gradient_rollout") for t in (0, 1))
    assert first.max() > 0
    np.testing.assert_array_equal(second, 0)
    x = noise(6000)
    found = [values(ask(attentive(), x, "mel", target=t), "gradient_rollout") for t in (0, 1)]
    assert not np.allclose(*found, rtol=0.05)


def test_of_clips_with_many_tokens_few_go_at_once(ask, values, noise, monkeypatch):
    """Weights of 49 tokens, 2 heads and 2 layers: what fits is counted with the first clip."""
    x, rows = noise(6000, batch=5), []
    together = values(ask(attentive(), x, "mel", target=[0, 1, 2, 3, 0]), "gradient_rollout")
    problem = ask(attentive(), x, "mel", target=[0, 1, 2, 3, 0])
    problem.inspected.classifier.network.register_forward_hook(lambda m, x, y: rows.append(len(y)))
    with torch.no_grad(), record_attention(problem.inspected.classifier.network) as seen:
        problem.inspected.original()
    one = sum(layer.weights[0].numel() for layer in seen)
    rows.clear()
    monkeypatch.setattr(module, "NUMBERS", 2 * one + 1)
    found = values(problem, "gradient_rollout")
    assert rows == [1, 2, 2]
    np.testing.assert_allclose(found, together, rtol=1e-3, atol=1e-9)
    monkeypatch.setattr(module, "NUMBERS", 1)
    rows.clear()
    values(problem, "gradient_rollout")
    assert rows == [1] * 5


def wrapped(network):
    network.token_maps = lambda tokens: tokens.transpose(1, 2)[:, :, None]
    return otoscope.wrap(network, sample_rate=16000, labels=2, frontend=spectral().frontend)


class Cut(nn.Module):
    """Gradients end at its input, at its output, or nowhere."""

    def __init__(self, where):
        super().__init__()
        self.where = where

    def forward(self, features):
        x = features if self.where != "input" else features.detach()
        seen = functional.scaled_dot_product_attention(x, x, x)
        seen = seen.detach() if self.where == "output" else seen
        return seen.mean((1, 3))[:, :2]


def test_gradients_are_needed_from_the_attention_on_and_not_before_it(ask, values, noise):
    x = noise(6000)
    found, whole = (values(ask(wrapped(Cut(where)), x, "mel"), "gradient_rollout") for where in ("input", None))
    np.testing.assert_allclose(found, whole, rtol=1e-4)
    assert whole.max() > 0


def test_a_classifier_without_gradients_is_refused(ask, values, noise):
    with pytest.raises(
        UnsupportedError, match="gives no gradients between its attention and its output; use attention_ro"
    ):
        values(ask(wrapped(Cut("output")), noise(6000), "mel"), "gradient_rollout")


def test_attention_beside_the_decision_is_refused(ask, values, noise):
    class Beside(nn.Module):
        def __init__(self):
            super().__init__()
            self.gain = nn.Parameter(torch.ones(2))

        def forward(self, features):
            functional.scaled_dot_product_attention(features, features, features)
            return features.mean((1, 3))[:, :2] * self.gain

    with pytest.raises(UnsupportedError, match="does not depend on its attention; use grad_cam"):
        values(ask(wrapped(Beside()), noise(6000), "mel"), "gradient_rollout")


def test_parameters_get_no_gradients(ask, values, noise):
    world = attentive()
    values(ask(world, noise(6000), "mel"), "gradient_rollout")
    assert all(p.grad is None for p in world.parameters())
