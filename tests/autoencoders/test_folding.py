"""A residual block on folded sound gives what it gives on plain sound."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from otoscope.autoencoders.folding import fold_weight, folded
from otoscope.autoencoders.network import Patcher, ResnetBlock, Unpatcher


def fold(x, patch):
    """``(batch, channel, time)`` -> ``(batch, channel * patch, frame)``, one sample after another."""
    batch, channels, length = x.shape
    out = torch.zeros(batch, channels * patch, length // patch, dtype=x.dtype)
    for c in range(channels):
        for place in range(patch):
            out[:, c * patch + place] = x[:, c, place::patch]
    return out


def changed(block):
    with torch.no_grad():
        for p in block.parameters():
            p += 0.3 * torch.randn(p.shape, dtype=p.dtype)
    return block.double()


@given(
    patch=st.integers(1, 16),
    n_in=st.integers(1, 4),
    n_out=st.integers(1, 4),
    frames=st.integers(1, 5),
    seed=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_a_folded_block_is_the_plain_one(patch, n_in, n_out, frames, seed):
    torch.manual_seed(seed)
    groups = [g for g in range(1, 5) if n_in % g == 0 and n_out % g == 0]
    block = changed(ResnetBlock(n_in, n_out, groups[seed % len(groups)]))
    x = torch.randn(2, n_in, patch * frames, dtype=torch.float64)
    assert torch.allclose(folded(block, fold(x, patch), patch), fold(block(x), patch), atol=1e-10)


@given(patch=st.integers(1, 16), taps=st.sampled_from((1, 3)), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_folded_weights_convolve_alike(patch, taps, seed):
    torch.manual_seed(seed)
    layer = nn.Conv1d(3, 2, taps, padding=taps // 2, bias=False).double()
    weight = fold_weight(layer.weight, patch)
    assert weight.shape == (2 * patch, 3 * patch, taps)
    x = torch.randn(1, 3, 4 * patch, dtype=torch.float64)
    made = nn.functional.conv1d(fold(x, patch), weight, padding=taps // 2)
    assert torch.allclose(made, fold(layer(x), patch), atol=1e-12)


def test_wide_kernels_reach_into_the_neighbours_alone():
    layer = nn.Conv1d(1, 1, 9, padding=4, bias=False).double()
    x = torch.randn(1, 1, 20, dtype=torch.float64)
    made = nn.functional.conv1d(fold(x, 4), fold_weight(layer.weight, 4), padding=1)
    assert torch.allclose(made, fold(layer(x), 4), atol=1e-12)


@pytest.mark.parametrize("patch", [2, 4, 16])
def test_patchers_fold_and_unfold(patch):
    torch.manual_seed(patch)
    into, out = changed(Patcher(2, 2 * patch, patch)), changed(Unpatcher(2 * patch, 2, patch))
    x = torch.randn(3, 2, 5 * patch, dtype=torch.float64)
    frames = into(x)
    assert torch.allclose(frames, fold(into.block(x), patch), atol=1e-10)
    assert torch.allclose(fold(out(frames), patch), folded(out.block, frames, patch), atol=1e-12)
    assert torch.allclose(out(fold(x, patch)), out.block(x), atol=1e-10)


def test_gradients_are_those_of_the_plain_block():
    torch.manual_seed(0)
    block = changed(ResnetBlock(2, 4, 2))
    x = torch.randn(1, 2, 12, dtype=torch.float64)
    grads = []
    for out in (block(x), folded(block, fold(x, 4), 4)):
        grads.append(torch.autograd.grad(out.square().sum(), list(block.parameters())))
    for a, b in zip(*grads, strict=True):
        assert torch.allclose(a, b, atol=1e-9)
