from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch
from captum.attr import DeepLift
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from otoscope.core.errors import UnsupportedError
from otoscope.surgery import rescale
from reference import backward as slow


def pair(*shape, seed=0, low=-2.0, high=2.0):
    rng = torch.Generator().manual_seed(seed)
    return tuple(low + (high - low) * torch.rand(*shape, generator=rng, dtype=torch.float64) for _ in range(2))


def multipliers(run, x, r):
    """Contributions of the elements of ``x`` to the sum of the output, and how much that changed."""
    x = x.detach().clone().requires_grad_(True)
    with rescale(lambda: run(r)) as before:
        out = run(x)
        (found,) = torch.autograd.grad(out.sum(), x)
    return found, out.detach(), before


def assert_complete(run, x, r, tolerance=1e-9):
    found, out, before = multipliers(run, x, r)
    change = float((out - before).sum())
    assert torch.isfinite(found).all()
    assert math.isclose(float((found * (x - r)).sum()), change, rel_tol=tolerance, abs_tol=tolerance), change
    torch.testing.assert_close(out, run(x), rtol=0, atol=0)


ONE = {
    name: getattr(torch, name)
    for name in ("relu", "sigmoid", "tanh", "exp", "expm1", "square", "abs", "selu", "sin", "erf", "reciprocal")
} | {
    name: getattr(functional, name)
    for name in ("hardswish", "hardsigmoid", "silu", "gelu", "elu", "relu6", "leaky_relu", "softplus", "mish", "logsigmoid",
                 "hardtanh", "softsign", "tanhshrink", "celu")
} | {
    "clamp": lambda x: x.clamp(-0.5, 1), "clamp_min": lambda x: x.clamp_min(0.3), "pow 3": lambda x: x**3,
    "2 over": lambda x: 2 / x, "2 to the": lambda x: 2**x, "gelu tanh": lambda x: functional.gelu(x, approximate="tanh"),
    "prelu": lambda x: functional.prelu(x, torch.tensor([0.2], dtype=torch.float64)), "x times x": lambda x: x * x,
}  # fmt: skip
POSITIVE = {n: getattr(torch, n) for n in ("log", "log10", "log2", "log1p", "sqrt", "rsqrt")} | {
    "root": lambda x: x**0.5
}


@pytest.mark.parametrize("name", [*ONE, *POSITIVE])
def test_an_elementwise_function_has_the_slope_between_both(name):
    run, low = (ONE | POSITIVE)[name], -2.0 if name in ONE else 0.01
    x, r = pair(3, 7, low=low)
    found, out, before = multipliers(run, x, r)
    torch.testing.assert_close(found, (out - before) / (x - r))


@pytest.mark.parametrize("name", [*ONE, *POSITIVE])
def test_where_nothing_changes_it_is_the_derivative(name):
    run, low = (ONE | POSITIVE)[name], -2.0 if name in ONE else 0.01
    x, _ = pair(3, 7, low=low)
    plain = x.clone().requires_grad_(True)
    (expected,) = torch.autograd.grad(run(plain).sum(), plain)
    torch.testing.assert_close(multipliers(run, x, x)[0], expected)
    torch.testing.assert_close(multipliers(run, x, x * (1 + 1e-6))[0], expected, rtol=1e-4, atol=1e-4)


def test_infinite_derivatives_at_silence_do_not_spread():
    zero = torch.zeros(2, 3, dtype=torch.float64)
    for run in (torch.sqrt, torch.abs, lambda v: (v * v).clamp_min(1e-10).log10(), lambda v: v**0.5):
        assert torch.isfinite(multipliers(run, zero, zero)[0]).all()


def kernel_from_input(x):
    """Clips side by side as channels of one, each with a kernel of its own."""
    kernel = x.mean(1, keepdim=True)[..., :2].sin().repeat(1, 3, 1)
    return functional.conv1d(x.reshape(1, 6, 5), kernel, groups=2)


W = torch.randn(4, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
SEVERAL = {
    "gate": lambda x: x * x.mean(-1, keepdim=True).sigmoid(),
    "gate in place": lambda x: (x + 0).mul_(x.mean(-1, keepdim=True).sigmoid()),
    "quotient": lambda x: x / (1 + x.square().sum(-1, keepdim=True)),
    "matmul": lambda x: x @ (x @ W.T @ W).mT,
    "bmm": lambda x: torch.bmm(x.tanh(), x.mT),
    "einsum": lambda x: torch.einsum("bij,bkj->bik", x, x.exp()),
    "softmax": lambda x: x.softmax(-1) * torch.arange(5.0),
    "log softmax": lambda x: functional.log_softmax(x, -1)[..., :2],
    "far softmax": lambda x: (60 * x).softmax(-1) * torch.arange(5.0),
    "attention": lambda x: functional.scaled_dot_product_attention(x, 2 * x.tanh(), x.square()),
    "causal": lambda x: functional.scaled_dot_product_attention(x, x, x, is_causal=True),
    "masked": lambda x: functional.scaled_dot_product_attention(x, x, x, torch.tril(torch.ones(3, 3)).bool()),
    "layer norm": lambda x: functional.layer_norm(x, (5,), W[0], W[1]) * torch.arange(5.0),
    "rms norm": lambda x: functional.rms_norm(x, (5,), W[0]),
    "group norm": lambda x: functional.group_norm(x.mT, 1, W[0], W[1]) * torch.arange(3.0),
    "glu": lambda x: functional.glu(x[..., :4], -1),
    "maximum": lambda x: torch.maximum(x, x.flip(-1).sin()),
    "minimum": lambda x: torch.minimum(x, 0.3 - x),
    "amax": lambda x: x.amax(-1),
    "amax over two": lambda x: x.amax((1, 2), keepdim=True),
    "max": lambda x: x.max(1).values,
    "max pool 1d": lambda x: functional.max_pool1d(x, 2),
    "max pool 2d": lambda x: functional.max_pool2d(x[:, None], 2, stride=1, padding=1),
    "adaptive max pool": lambda x: functional.adaptive_max_pool2d(x[:, None], (2, 3)),
    "addcmul": lambda x: torch.addcmul(x.tanh(), x, x.mean(-1, keepdim=True), value=0.5),
    "kernel from the input": kernel_from_input,
    "logsumexp": lambda x: x.logsumexp(-1),
    "logsumexp over two": lambda x: torch.logsumexp(20 * x, (0, 2), keepdim=True),
    "normalize": lambda x: functional.normalize(x, dim=-1) * torch.arange(5.0),
    "normalize, named": lambda x: functional.normalize(input=x + 1, p=2.0, dim=1, eps=1e-3) * torch.arange(5.0),
    "prod": lambda x: x.prod(-1),
    "prod, kept": lambda x: x.prod(1, keepdim=True) * torch.arange(5.0),
    "prod of all": lambda x: x[:, :1, :3].prod(),
    "cumprod": lambda x: x.cumprod(2) * torch.arange(5.0),
    "named relu": lambda x: functional.relu(input=x) * torch.tanh(input=x),
    "named relu in place": lambda x: functional.relu(input=x * 1, inplace=True).mul(x.sum(-1, keepdim=True).cos()),
    "named softmax": lambda x: torch.softmax(input=x, dim=-1) * torch.arange(5.0),
    "named matmul": lambda x: torch.matmul(input=x, other=x.mT.exp()),
    "named layer norm": lambda x: functional.layer_norm(input=x, normalized_shape=(5,)) * torch.arange(5.0),
    "named group norm": lambda x: functional.group_norm(input=x.mT, num_groups=1) * torch.arange(3.0),
    "named addcmul": lambda x: torch.addcmul(x.tanh(), tensor1=x, tensor2=x.cos(), value=0.5),
    "named pool": lambda x: functional.max_pool1d(input=x, kernel_size=2),
    "named amax": lambda x: torch.amax(input=x, dim=(1, 2)),
    "linear from the input": lambda x: functional.linear(x, x.mean((0, 1)).exp().outer(W[:, 0]).mT, x.mean((0, 1))[:4]),
    "spectrum": lambda x: torch.fft.rfft(x).abs(),
    "power in decibels": lambda x: (lambda s: 10 * (s.real.square() + s.imag.square()).clamp_min(1e-10).log10())(torch.fft.rfft(x)),
    "relu in place": lambda x: functional.relu(x * 1, inplace=True).mul(x.sum(-1, keepdim=True).cos()),
}  # fmt: skip


@pytest.mark.parametrize("name", SEVERAL)
@given(seed=st.integers(0, 10_000), silent=st.booleans())
@settings(max_examples=8, deadline=None)
def test_contributions_sum_to_the_change_of_the_output(name, seed, silent):
    x, r = pair(2, 3, 5, seed=seed)
    assert_complete(SEVERAL[name], x, 0 * r if silent else r, 1e-8)


@pytest.mark.parametrize("name", SEVERAL)
def test_at_the_reference_itself_it_is_the_gradient(name):
    x, _ = pair(2, 3, 5)
    plain = x.clone().requires_grad_(True)
    (expected,) = torch.autograd.grad(SEVERAL[name](plain).sum(), plain)
    torch.testing.assert_close(multipliers(SEVERAL[name], x, x)[0], expected, rtol=1e-6, atol=1e-9)


def test_two_layers_are_the_slow_twins():
    rng = np.random.default_rng(3)
    x, r, first, second = rng.normal(size=5), rng.normal(size=5), rng.normal(size=(7, 5)), rng.normal(size=(2, 7))
    expected = slow.rescale_two_layers(x, r, first, second, math.tanh)
    first, second = torch.from_numpy(first), torch.from_numpy(second)
    for k in range(2):
        found, _, _ = multipliers(lambda v: second[k] @ torch.tanh(first @ v), *map(torch.from_numpy, (x, r)))  # noqa: B023
        np.testing.assert_allclose(found, expected[k])


def test_a_maximum_is_credited_where_it_is_or_was():
    x, r = torch.tensor([[1.0, 5.0, 2.0]]), torch.tensor([[3.0, 4.0, 0.0]])
    np.testing.assert_allclose(multipliers(lambda v: v.amax(1), x, r)[0], [[0, 1, 0]])
    found, _, _ = multipliers(lambda v: v.amax(1), r, torch.tensor([[0.0, 1.0, 6.0]]))
    np.testing.assert_allclose(found, [[0, 0, 2 / 6]])  # it fell from 6 to 4; what was highest fell by 6


NETWORKS = {
    "smooth and not": lambda: [
        nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(6, 4, 3), nn.Tanh(), nn.Flatten(),
        nn.Linear(4 * 2 * 3, 8), nn.Sigmoid(), nn.Linear(8, 1),
    ],
    "maximum": lambda: [nn.Conv2d(1, 6, 3), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(6 * 4 * 5, 1)],
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_of_modules_is_captums(name):
    """Of pooling only where nothing nonlinear follows: captum's own contributions do not sum up behind that."""
    torch.manual_seed(0)
    net = nn.Sequential(*NETWORKS[name]()).eval().double()
    x, r = pair(2, 1, 10, 12)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # captum's own
        expected = DeepLift(net).attribute(x, r)
    found, _, _ = multipliers(net, x, r)
    torch.testing.assert_close(found * (x - r), expected.detach())
    assert_complete(net, x, r)


def test_memory_that_is_used_again_is_not_mistaken_for_the_reference():
    def run(v):
        y = v * 1
        z = torch.sigmoid(y)  # remembers y
        y += 3
        y[..., 0] = 0
        y.clamp_(-1, 4)
        return z * y.exp()

    assert_complete(run, *pair(2, 3, 5))


def test_constants_that_are_kept_after_the_first_pass_are_passed_over():
    kept = {}

    def run(v):
        if "window" not in kept:
            kept["window"] = torch.linspace(1, 2, 5, dtype=torch.float64).sqrt().exp()
        return (v * kept["window"]).sqrt().exp()

    assert_complete(run, *pair(2, 3, 5, low=0.1))


def test_a_chain_that_takes_other_steps_is_refused():
    def run(v):
        return v.exp() if v.sum() > 0 else v.tanh()

    with pytest.raises(
        UnsupportedError, match=r"runs other operations on a clip than on its reference \(tanh of shapes"
    ):
        multipliers(run, -torch.ones(3), torch.ones(3))
    with pytest.raises(UnsupportedError, match="use integrated_gradients"):
        multipliers(lambda v: v.exp() if v.sum() > 0 else v[:2].exp(), -torch.ones(3), torch.ones(3))


@pytest.mark.parametrize("name", ["where", "sort", "lstm"])
def test_what_has_no_rule_passes_its_plain_gradient(name):
    lstm = nn.LSTM(5, 4, batch_first=True).double()
    run = {
        "where": lambda v: torch.where(v > 0, 3 * v, v),
        "sort": lambda v: v.sort(-1).values[..., :2], "lstm": lambda v: lstm(v)[0],
    }[name]  # fmt: skip
    x, r = pair(2, 3, 5)
    plain = x.clone().requires_grad_(True)
    (expected,) = torch.autograd.grad(run(plain).sum(), plain)
    torch.testing.assert_close(multipliers(run, x, r)[0], expected)
