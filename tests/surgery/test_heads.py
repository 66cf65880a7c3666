"""Heads of self-attention: what is recorded is each head's own output, and the pass is as it was."""

import pytest
import torch
from torch import nn

from otoscope.classifiers import build
from otoscope.classifiers.layer_features import layer_features
from otoscope.classifiers.layer_maps import record_layer_maps
from otoscope.core.errors import UnknownNameError, UnsupportedError
from otoscope.surgery import HEADS, count_heads, layers_with_heads, output_of, record_layer, record_layers


def attended(x: torch.Tensor, qkv_weight: torch.Tensor, qkv_bias: torch.Tensor, heads: int) -> torch.Tensor:
    """Slow twin in float64: ``(batch, token, dim)`` -> the same, head by head, clip by clip."""
    x, dim = x.double(), x.shape[2]
    q, k, v = (x @ qkv_weight.double().T + qkv_bias.double()).split(dim, 2)
    out, width = torch.zeros_like(x), dim // heads
    for clip in range(len(x)):
        for h in range(heads):
            own = slice(h * width, (h + 1) * width)
            scores = q[clip, :, own] @ k[clip, :, own].T / width**0.5
            out[clip, :, own] = scores.softmax(1) @ v[clip, :, own]
    return out


def test_heads_of_passt_are_those_of_the_definition():
    torch.manual_seed(0)
    model = build("passt", 4, settings={"dim": 24, "depth": 2, "heads": 3}).eval()
    block = model.network.blocks[1]
    wave = 0.1 * torch.randn(2, 32000)
    with torch.no_grad(), record_layers(model.network, ["blocks.1.norm1", "blocks.1.attn", "blocks.1.attn:heads"]) as s:
        model(wave)
    (given,), (mixed,), (heads,) = s.values()
    expected = attended(given, block.attn.qkv.weight, block.attn.qkv.bias, 3)
    torch.testing.assert_close(heads.double(), expected, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(block.attn.proj(heads), mixed)


@pytest.mark.parametrize("batch_first", [True, False])
def test_heads_of_torch_attention(batch_first):
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(12, 4, 16, batch_first=batch_first, dropout=0.0)
    net = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).eval()
    x = torch.randn(3, 7, 12)
    attention = net.layers[0].self_attn
    with torch.no_grad():
        plain = net(x)
        with record_layer(net, "layers.0.self_attn:heads") as seen:
            watched = net(x)
        torch.testing.assert_close(watched, plain, rtol=1e-5, atol=1e-6)
        tokens = x if batch_first else x.transpose(0, 1)
        expected = attended(tokens, attention.in_proj_weight, attention.in_proj_bias, 4)
        torch.testing.assert_close(seen[0].double(), expected, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(output_of(net, "layers.0.self_attn:heads", x), seen[0])
        assert torch.equal(net(x), plain)
    assert not any(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in net.modules())


def test_only_the_asked_module_is_heard():
    net = nn.TransformerEncoder(nn.TransformerEncoderLayer(12, 4, 16, batch_first=True), 3, enable_nested_tensor=False)
    with record_layer(net, "layers.1.self_attn:heads") as seen:
        net(torch.randn(1, 5, 12))
    assert len(seen) == 1


def test_the_decision_depends_on_recorded_heads():
    net = nn.Sequential(nn.TransformerEncoderLayer(12, 4, 16, batch_first=True, dropout=0.0), nn.Linear(12, 1)).eval()
    with record_layer(net, "0.self_attn:heads") as seen:
        logits = net(torch.randn(1, 5, 12, requires_grad=True))
    (gradient,) = torch.autograd.grad(logits.sum(), seen[0])
    assert float(gradient.abs().max()) > 1e-4


def test_a_failing_pass_leaves_no_hook():
    net = nn.Sequential(nn.TransformerEncoderLayer(12, 4, 16, batch_first=True))
    with pytest.raises(AssertionError, match="embedding"), record_layer(net, "0.self_attn:heads"):
        net(torch.randn(1, 5, 13))
    assert not any(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in net.modules())


def test_a_head_is_a_feature():
    torch.manual_seed(1)
    model = build("passt", 4, settings={"dim": 24, "depth": 2, "heads": 3}).eval()
    with torch.no_grad():
        qkv = model.network.blocks[0].attn.qkv
        qkv.weight[48 + 8 : 48 + 16], qkv.bias[48 + 8 : 48 + 16] = 0, 0  # the values of head 1
    name = f"blocks.0.attn{HEADS}"
    heard = layer_features(model, name)
    assert heard.labels == tuple(f"{name}[{i}]" for i in range(3))
    wave = 0.1 * torch.randn(1, 32000)
    change = record_layer_maps(model, wave, [name])[name] - record_layer_maps(model, 0 * wave, [name])[name]
    assert change.shape[:4] == (1, 3, 8, 12)  # head, its channels, rows of patches
    assert float(change[:, 1].abs().max()) == 0
    logits = heard(wave)[0]
    reference = heard.network.reference
    expected = change[0].square().flatten(1).mean(1).sqrt() / reference
    torch.testing.assert_close(logits.exp()[[0, 2]], expected[[0, 2]], rtol=1e-3, atol=0)
    assert float(logits[1].detach()) < -9


class Odd(nn.Module):
    """Says that it has heads, which do not divide its width."""

    def __init__(self, heads):
        super().__init__()
        self.num_heads, self.proj = heads, nn.Linear(12, 12)


@pytest.mark.parametrize("heads", [5, 0, -1, True, 2.0, "4"])
def test_what_only_looks_like_attention(heads):
    assert layers_with_heads(nn.Sequential(Odd(heads))) == []
    assert layers_with_heads(nn.Sequential(Odd(4))) == ["0:heads"]


def test_a_projection_that_others_share_and_keywords():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = Odd(4), Odd(4)
            self.second.proj = self.first.proj
            for module in (self.first, self.second):
                module.forward = lambda x, m=module: m.proj(input=x)

        def forward(self, x):
            return self.second(2 * self.first(x))

    net, x = Block(), torch.randn(1, 5, 12)
    with record_layers(net, ["first:heads", "second:heads"]) as seen:
        net(x)
    (first,), (second,) = seen.values()
    assert torch.equal(first, x)
    torch.testing.assert_close(second, 2 * net.first.proj(x))


def test_names():
    model = build("passt", 4, settings={"dim": 24, "depth": 2, "heads": 3})
    assert layers_with_heads(model.network) == ["blocks.0.attn:heads", "blocks.1.attn:heads"]
    assert model.layers()["blocks.1.attn:heads"] == "token channel"
    assert [count_heads(model.network, n) for n in ("blocks.0.attn:heads", "blocks.0.attn")] == [3, 0]
    with pytest.raises(UnsupportedError, match=r"'blocks\.1\.mlp' has no heads that can be read"):
        layer_features(model, "blocks.1.mlp:heads")
    with pytest.raises(UnknownNameError, match=r"did you mean 'blocks\.1\.attn:heads'"):
        layer_features(model, "blocks.1.att:heads")
