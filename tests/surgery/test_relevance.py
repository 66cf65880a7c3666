from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from otoscope.surgery import relevance
from reference import backward as slow


def relevances(net, x, epsilon=0.0, gamma=0.0, seed=None):
    """Input times modified gradient, for inputs whose silence is zero."""
    x = x.detach().clone().requires_grad_(True)
    with relevance(net, lambda: net(0 * x), epsilon, gamma):
        out = net(x)
        (found,) = torch.autograd.grad(out.sum() if seed is None else (out * seed).sum(), x)
    return (found * x).detach(), out.detach()


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def double(net):
    return net.double().eval().requires_grad_(False)


@pytest.mark.parametrize("epsilon", [0.0, 0.01, 0.5])
def test_a_dense_layer_has_the_epsilon_rule(rng, epsilon):
    """Behind an activation, so that it counts from zero; the activation hands relevance on as it is."""
    net = double(nn.Sequential(nn.ReLU(), nn.Linear(6, 4)))
    x, seed = rng.normal(size=6) + 0.5, rng.normal(size=4)
    found, out = relevances(net, torch.from_numpy(x)[None], epsilon, 0.25, torch.from_numpy(seed))
    weight, bias = (p.numpy() for p in net[1].parameters())
    relevance_out = out[0].numpy() * seed
    expected = slow.epsilon_rule(np.maximum(x, 0), weight, bias, relevance_out, epsilon)
    np.testing.assert_allclose(found[0], expected)


@pytest.mark.parametrize("gamma", [0.0, 0.25, 3.0, 1e6])
@pytest.mark.parametrize("act", [nn.ReLU, nn.Hardswish])
def test_a_convolution_has_the_gamma_rule_for_any_signs(rng, gamma, act):
    net = double(nn.Sequential(act(), nn.Conv2d(6, 4, 1)))
    x, seed = rng.normal(size=6) * 2, rng.normal(size=4)
    found, out = relevances(
        net, torch.from_numpy(x)[None, :, None, None], 0.0, gamma, torch.from_numpy(seed)[:, None, None]
    )
    weight, bias = net[1].weight[:, :, 0, 0].numpy(), net[1].bias.numpy()
    hidden = act()(torch.from_numpy(x)).numpy()
    expected = slow.gamma_rule(hidden, weight, bias, out[0, :, 0, 0].numpy() * seed, gamma)
    np.testing.assert_allclose(found[0, :, 0, 0], expected, rtol=1e-8, atol=1e-12)


def test_a_very_large_gamma_is_the_z_plus_rule(rng):
    torch.manual_seed(0)
    net = double(nn.Sequential(nn.ReLU(), nn.Conv1d(3, 4, 1, bias=False), nn.ReLU()))
    x = torch.from_numpy(rng.uniform(0.5, 1, size=(1, 3, 1)))
    net[1].weight[:, 0] = net[1].weight[:, 0].abs()
    found, out = relevances(net, x, 0.0, 1e9)
    parts = x.relu()[0, :, 0] * net[1].weight[:, :, 0].clamp_min(0)  # (out, in)
    expected = (parts / parts.sum(1, keepdim=True) * out[0]).sum(0)
    np.testing.assert_allclose(found[0, :, 0], expected, rtol=1e-6, atol=1e-12)


class Gated(nn.Module):
    """Without constants, so that relevance is kept."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 5, 3, bias=False), nn.Conv2d(5, 4, 3, stride=2, bias=False)
        self.gate, self.out = nn.Linear(5, 5), nn.Linear(4, 3, bias=False)

    def forward(self, x):
        x = functional.hardswish(self.conv1(x))
        x = x * torch.sigmoid(self.gate(x.mean((2, 3))))[:, :, None, None]
        x = functional.max_pool2d(x, 2) + functional.avg_pool2d(x, 2)
        x = functional.gelu(self.conv2(x))
        return self.out(x.amax((2, 3)) + x.mean((2, 3)))


@pytest.mark.parametrize("gamma", [0.0, 0.25, 100.0])
def test_without_constants_relevance_is_kept(gamma):
    torch.manual_seed(0)
    net, x = double(Gated()), torch.randn(3, 1, 12, 14, dtype=torch.float64)
    found, out = relevances(net, x, 0.0, gamma)
    torch.testing.assert_close(found.sum((1, 2, 3)), out.sum(1))
    short, _ = relevances(net, x, 0.3, gamma)
    assert not torch.allclose(short.sum((1, 2, 3)), out.sum(1), rtol=0.05)


class Attends(nn.Module):
    def __init__(self, openly):
        super().__init__()
        self.first, self.norm, self.qkv, self.out = (
            nn.Linear(6, 6, bias=False), nn.LayerNorm(6, bias=False), nn.Linear(6, 18, bias=False), nn.Linear(6, 2, bias=False),
        )  # fmt: skip
        self.openly = openly

    def forward(self, x):
        x = functional.silu(self.first(x))
        q, k, v = self.qkv(self.norm(x)).chunk(3, -1)
        if self.openly:
            seen = (q @ k.mT / 6**0.5).softmax(-1) @ v
        else:
            seen = functional.scaled_dot_product_attention(q, k, v)
        return self.out((x + seen).mean(1))


def test_attention_weights_and_spreads_count_as_constants():
    torch.manual_seed(0)
    x = torch.randn(2, 5, 6, dtype=torch.float64)
    openly, fused = double(Attends(True)), double(Attends(False))
    fused.load_state_dict(openly.state_dict())
    found, out = relevances(openly, x)
    torch.testing.assert_close(found.sum((1, 2)), out.sum(1))
    torch.testing.assert_close(relevances(fused, x)[0], found)


def test_a_batch_norm_is_merged_with_the_convolution_before_it():
    torch.manual_seed(0)
    conv, norm = nn.Conv2d(4, 3, 3), nn.BatchNorm2d(3)
    (
        norm.running_mean.normal_(),
        norm.running_var.uniform_(0.5, 2),
        nn.init.normal_(norm.weight),
        nn.init.normal_(norm.bias),
    )
    merged = nn.Conv2d(4, 3, 3)
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    with torch.no_grad():
        merged.weight.copy_(conv.weight * scale[:, None, None, None])
        merged.bias.copy_((conv.bias - norm.running_mean) * scale + norm.bias)
    x = torch.randn(2, 4, 6, 7, dtype=torch.float64)
    apart, whole = (double(nn.Sequential(nn.ReLU(), *layers, nn.ReLU())) for layers in ((conv, norm), (merged,)))
    found, expected = (relevances(net, x, 0.01, 0.25)[0] for net in (apart, whole))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-8)
    assert not torch.allclose(found, relevances(apart, x, 0.01, 0.0)[0], rtol=1e-2)


def test_before_the_first_activation_relevance_counts_from_silence():
    """Decibels have no zero of their own: counted from another zero, what is above silence has the same relevance."""
    torch.manual_seed(0)
    net = double(nn.Sequential(nn.BatchNorm2d(1), nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(3 * 4 * 5, 1)))
    above = torch.rand(2, 1, 6, 7, dtype=torch.float64) * 60
    found = []
    for silence in (-100.0, 0.0, 30.0):
        net[0].running_mean.fill_(silence + 20)
        at = (above + silence).requires_grad_(True)
        with relevance(net, lambda: net(torch.full_like(at, silence)), 0.01, 0.25):  # noqa: B023
            (gradient,) = torch.autograd.grad(net(at).sum(), at)
        found.append(gradient * above)
    torch.testing.assert_close(found[0], found[1])
    torch.testing.assert_close(found[2], found[1])
    conv = double(nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU()))
    conv[0].weight.fill_(1), conv[0].bias.fill_(50)
    at = torch.tensor([-30.0, 10.0], dtype=torch.float64).view(1, 1, 1, 2).requires_grad_(True)
    with relevance(conv, lambda: conv(torch.full_like(at, -50)), 0.0, 1.0):
        (gradient,) = torch.autograd.grad(conv(at).sum(), at)
    np.testing.assert_allclose((gradient * (at + 50)).detach().flatten(), [20, 60])  # all of it: silence gives 0


def test_a_gate_of_equal_size_is_known_by_its_range():
    x = torch.randn(3, 4, dtype=torch.float64)

    class Net(nn.Module):
        def forward(self, v):
            return v.tanh() * 3 * torch.sigmoid(2 * v)

    found, out = relevances(Net(), x)
    torch.testing.assert_close(found, out)

    class Squares(nn.Module):
        def forward(self, v):
            v = torch.relu(v)
            return v * v

    found, out = relevances(Squares(), x)
    torch.testing.assert_close(found, out)


class Weighs(nn.Module):
    """Values that attention weighs, written in one of several ways."""

    def __init__(self, how):
        super().__init__()
        self.how = how

    def forward(self, x):
        x = torch.relu(x)
        weights = (x @ x.mT).softmax(-1)
        if self.how == "weights first":
            return torch.matmul(input=weights, other=x)
        if self.how == "values first":
            return (x.mT @ weights.mT).mT
        if self.how == "bmm":
            return torch.bmm(x.mT, weights.mT).mT
        return torch.einsum("bjd,bij->bid", x, weights)


@pytest.mark.parametrize("how", ["weights first", "values first", "bmm", "einsum"])
def test_the_weights_of_a_matrix_product_are_known_by_what_they_are(how):
    x = torch.randn(2, 5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found, out = relevances(Weighs(how), x)
    weights = (x.relu() @ x.relu().mT).softmax(-1)
    torch.testing.assert_close(found, weights.sum(1)[..., None] * x.relu())
    torch.testing.assert_close(found.sum((1, 2)), out.sum((1, 2)))


def test_where_it_is_unclear_each_side_takes_half():
    class Twice(nn.Module):
        def forward(self, x):
            return torch.relu(x[:, :3]) @ torch.relu(x[:, 3:])

    x = torch.randn(2, 6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 3
    found, out = relevances(Twice(), x)
    torch.testing.assert_close(found[:, :3].sum((1, 2)), out.sum((1, 2)) / 2)
    torch.testing.assert_close(found[:, 3:].sum((1, 2)), out.sum((1, 2)) / 2)


@pytest.mark.parametrize("how", ["linear", "conv", "norm", "normalize"])
def test_inputs_that_are_named_are_met(how):
    torch.manual_seed(0)
    weight = torch.randn(4, 6, dtype=torch.float64)
    kinds = {
        "linear": lambda a: functional.linear(**a, weight=weight),
        "conv": lambda a: functional.conv1d(**a, weight=weight[:, :3, None]),
        "norm": lambda a: functional.layer_norm(**a, normalized_shape=(6,)) * weight[0],
        "normalize": lambda a: functional.normalize(**a, dim=-1),
    }
    placed = {
        "linear": lambda v: functional.linear(v, weight),
        "conv": lambda v: functional.conv1d(v, weight[:, :3, None]),
        "norm": lambda v: functional.layer_norm(v, (6,)) * weight[0],
        "normalize": lambda v: functional.normalize(v, dim=-1),
    }

    class Net(nn.Module):
        def __init__(self, run):
            super().__init__()
            self.run = run

        def forward(self, x):
            return self.run(torch.relu(x))

    x = torch.randn(2, 3, 6, dtype=torch.float64)
    found, out = relevances(Net(lambda v: kinds[how]({"input": v})), x, 0.1, 0.25)
    expected, _ = relevances(Net(placed[how]), x, 0.1, 0.25)
    torch.testing.assert_close(found, expected)
    if how == "normalize":
        torch.testing.assert_close(found, out)
    else:
        plain = x.clone().requires_grad_(True)
        (gradient,) = torch.autograd.grad(Net(placed[how])(plain).sum(), plain)
        assert not torch.allclose(found, gradient * x, rtol=1e-3, atol=1e-6)
