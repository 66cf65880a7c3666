"""Deconvolution against the published procedure, written out in loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from feature_worlds import planted_classifier, tone
from otoscope.attribution.deconvolution import deconvolve
from otoscope.classifiers import Classifier, build
from otoscope.classifiers.layer_features import layer_features
from otoscope.core.errors import ParameterError, UnknownNameError
from otoscope.spectral import FrameConfig, LinearStft


def convolved(x, weight, bias):
    """Cross-correlation with a border of zeros, ``(channel, freq, frame)``."""
    n_out, n_in, a, b = weight.shape
    _, freqs, frames = x.shape
    out = np.zeros((n_out, freqs, frames))
    for o in range(n_out):
        for f in range(freqs):
            for t in range(frames):
                total = bias[o]
                for i in range(n_in):
                    for u in range(a):
                        for v in range(b):
                            p, q = f + u - a // 2, t + v - b // 2
                            if 0 <= p < freqs and 0 <= q < frames:
                                total += weight[o, i, u, v] * x[i, p, q]
                out[o, f, t] = total
    return out


def pooled(x):
    """Largest of two by two, and where it was; an odd last row or column is left out."""
    channels, freqs, frames = x.shape
    out, at = np.zeros((channels, freqs // 2, frames // 2)), {}
    for c in range(channels):
        for f in range(freqs // 2):
            for t in range(frames // 2):
                cells = [(2 * f + u, 2 * t + v) for u in (0, 1) for v in (0, 1)]
                best = max(cells, key=lambda cell: x[c, cell[0], cell[1]])  # the first of equal ones
                out[c, f, t], at[c, f, t] = x[c, best[0], best[1]], best
    return out, at


def slow_deconvolution(features, blocks, number):
    """Unpool, rectify, transposed convolution, block by block; the first with one feature alone."""
    x, seen = features[None].astype(np.float64), []
    for weight, bias in blocks:
        before = np.maximum(convolved(x, weight, bias), 0)
        x, at = pooled(before)
        seen.append((before.shape, at))
    back = np.zeros_like(x)
    back[number] = x[number]
    for (weight, _), (shape, at) in zip(reversed(blocks), reversed(seen), strict=True):
        wide = np.zeros(shape)
        for (c, f, t), (p, q) in at.items():
            wide[c, p, q] += back[c, f, t]
        wide = np.maximum(wide, 0)
        n_out, n_in, a, b = weight.shape
        back = np.zeros((n_in, *shape[1:]))
        for o in range(n_out):
            for f in range(shape[1]):
                for t in range(shape[2]):
                    for i in range(n_in):
                        for u in range(a):
                            for v in range(b):
                                p, q = f + u - a // 2, t + v - b // 2
                                if 0 <= p < shape[1] and 0 <= q < shape[2]:
                                    back[i, p, q] += weight[o, i, u, v] * wide[o, f, t]
    return back[0]


@pytest.fixture(scope="module")
def small():
    """VGG-5 of three channels with other frames: 33 bins, and an odd number of frames."""
    torch.manual_seed(0)
    model = build("vgg5", ["a", "b"], settings={"channels": 3})
    for module in model.network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.uniform_(module.bias, -0.3, 0.3)
    model.frontend = LinearStft(FrameConfig(11025, 64, 32))
    return model.eval()


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_the_published_procedure_in_loops(small, depth):
    layer = f"block{depth}"
    features = layer_features(small, layer)
    wave = torch.from_numpy(np.random.default_rng(1).standard_normal(64 + 32 * 36).astype(np.float32))
    blocks = [
        (
            getattr(small.network, f"block{i}").conv.weight.detach().double().numpy(),
            getattr(small.network, f"block{i}").conv.bias.detach().double().numpy(),
        )
        for i in range(1, depth + 1)
    ]
    given = small.features(wave[None])[0, 0].numpy()
    assert given.shape == (33, 39)
    found = deconvolve(features, wave, [0, 1, 2], batch_size=2).numpy()
    for number in range(3):
        expected = slow_deconvolution(given, blocks, number)
        np.testing.assert_allclose(found[number], expected, atol=1e-4 * np.abs(expected).max())
        assert np.abs(expected).max() > 0
    assert (found < 0).any()  # not rectified at the end
    before = features.digest()
    bare = [(weight, np.zeros_like(bias)) for weight, bias in blocks]
    expected = slow_deconvolution(given, bare, 1)
    found = deconvolve(features, wave, [1], biases=False)[0].numpy()
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())
    assert features.digest() == before


def test_the_method_begins_with_the_map_itself(small, ask, values):
    torch.manual_seed(0)
    bare = build("vgg5", ["a", "b"], settings={"channels": 4})  # its biases are 0
    features = layer_features(bare, "block2")
    wave = np.random.default_rng(2).standard_normal(11025).astype(np.float32)
    exact = deconvolve(features, torch.from_numpy(wave), [3])[0].numpy()
    found = values(ask(features, wave, "features", target=3), "deconvolution")
    held = np.abs(exact) > 1e-3 * np.abs(exact).max()
    ratio = np.asarray(found).reshape(exact.shape)[held] / exact[held]
    np.testing.assert_allclose(ratio, ratio.mean(), rtol=1e-3)
    assert ratio.mean() > 0


class Overlapping(nn.Module):
    """Pooling of three by two in steps of two by one, twice used functions, an addition."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 2, 3), nn.Conv2d(2, 2, 3, stride=2, padding=1)
        self.top = nn.Identity()

    def forward(self, x):
        x = nn.functional.max_pool2d(torch.relu(self.first(x)), (3, 2), (2, 1))
        x = self.top(torch.relu(self.second(x)) + x[:, :, ::2, ::2])
        return x.mean((2, 3))


def test_any_pooling_and_stride_go_back_by_their_transpose():
    torch.manual_seed(3)
    model = Classifier(
        Overlapping(),
        sample_rate=8000,
        labels=["a", "b"],
        frontend=LinearStft(FrameConfig(8000, 64, 32)),
        axes={"top": "channel freq frame"},
    ).eval()
    features = layer_features(model, "top")
    wave = torch.randn(2000)
    found = deconvolve(features, wave, [1])[0]
    x = model.features(wave[None]).double()
    first, second = model.network.first.double(), model.network.second.double()
    rectified = torch.relu(first(x))
    low, at = nn.functional.max_pool2d(rectified, (3, 2), (2, 1), return_indices=True)
    top = torch.relu(second(low)) + low[:, :, ::2, ::2]
    own = torch.zeros_like(top)
    own[:, 1] = top[:, 1]
    back = nn.functional.conv_transpose2d(
        own.clamp_min(0), second.weight, stride=2, padding=1, output_padding=[(s - 1) % 2 for s in low.shape[2:]]
    )
    back[:, :, ::2, ::2] += own
    wide = torch.zeros_like(rectified).flatten(2)
    wide.scatter_add_(2, at.flatten(2), back.flatten(2))
    expected = nn.functional.conv_transpose2d(wide.reshape(rectified.shape).clamp_min(0), first.weight)
    torch.testing.assert_close(found.double(), expected[0, 0].detach(), atol=1e-5, rtol=1e-4)


def test_memory_and_batches_do_not_change_the_numbers():
    features = layer_features(planted_classifier(2), "planted")
    wave = torch.from_numpy(tone(1100))
    one, two = (deconvolve(features, wave, range(4), batch_size=n) for n in (1, 3))
    torch.testing.assert_close(one, two)
    assert deconvolve(features, wave, []).shape == (0, 129, one.shape[2])


def test_what_is_no_feature():
    with pytest.raises(ParameterError, match="give the features of a layer"):
        deconvolve(planted_classifier(), torch.zeros(8000), [0])
    with pytest.raises((ParameterError, UnknownNameError), match="out of range"):
        deconvolve(layer_features(planted_classifier(), "planted"), torch.zeros(8000), [4])
