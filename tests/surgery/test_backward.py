from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from otoscope.surgery import deconvolved, guided, relevance, rescale
from reference import backward as slow

SMOOTH = {
    "hardswish": functional.hardswish, "silu": functional.silu, "gelu": functional.gelu, "elu": functional.elu,
    "softplus": functional.softplus, "leaky": functional.leaky_relu, "mish": functional.mish, "relu6": functional.relu6,
}  # fmt: skip


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def gradient_of(run, x):
    x = x.detach().clone().requires_grad_(True)
    out = run(x)
    return torch.autograd.grad(out.sum(), x)[0], out.detach()


def test_guided_is_the_slow_twins(rng):
    x, first, second = (torch.from_numpy(rng.normal(size=s)) for s in (5, (9, 5), 9))
    for relu in (torch.relu, functional.relu, nn.ReLU(), torch.Tensor.relu, nn.ReLU(inplace=True), torch.relu_):
        with guided():
            found, _ = gradient_of(lambda v: relu(first @ v) @ second, x)  # noqa: B023
        np.testing.assert_allclose(found, slow.guided_two_layers(x.numpy(), first.numpy(), second.numpy()))


@pytest.mark.parametrize("name", SMOOTH)
def test_guided_treats_smooth_rectifiers_as_said(name):
    x, run = torch.linspace(-4, 4, 33, dtype=torch.float64), SMOOTH[name]
    for sign in (1, -1):
        with guided():
            found, value = gradient_of(lambda v: sign * run(v), x)  # noqa: B023
        plain, expected = gradient_of(run, x)
        torch.testing.assert_close(found, plain * (x > 0) * (sign > 0))
        torch.testing.assert_close(value, sign * expected, rtol=0, atol=0)


def test_what_is_no_rectifier_keeps_its_gradient_under_guided():
    x = torch.linspace(-2, 2, 9)
    for run in (torch.sigmoid, torch.tanh, torch.abs, lambda v: v.clamp(-1, 1), lambda v: v * v):
        with guided():
            found, _ = gradient_of(lambda v: -run(v), x)  # noqa: B023
        torch.testing.assert_close(found, gradient_of(lambda v: -run(v), x)[0])  # noqa: B023


class Everything(nn.Module):
    """Functional and modular, in place and not, gates, pools, norms, attention."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.act = nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.Hardswish(inplace=True)
        self.gate, self.attend = nn.Linear(6, 6), nn.MultiheadAttention(6, 2, batch_first=True)
        self.layer_norm, self.out = nn.LayerNorm(6), nn.Linear(6, 3)

    def forward(self, x):
        x = self.act(self.norm(self.conv(x)))
        x = x * torch.sigmoid(self.gate(x.mean((2, 3))))[:, :, None, None]
        x += 0.1
        x = functional.max_pool2d(x, 2).flatten(2).transpose(1, 2)
        x = self.layer_norm(x + self.attend(x, x, x, need_weights=False)[0])
        x = functional.relu(x, inplace=True)
        x = x / (1 + x.amax(1, keepdim=True))
        return self.out(x.mean(1) ** 2).softmax(-1).clamp_min(1e-3).log()


def rule_sets(net, x):
    return {
        "guided": guided(),
        "rescale": rescale(lambda: net(0 * x)),
        "relevance": relevance(net, lambda: net(0 * x), 0.01, 0.25),
    }


@pytest.fixture
def net():
    torch.manual_seed(0)
    return Everything().eval().requires_grad_(False).double()


@pytest.mark.parametrize("name", ["guided", "rescale", "relevance"])
def test_forward_values_are_exactly_the_same_and_gradients_are_not(net, name):
    x = torch.randn(2, 1, 8, 6, dtype=torch.float64)
    plain, expected = gradient_of(net, x)
    with rule_sets(net, x)[name]:
        found, value = gradient_of(net, x)
    assert torch.equal(value, expected)
    assert not torch.allclose(found, plain, rtol=1e-2)
    assert torch.isfinite(found).all()
    again, value = gradient_of(net, x)
    assert torch.equal(again, plain)
    assert torch.equal(value, expected)


class Stop(Exception):
    pass


@pytest.mark.parametrize("error", [Stop, KeyboardInterrupt])
@pytest.mark.parametrize("name", ["guided", "rescale", "relevance"])
def test_after_an_error_everything_is_as_before(net, name, error):
    x = torch.randn(2, 1, 8, 6, dtype=torch.float64)
    plain, _ = gradient_of(net, x)
    state = {k: v.clone() for k, v in net.state_dict().items()}

    def fails():
        with rule_sets(net, x)[name]:
            net(x)
            raise error

    with pytest.raises(error):
        fails()
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())
    assert all(torch.equal(v, state[k]) for k, v in net.state_dict().items())
    assert torch.equal(gradient_of(net, x)[0], plain)


def test_an_error_in_the_reference_pass_leaves_nothing_behind(net):
    def fails():
        raise Stop

    for rules in (rescale(fails), relevance(net, fails, 0.01, 0.25)):
        with pytest.raises(Stop), rules:
            pass
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())
    x = torch.ones(3, requires_grad=True)
    assert torch.relu(x).grad_fn.name() == "ReluBackward0"


@pytest.mark.parametrize("name", ["guided", "rescale", "relevance"])
def test_in_place_functions_change_what_they_are_given(name):
    """A skip that is added after an in-place activation must see the activated values, as without the rules."""
    seen = []

    def run(v):
        y = v * 1
        seen.append((torch.relu_(y) is y, y.clone()))
        seen.append((functional.hardswish(y, inplace=True) is y, y.clone()))
        y *= 2
        return y + y

    x = torch.randn(4, 5)
    with rule_sets(run, x)[name] if name != "relevance" else relevance(nn.Identity(), lambda: run(0 * x), 0, 0):
        seen.clear()
        _, value = gradient_of(run, x)
    assert [same for same, _ in seen] == [True, True]
    assert torch.equal(seen[0][1], x.relu())
    assert torch.equal(seen[1][1], functional.hardswish(x.relu()))
    assert torch.equal(value, 4 * functional.hardswish(x.relu()))


@pytest.mark.parametrize("options", [{}, {"inplace": True}])
def test_inputs_that_are_named_are_met(options):
    x = torch.linspace(-2, 2, 9)
    for run in (functional.relu, functional.silu, functional.hardswish):
        with guided():
            named, value = gradient_of(lambda v: -run(input=v * 1, **options), x)  # noqa: B023
            placed, expected = gradient_of(lambda v: -run(v * 1), x)  # noqa: B023
        assert not placed.any()
        assert torch.equal(named, placed)
        assert torch.equal(value, expected)


def test_the_input_of_where_keeps_its_place():
    x = torch.linspace(-2, 2, 9)
    for rules in (guided, lambda: rescale(lambda: torch.where(condition=x > 0, input=x, other=-x))):
        with rules():
            found, value = gradient_of(lambda v: torch.where(condition=v > 0, input=v, other=-v), x)
        np.testing.assert_array_equal(value, x.abs())
        np.testing.assert_array_equal(found, torch.where(x > 0, 1.0, -1.0))


@pytest.mark.parametrize("name", ["relu", "silu", "hardswish"])
def test_deconvolution_rectifies_what_comes_back(name):
    x = torch.tensor([-2.0, -0.5, 0.5, 2.0], requires_grad=True)
    function = getattr(torch.nn.functional, name)
    with deconvolved():
        y = function(x)
    torch.testing.assert_close(y, function(x).detach())
    y.backward(torch.tensor([1.0, -1.0, -2.0, 3.0]))
    assert x.grad.tolist() == [1.0, 0.0, 0.0, 3.0]
