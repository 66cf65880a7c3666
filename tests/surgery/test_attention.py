"""Attention is seen whole, in every way that torch computes it; outputs, gradients and the model are as without."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import otoscope
from hf_models import save_model, signal
from otoscope.surgery import record_attention
from reference import attention as slow

N, HEADS, DIM = 7, 2, 6


class Own(nn.Module):
    """Queries, keys and values as they come, ``(batch, head, token, dim)``, and one way to attend."""

    def __init__(self, attend):
        super().__init__()
        self.attend = attend

    def forward(self, *given):
        return self.attend(*given)


def qkv(batch=3, seed=0, n=N, heads=HEADS):
    rng = torch.Generator().manual_seed(seed)
    return [torch.randn(batch, heads, n, DIM, generator=rng) for _ in range(3)]


def allowed(seed=1):
    seen = torch.rand(N, N, generator=torch.Generator().manual_seed(seed)) > 0.4
    return seen | torch.eye(N, dtype=torch.bool)


BIAS = torch.randn(3, HEADS, N, N, generator=torch.Generator().manual_seed(2))
WAYS = {
    "plain": {},
    "scale": {"scale": 0.7},
    "bias": {"attn_mask": BIAS},
    "allowed": {"attn_mask": allowed()},
    "causal": {"is_causal": True},
}


@pytest.mark.parametrize("way", WAYS)
def test_the_output_is_as_without_and_is_the_weights_times_the_values(way):
    q, k, v = qkv()
    model = Own(lambda *x: functional.scaled_dot_product_attention(*x, **WAYS[way]))
    with record_attention(model) as seen:
        found = model(q, k, v)
    torch.testing.assert_close(found, model(q, k, v), rtol=1e-5, atol=1e-6)
    assert seen[0].weights.shape == (3, HEADS, N, N)
    torch.testing.assert_close(seen[0].weights.sum(-1), torch.ones(3, HEADS, N))
    torch.testing.assert_close(seen[0].weights @ v, found)


@pytest.mark.parametrize("biased", [False, True])
def test_the_weights_are_the_slow_twins(biased):
    q, k, v = qkv()
    with record_attention(Own(None)) as seen:
        functional.scaled_dot_product_attention(q, k, v, BIAS if biased else None)
    for clip in range(3):
        for head in range(HEADS):
            mask = BIAS[clip, head].numpy() if biased else None
            expected = slow.attention_weights(q[clip, head].numpy(), k[clip, head].numpy(), mask)
            np.testing.assert_allclose(seen[0].weights[clip, head].detach(), expected, rtol=1e-5, atol=1e-7)


def test_who_may_look_at_nothing_gets_nothing_as_in_torch():
    q, k, v = qkv()
    nothing = allowed()
    nothing[2] = False
    with record_attention(Own(None)) as seen:
        found = functional.scaled_dot_product_attention(q, k, v, nothing)
    torch.testing.assert_close(found, functional.scaled_dot_product_attention(q, k, v, nothing), rtol=1e-5, atol=1e-6)
    assert not seen[0].weights[:, :, 2].any()


def test_heads_that_share_keys():
    (q, _, _), (_, k, v) = qkv(heads=4), qkv(heads=2)
    with record_attention(Own(None)) as seen:
        found = functional.scaled_dot_product_attention(q, k, v, enable_gqa=True)
    torch.testing.assert_close(found, functional.scaled_dot_product_attention(q, k, v, enable_gqa=True))
    assert seen[0].weights.shape == (3, 4, N, N)


MANY = {
    "plain": ({}, {}),
    "batch second": ({"batch_first": False}, {}),
    "no bias": ({"bias": False}, {}),
    "other sizes": ({"kdim": 5, "vdim": 3}, {}),
    "weights wanted": ({}, {"need_weights": True}),
    "weights of heads wanted": ({}, {"need_weights": True, "average_attn_weights": False}),
    "padding": ({}, {"key_padding_mask": torch.arange(N).expand(3, N) > 4}),
    "allowed": ({}, {"attn_mask": ~allowed()}),
}


@pytest.mark.parametrize("way", MANY)
def test_multihead_attention_is_seen_too(way):
    torch.manual_seed(0)
    made, asked = MANY[way]
    made, asked = {"batch_first": True, **made}, {"need_weights": False, **asked}
    layer = nn.MultiheadAttention(8, HEADS, **made).eval()
    shape = (3, N) if made["batch_first"] else (N, 3)
    given = [torch.randn(*shape, size) for size in (8, made.get("kdim", 8), made.get("vdim", 8))]
    expected = layer(*given, **asked)
    own = layer(*given, **{**asked, "need_weights": True, "average_attn_weights": False})[1]
    with record_attention(layer) as seen:
        found = layer(*given, **asked)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(seen[0].weights, own)
    assert len(seen) == 1


@pytest.mark.parametrize("biased", [True, False])
def test_gradients_by_multihead_attention_are_those_of_what_it_gives(biased):
    """The output is linear in the weights: gradient times weights is the output, but for the bias."""
    torch.manual_seed(0)
    layer = nn.MultiheadAttention(8, HEADS, batch_first=True, bias=biased).eval()
    x, voice = torch.randn(3, N, 8), torch.randn(3, N, 8)
    with record_attention(layer) as seen:
        out = layer(x, x, x, need_weights=False)[0]
    (gradient,) = torch.autograd.grad((out * voice).sum(), seen[0].weights)
    rest = (voice * layer.out_proj.bias).sum() if biased else 0
    torch.testing.assert_close((gradient * seen[0].weights).sum(), (out * voice).sum() - rest)


@pytest.mark.parametrize("grad", [True, False])
def test_torchs_own_encoder_gives_up_its_fast_path(grad):
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, HEADS, 12, batch_first=True)
    model = nn.TransformerEncoder(layer, 3, enable_nested_tensor=False).eval().requires_grad_(False)
    x = torch.randn(2, N, 8)
    with torch.set_grad_enabled(grad):
        expected = model(x)
        with record_attention(model) as seen:
            found = model(x)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert [s.layer for s in seen] == [f"layers.{i}.self_attn" for i in range(3)]
    assert found.requires_grad is grad


def test_the_layer_is_the_innermost_module_that_was_running():
    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.child, self.own = nn.Linear(DIM, DIM), Own(functional.scaled_dot_product_attention)

        def forward(self, x):
            x = self.own(*[self.child(x)] * 3)
            return functional.scaled_dot_product_attention(x, x, x)

    model = nn.Sequential(nn.Identity(), Outer())
    with record_attention(model) as seen:
        model(qkv()[0])
    assert [layer.layer for layer in seen] == ["1.own", "1"]


SOFTMAX = {
    "functional": lambda s: functional.softmax(s, dim=-1),
    "positional": lambda s: functional.softmax(s, 3),
    "wider": lambda s: functional.softmax(s, dim=-1, dtype=torch.float64),
    "torch": lambda s: torch.softmax(s, -1),
    "method": lambda s: s.softmax(-1),
    "module": nn.Softmax(-1),
}


@pytest.mark.parametrize("way", SOFTMAX)
def test_an_open_softmax_is_seen(way):
    q, k, v = qkv()
    model = Own(lambda q, k, v: SOFTMAX[way](q @ k.transpose(2, 3) / DIM**0.5).to(v.dtype) @ v)
    with record_attention(model) as seen:
        found = model(q, k, v)
    torch.testing.assert_close(found, functional.scaled_dot_product_attention(q, k, v), rtol=1e-5, atol=1e-6)
    (gradient,) = torch.autograd.grad(found.sum(), seen[0].weights)
    torch.testing.assert_close(gradient.float(), v.sum(-1)[:, :, None].expand(-1, -1, N, -1))


def test_what_follows_an_open_softmax_may_change_it_in_place():
    q, k, v = qkv()
    model = Own(lambda q, k, v: (q @ k.transpose(2, 3)).softmax(-1).mul_(2.0) @ v)
    expected = model(q, k, v)
    with record_attention(model) as seen:
        torch.testing.assert_close(model(q, k, v), expected)
    torch.testing.assert_close(seen[0].weights.sum(-1), torch.ones(3, HEADS, N))


OTHERS = {
    "cross attention": lambda: functional.scaled_dot_product_attention(*qkv(n=3)[:1], *qkv(n=5)[1:]),
    "three axes": lambda: torch.zeros(3, N, N).softmax(-1),
    "over classes": lambda: torch.zeros(3, 10).softmax(1),
    "over channels": lambda: torch.zeros(3, HEADS, N, N).softmax(1),
    "not square": lambda: torch.zeros(3, HEADS, N, N + 1).softmax(-1),
    "a memory": lambda: nn.MultiheadAttention(8, 2, add_bias_kv=True)(*[torch.zeros(N, 1, 8)] * 3),
}


@pytest.mark.parametrize("other", OTHERS)
def test_what_is_no_attention_among_tokens_is_let_through(other):
    torch.manual_seed(0)
    expected = OTHERS[other]()
    torch.manual_seed(0)
    with record_attention(Own(None)) as seen:
        found = OTHERS[other]()
    assert not seen
    torch.testing.assert_close(found, expected)


def test_what_is_kept_is_up_to_the_caller():
    with record_attention(Own(None), lambda w: w.mean(1)) as seen:
        functional.scaled_dot_product_attention(*qkv())
    assert seen[0].weights.shape == (3, N, N)


def test_gradients_are_those_without():
    q, k, v = (x.requires_grad_(True) for x in qkv())
    voice = torch.randn(3, HEADS, N, DIM)
    expected = torch.autograd.grad((functional.scaled_dot_product_attention(q, k, v) * voice).sum(), (q, k, v))
    with record_attention(Own(None)):
        found = torch.autograd.grad((functional.scaled_dot_product_attention(q, k, v) * voice).sum(), (q, k, v))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_gradients_flow_to_weights_though_nothing_before_them_wants_any():
    with record_attention(Own(None)) as seen:
        out = functional.scaled_dot_product_attention(*qkv())
    (gradient,) = torch.autograd.grad(out.sum(), seen[0].weights)
    torch.testing.assert_close(gradient, qkv()[2].sum(-1)[:, :, None].expand(-1, -1, N, -1))
    with torch.no_grad(), record_attention(Own(None)) as seen:
        functional.scaled_dot_product_attention(*qkv())
    assert not seen[0].weights.requires_grad


def hook_tables(model):
    names = ("_forward_hooks", "_forward_pre_hooks", "_forward_hooks_always_called", "_forward_hooks_with_kwargs")
    return [(name, list(getattr(m, name).items())) for m in model.modules() for name in names]


@pytest.mark.parametrize("error", [None, RuntimeError("the fuse"), KeyboardInterrupt()])
def test_all_is_undone(error):
    def blow(*_):
        if error is not None:
            raise error

    model = nn.Sequential(nn.TransformerEncoderLayer(8, HEADS, 12, batch_first=True), Own(lambda x: x))
    model[1].register_forward_hook(blow)
    before = hook_tables(model)
    with contextlib.suppress(RuntimeError, KeyboardInterrupt), record_attention(model) as seen:
        model(torch.zeros(1, N, 8))
    assert hook_tables(model) == before
    assert torch._C._len_torch_function_stack() == 0
    count = len(seen)
    functional.scaled_dot_product_attention(*qkv())
    assert len(seen) == count == 1


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_hugging_faces_own_attentions_are_what_is_seen(tmp_path, implementation):
    pytest.importorskip("transformers")
    classifier = otoscope.load_classifier(f"hf:{save_model('ast', tmp_path / 'ast')}")
    x = torch.from_numpy(np.stack([signal(12000, seed) for seed in range(2)]))
    inner = classifier.network.model
    prepared = classifier.network.prepare(classifier.features(x))
    inner.set_attn_implementation("eager")
    with torch.no_grad():
        own = inner(**prepared, output_attentions=True)
    inner.set_attn_implementation(implementation)
    expected = classifier(x)
    with record_attention(classifier.network) as seen:
        found = classifier(x)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found, own.logits, rtol=1e-5, atol=1e-6)
    assert len(seen) == len(own.attentions) == 2
    for mine, theirs in zip(seen, own.attentions, strict=True):
        torch.testing.assert_close(mine.weights, theirs, rtol=1e-5, atol=1e-6)
        assert float(mine.weights.detach().std()) > 0
    gradients = torch.autograd.grad(found[0, 0], [s.weights for s in seen])
    assert all(float(g.abs().max()) > 0 for g in gradients)
