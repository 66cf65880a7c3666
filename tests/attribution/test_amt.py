from __future__ import annotations

import numpy as np
import pytest
import torch

import otoscope
from otoscope.attribution.cam import layer_maps
from otoscope.classifiers.base import Classifier
from otoscope.surgery import record_attention
from reference import attention as slow_attention
from reference import attribution as slow_cam
from reference import cam as slow
from worlds import TinyTransformer, attentive, spectral


@pytest.mark.parametrize("layer", [None, "0"])
def test_of_convolutions_it_is_the_length_of_each_cell(ask, values, noise, layer):
    problem = ask(spectral(), noise(6000, batch=2), "features")
    found, seen = values(problem, "amt", layer=layer), layer_maps(problem, layer)
    grid, bands = problem.inspected.grid, problem.inspected.classifier.frontend.band_frequencies()
    for clip in range(2):
        cam = slow.strength(seen.maps[clip].double().numpy())
        expected = slow_cam.place_on_grid(cam, bands, (seen.n_frames - 1) * 0.01, grid.frequencies, grid.times)
        np.testing.assert_allclose(found[clip], expected, rtol=1e-3)


def test_of_transformers_it_is_the_last_layers_attention_of_the_class_token(ask, values, noise):
    problem = ask(attentive(), noise(6000), "features")
    with torch.no_grad(), record_attention(problem.inspected.classifier.network) as seen:
        problem.inspected.original()
    row = seen[-1].weights[0].mean(0)[0, 1:].double().numpy()
    expected = slow_attention.on_features(row.reshape(4, -1), ((3.5, 8.0), (2.0, 5.0)), problem.shape)
    np.testing.assert_allclose(values(problem, "amt")[0], expected, rtol=1e-4)


def test_a_layer_that_is_named_goes_before_the_attention(ask, values, noise):
    problem = ask(attentive(), noise(6000), "mel")
    assert not np.allclose(values(problem, "amt"), values(problem, "amt", layer="patches"), rtol=0.1)


def test_a_transformer_needs_no_layer_for_cams(ask, values, noise):
    world, other = attentive(), attentive()
    torch.manual_seed(0)
    network = TinyTransformer()
    network.load_state_dict(world.network.state_dict())
    bare = Classifier(
        network, sample_rate=16000, labels=list("abcd"), frontend=other.frontend, places=other.places
    ).eval()
    assert bare.cam_layer is None
    x = noise(6000)
    np.testing.assert_array_equal(values(ask(bare, x, "mel"), "amt"), values(ask(world, x, "mel"), "amt"))


def test_no_gradients_are_needed_and_every_class_gets_the_same(ask, values, noise):
    class Deaf(torch.nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, features):
            return self.inner(features.detach()).detach()

    x, front = noise(6000), spectral().frontend
    world = otoscope.wrap(Deaf(spectral().network), sample_rate=16000, labels=4, frontend=front)
    found = [values(ask(model, x, "mel", target=t), "amt") for model, t in ((world, 0), (spectral(), 0), (world, 2))]
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_the_published_mask_keeps_the_highest_tenth(noise):
    made = otoscope.explain(noise(6000), spectral(), sample_rate=16000, method="amt", domain="mel", mask="topk:0.1")
    kept = made.mask.values > 0
    assert kept.mean() == pytest.approx(0.1, abs=0.01)
    assert made.attribution.values[kept].min() >= made.attribution.values[~kept].max()


def test_a_softmax_that_is_no_attention_is_not_taken_for_it(ask, values, noise):
    """A convolutional network whose maps are square and go through a softmax: nobody says where such tokens would lie."""

    class Squares(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.out = torch.nn.Conv2d(1, 6, 3, 2, 1), torch.nn.Linear(6, 4)

        def forward(self, features):
            maps = torch.nn.functional.adaptive_avg_pool2d(self.conv(features).relu(), (16, 16))
            return self.out((maps * maps.softmax(-1)).sum((2, 3)))

    torch.manual_seed(0)
    front = spectral().frontend
    world = otoscope.wrap(Squares(), sample_rate=16000, labels=4, frontend=front, cam_layer="conv").eval()
    problem = ask(world, noise(6000), "mel")
    with record_attention(world.network) as seen:
        problem.inspected.original()
    assert len(seen) == 1
    np.testing.assert_array_equal(values(problem, "amt"), values(problem, "amt", layer="conv"))
