"""What the methods on a layer's maps share."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import otoscope
from otoscope.attribution.cam import layer_maps
from otoscope.classifiers import build
from otoscope.core.errors import UnknownNameError, UnsupportedError
from worlds import linear, spectral

CAMS = ("grad_cam", "grad_cam_pp", "layer_cam", "amt")


@pytest.mark.parametrize("layer", [None, "0", "3"])
def test_maps_and_gradients_are_those_of_the_layer(ask, noise, layer):
    problem = ask(spectral(), noise(6000, batch=3), "features", target=[0, 1, 2], batch_size=2)
    seen = layer_maps(problem, layer)
    assert seen.layer == (layer or "3")
    network, cut = spectral().network, int(seen.layer) + 1
    features = problem.inspected.analysis.features
    assert seen.n_frames == features.shape[-1]
    maps = network[:cut](features).detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(network[cut:](maps)[range(3), range(3)].sum(), maps)
    torch.testing.assert_close(seen.maps, maps.detach(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(seen.gradient, gradient, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("method", CAMS)
def test_one_pass_a_clip_and_no_more_than_the_batch_size_at_once(ask, values, noise, method):
    problem, ticks, rows, fronts = ask(spectral(), noise(6000, batch=5), "mel", batch_size=2), [], [], []
    problem.tick = ticks.append
    classifier = problem.inspected.classifier
    handles = [
        classifier.network.register_forward_hook(lambda m, x, y: rows.append(len(y))),
        classifier.frontend.register_forward_hook(lambda m, x, y: fronts.append(len(y))),
    ]
    values(problem, method)
    for handle in handles:
        handle.remove()
    assert ticks == rows == fronts == [2, 2, 1]


@pytest.mark.parametrize("method", CAMS)
def test_a_network_that_is_given_one_sound_at_a_time(ask, values, noise, method):
    one_by_one = spectral()
    one_by_one.one_by_one = True
    sounds = noise(6000, batch=3)
    expected = values(ask(spectral(), sounds, "mel", target=[0, 1, 2]), method)
    found = values(ask(one_by_one, sounds, "mel", target=[0, 1, 2]), method)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


class Twice(nn.Module):
    """One convolution, used twice."""

    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv1d(1, 1, 8, stride=4), nn.Linear(1, 2)

    def forward(self, x):
        return self.head(self.conv(self.conv(x[:, None]).relu()).mean(-1))


@pytest.mark.parametrize("method", CAMS)
def test_a_layer_that_is_used_twice_has_no_single_map(ask, values, noise, method):
    model = otoscope.wrap(Twice(), sample_rate=16000, axes={"conv": "channel frame"}, check=False, labels=2)
    with pytest.raises(UnsupportedError, match="layer 'conv' is used 2 times in a forward pass"):
        values(ask(model, noise(6000)), method)


@pytest.mark.parametrize("method", CAMS)
@pytest.mark.parametrize(
    ("world", "layer", "error", "words"),
    [
        (spectral, "convv", UnknownNameError, "unknown layer 'convv'"),
        (spectral, "6", UnsupportedError, "which is not a map"),
        (lambda: linear(6000), "", UnsupportedError, "'linear' has no (convolution|attention)"),
    ],
)
def test_a_layer_that_cannot_be_asked_is_refused(ask, values, noise, method, world, layer, error, words):
    with pytest.raises(error, match=words):
        values(ask(world(), noise(6000)), method, layer=layer or None)


@pytest.mark.parametrize("method", CAMS)
def test_transformers_have_maps_of_their_tokens(ask, values, noise, method):
    torch.manual_seed(0)
    model = build("passt", 3, settings={"dim": 32, "depth": 2, "heads": 2}).eval()
    found = values(ask(model, noise(16000), "mel"), method, layer="blocks.1.norm1")
    assert np.isfinite(found).all()
    assert found.std() > 0


@pytest.mark.parametrize("method", CAMS)
def test_networks_on_waveforms_have_maps_over_time(ask, values, method):
    class Loud(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv1d(1, 2, 80, 80, bias=False)
            nn.init.constant_(self.conv.weight, 0.1)

        def forward(self, waveform):
            return self.conv(waveform.abs()[:, None]).mean(2)

    x = np.zeros(8000, np.float32)
    x[5600:6400] = 0.5
    problem = ask(otoscope.wrap(Loud(), sample_rate=8000, labels=2), x, "mel")
    found = values(problem, method)[0]
    assert problem.inspected.grid.times[found[0].argmax()] == pytest.approx(0.75, abs=0.06)
    np.testing.assert_allclose(found, np.repeat(found[:1], len(found), 0), rtol=1e-5)
