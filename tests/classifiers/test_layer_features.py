"""A layer's features as classes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import otoscope
from feature_worlds import BAND, RATE, planted_classifier, tone
from otoscope.classifiers import Classifier, build, load_classifier
from otoscope.classifiers.layer_features import layer_features, reach_s, standard_sounds
from otoscope.core.errors import UnknownNameError, UnsupportedError


def odds(features, wave):
    p = features.probabilities(features(torch.as_tensor(wave)[None])).detach().double()[0]
    return p / (1 - p)


def test_odds_are_responses_over_those_to_standard_sounds():
    world = planted_classifier()
    features = layer_features(world, "planted")
    wave = tone(1100)
    maps = world.network.planted(world.network.conv(world.features(torch.from_numpy(wave)[None])[:, 0]))
    response = maps.square().mean(2).sqrt()[0]
    reference = torch.stack([
        world.network.planted(world.network.conv(world.features(x[None])[:, 0])).square().mean(2).sqrt()[0]
        for x in standard_sounds(RATE, RATE)
    ]).amax(0)  # fmt: skip
    torch.testing.assert_close(features.network.reference, reference)
    expected = (response / reference).double()
    np.testing.assert_allclose(odds(features, wave)[BAND].item(), expected[BAND].item(), rtol=1e-4)
    np.testing.assert_allclose((odds(features, 2 * wave) / odds(features, wave))[BAND].item(), 2, rtol=1e-3)
    assert features.labels == ("planted[0]", "planted[1]", "planted[2]", "planted[3]")
    assert features.multilabel


def test_silence_draws_no_response_whatever_the_biases_are():
    torch.manual_seed(0)
    model = build("vgg5", ["a", "b"], settings={"channels": 4})
    for module in model.network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.constant_(module.bias, 0.5)
    for layer in ("block1", "block4"):
        assert odds(layer_features(model, layer), np.zeros(11025, np.float32)).max() < 2e-4
    mn = load_classifier("esc10-mn")
    assert odds(layer_features(mn, "features.3"), np.zeros(32000, np.float32)).max() < 2e-4


def test_shares_exclude_each_other():
    features = layer_features(planted_classifier(), "planted", exclusive=True)
    p = features.probabilities(features(torch.from_numpy(tone(1100))[None]))[0]
    assert p.sum().item() == pytest.approx(1, abs=1e-5)
    assert int(p.argmax()) == BAND
    open_ = odds(layer_features(planted_classifier(), "planted"), tone(1100))
    torch.testing.assert_close((open_ / open_.sum()).float(), p.detach(), rtol=1e-3, atol=1e-4)


def test_the_pass_ends_at_the_layer_and_the_network_is_shared():
    world = planted_classifier()
    features = layer_features(world, "planted")
    world.network.head.forward = None  # would fail if it were called
    features(torch.from_numpy(tone(1100))[None])
    assert features.network.network is world.network
    assert not world.network.planted._forward_hooks


def test_changed_weights_change_what_silence_draws():
    torch.manual_seed(0)
    model = build("vgg5", ["a", "b"], settings={"channels": 4})
    features = layer_features(model, "block1")
    wave = np.zeros(11025, np.float32)
    before, digest = odds(features, wave), features.digest()
    with torch.no_grad():
        model.network.block1.conv.bias.add_(1.0)
    torch.testing.assert_close(odds(features, wave), before, atol=1e-4, rtol=0)
    assert features.digest() != digest
    assert layer_features(model, "block2").digest() != layer_features(model, "block1").digest()


class Transformer(nn.Module):
    """Frames of 100 samples as tokens, one layer of attention."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(100, 8)
        self.block = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
        self.head = nn.Linear(8, 2)

    def forward(self, x):
        x = x[:, : x.shape[1] // 100 * 100].reshape(len(x), -1, 100)
        return self.head(self.block(self.embed(x)).mean(1))


class Waveform(nn.Module):
    """Convolutions on the waveform."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(1, 3, 64, stride=16)
        self.head = nn.Linear(3, 1)

    def forward(self, x):
        return self.head(torch.relu(self.conv(x[:, None])).mean(2))[:, 0]


@pytest.mark.parametrize(
    ("network", "layer", "axes", "n", "way"),
    [
        (Transformer, "block", "frame channel", 8, "gradient"),
        (Waveform, "conv", "channel frame", 3, "gradient"),
        (Waveform, "conv", "channel frame", 3, "deconvolution"),
    ],
)
def test_tokens_and_waveforms_have_features_too(network, layer, axes, n, way):
    torch.manual_seed(1)
    model = (
        Classifier(network(), sample_rate=RATE, labels=["a", "b"], axes={layer: axes}).eval()
        if network is Transformer
        else otoscope.wrap(network(), sample_rate=RATE, labels=["yes"], outputs="logits")
    )
    features = layer_features(model, layer)
    assert len(features.labels) == n
    explanation = otoscope.explain(tone(440), features, target=1, method=way, sample_rate=RATE)
    assert 0 < explanation.heard.original[1] < 1


def test_by_option():
    model = load_classifier("esc10-mn", options={"layer": "features.3"})
    assert model.labels[4] == "features.3[4]"
    assert model.origin["options"] == {"layer": "features.3"}
    with pytest.raises(UnknownNameError, match=r"unknown layer 'features.33'; did you mean"):
        load_classifier("esc10-mn", options={"layer": "features.33"})


def test_what_has_no_features():
    features = layer_features(planted_classifier(), "planted")
    with pytest.raises(UnsupportedError, match="is a layer's features already"):
        layer_features(features, "network")
    with pytest.raises(UnsupportedError, match="gives shape"):
        layer_features(planted_classifier(), "head")
    dead = planted_classifier()
    dead.network.conv.weight.data.zero_()
    with pytest.raises(UnsupportedError, match="gives only zeros"):
        layer_features(dead, "planted")


def test_the_reach_of_a_value():
    """One frame of 256 with two neighbours at a hop of 64 samples: at most 384 samples, most of the energy in fewer."""
    reach = reach_s(layer_features(planted_classifier(), "planted"))
    assert 0.5 * 256 / RATE < reach <= 384 / RATE
    assert reach_s(layer_features(planted_classifier(2), "planted")) == pytest.approx(reach, abs=0.01)


def test_standard_sounds_are_equally_loud():
    sounds = standard_sounds(32000, 16000)
    torch.testing.assert_close(sounds.square().mean(1).sqrt(), torch.full((3,), 0.1))
    torch.testing.assert_close(sounds, standard_sounds(32000, 16000))
