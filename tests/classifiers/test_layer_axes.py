"""Axes of layers, found by moving a sound: a world in which only frames 35 to 39 of 50 count, in every layout."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import nn

import otoscope
from otoscope.core.errors import UnsupportedError

RATE = 8000
FRAMES = 50
HOP = RATE // FRAMES


class Layer(nn.Identity):
    """Where maps are taken."""


class Late(nn.Module):
    """Frame energies of a second; only those of frames 35 to 39 count. The layer's output has any order of axes."""

    def __init__(self, order, spectral):
        super().__init__()
        self.order, self.spectral, self.layer = order.split(), spectral, Layer()
        self.names = ["channel", "freq", "frame"] if spectral else ["channel", "frame"]

    def forward(self, x):
        frames = x[:, : FRAMES * HOP].unflatten(-1, (FRAMES, HOP))
        power = (
            torch.fft.rfft(frames).abs().square()[..., :80].unflatten(-1, (8, 10)).mean(-1).add(1e-9).sqrt()
        )  # batch frame freq
        maps = power.transpose(1, 2)[:, None] if self.spectral else power.mean(-1)[:, None]
        gains = torch.tensor([1.0, 0.7, 0.4])
        maps = maps * gains.view(-1, *([1] * (maps.ndim - 2)))  # channels
        maps = self.layer(maps.permute(0, *(1 + self.names.index(n) for n in self.order)))
        maps = maps.permute(0, *(1 + self.order.index(n) for n in self.names))
        score = maps[..., 35:40].flatten(1).mean(1)
        return torch.stack([score, 0.1 - score], 1)


def classifier(order, spectral, **more):
    frontend = None
    return otoscope.wrap(
        Late(order, spectral), sample_rate=RATE, labels=["late", "not"], cam_layer="layer", window_s=1.0, min_s=1.0,
        outputs="logits", frontend=frontend, **more,
    )  # fmt: skip


ORDERS = [(" ".join(p), False) for p in itertools.permutations(("channel", "frame"))]
ORDERS += [(" ".join(p), True) for p in itertools.permutations(("channel", "freq", "frame"))]


@pytest.mark.parametrize(("order", "spectral"), ORDERS)
def test_axes_are_found(order, spectral):
    assert classifier(order, spectral).find_axes("layer") == order


@pytest.mark.parametrize("order", ["channel frame", "frame channel"])
def test_the_map_says_which_frames_count(order):
    noise = (0.3 * np.random.default_rng(0).standard_normal(RATE)).astype(np.float32)
    model = classifier(order, False)
    for method in ("grad_cam", "layer_cam"):
        found = otoscope.explain(
            noise, model, sample_rate=RATE, method=method, domain="stft", target="late"
        ).attribution
        over_time = np.abs(found.values).sum(0)
        inside = (found.grid.times > 34.5 / 50) & (found.grid.times < 40.5 / 50)
        share = over_time[inside].sum() / over_time.sum()
        assert share > (0.9 if method == "layer_cam" else 0.05), (method, share)
        if method == "layer_cam":
            assert abs(found.grid.times[over_time.argmax()] - 0.75) < 0.06


def test_what_is_declared_is_not_probed_and_must_fit():
    model = classifier("frame channel", False, axes={"layer": "frame channel"})
    assert model.axes_of("layer") == "frame channel"
    wrong = classifier("channel freq frame", True, axes={"layer": "frame channel"})
    with pytest.raises(UnsupportedError, match="its axes are declared to be"):
        wrong.maps("layer", torch.zeros(1, 3, 8, 50))


def test_a_layer_that_follows_nothing_is_refused():
    class Global(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = Layer()

        def forward(self, x):
            maps = self.layer(x.square().mean(-1)[:, None, None] * torch.ones(1, 3, 7))
            return maps.mean(-1)

    model = otoscope.wrap(Global(), sample_rate=RATE, labels=3, cam_layer="layer")
    with pytest.raises(UnsupportedError, match=r"the time axis of layer 'layer' is unknown.*axes="):
        otoscope.explain(np.ones(RATE, np.float32) / 9, model, sample_rate=RATE, method="grad_cam")
