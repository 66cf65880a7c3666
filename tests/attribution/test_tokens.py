"""What methods on attention share: which networks are refused, where the decision is read, and where tokens lie."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import otoscope
from otoscope.attribution.tokens import class_tokens, has_place, readout
from otoscope.core.errors import UnsupportedError
from worlds import attentive, linear, spectral


class Windows(nn.Module):
    """Attention inside halves of the sound, as in hierarchical transformers."""

    def forward(self, features):
        x = features.flatten(2)[..., :64].unflatten(2, (8, 8))[:, 0].unflatten(1, (2, 4)).flatten(0, 1)[:, None]
        return nn.functional.scaled_dot_product_attention(x, x, x).flatten(1).unflatten(0, (-1, 2)).mean(1)[:, :2]


class NotTold(nn.Module):
    """A transformer that does not say where its tokens lie."""

    def forward(self, features):
        x = features[..., :12]
        return nn.functional.scaled_dot_product_attention(x, x, x).mean(2)[:, 0, :2]


def wrapped(network):
    return otoscope.wrap(network, sample_rate=16000, labels=2, frontend=spectral().frontend)


@pytest.mark.parametrize("method", ["attention_rollout", "gradient_rollout"])
@pytest.mark.parametrize(
    ("world", "words"),
    [
        (spectral, "'spectral' has no attention from tokens to tokens that can be read; use grad_cam"),
        (lambda: linear(6000), "'linear' has no attention"),
        (lambda: wrapped(Windows()), r"not go from all 4 tokens of each of 1 clips .*use grad_cam"),
        (
            lambda: wrapped(NotTold()),
            r"'NotTold' does not declare where the tokens of its network lie; give its network token_maps",
        ),
    ],
)
def test_an_unsupported_network_is_refused_with_advice(ask, values, noise, world, words, method):
    with pytest.raises(UnsupportedError, match=words):
        values(ask(world(), noise(6000), "mel"), method)


def test_an_attention_in_a_kernel_of_its_own_is_named(ask, values, noise):
    world = spectral()
    world.network.model = nn.Identity()
    world.network.model.config = type("Config", (), {"_attn_implementation": "flash_attention_2"})()
    with pytest.raises(UnsupportedError, match="is 'flash_attention_2': load it with attn_implementation='sdpa'"):
        values(ask(world, noise(6000), "mel"), "attention_rollout")


@pytest.mark.parametrize(("own", "expected"), [(0, [0.25] * 4), (1, [1, 0, 0, 0]), (2, [0.5, 0.5, 0, 0])])
def test_the_decision_is_read_at_class_tokens_or_else_at_all(own, expected):
    classifier = wrapped(NotTold())
    classifier.network.class_tokens = own
    assert class_tokens(classifier) == own
    assert readout(classifier, torch.zeros(1, 4, 4)).tolist() == expected


def test_only_declared_places_count():
    assert has_place(attentive(), "any")
    assert not has_place(wrapped(NotTold()), "any")
