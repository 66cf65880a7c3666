from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import otoscope
from otoscope.attribution.cam import layer_maps
from reference import attribution as slow_cam
from reference import cam as slow
from worlds import spectral


@pytest.mark.parametrize("layer", ["0", "3", "4"])
@pytest.mark.parametrize("domain", ["stft", "features"])
def test_it_is_the_slow_twin(ask, values, noise, layer, domain):
    problem = ask(spectral(), noise(6000, batch=2), domain, target=[1, 2])
    found, seen = values(problem, "layer_cam", layer=layer), layer_maps(problem, layer)
    grid, world = problem.inspected.grid, problem.inspected.classifier
    last = (seen.n_frames - 1) * 0.01
    for clip in range(2):
        cam = slow.layer_cam(seen.maps[clip].double().numpy(), seen.gradient[clip].double().numpy())
        expected = slow_cam.place_on_grid(cam, world.frontend.band_frequencies(), last, grid.frequencies, grid.times)
        np.testing.assert_allclose(found[clip], expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


class Half(nn.Module):
    """Its one map is bright where there is sound; only the first half of it is asked."""

    def __init__(self, silence):
        super().__init__()
        self.conv, self.silence = nn.Conv2d(1, 1, 1, bias=False), silence
        nn.init.ones_(self.conv.weight)

    def forward(self, features):
        maps = self.conv(features - self.silence)
        first = maps[..., : maps.shape[3] // 2].mean((1, 2, 3))
        return torch.stack([first, -first], 1)


def test_each_cell_has_a_weight_of_its_own(ask, values, noise):
    """Grad-CAM gives one weight to the whole map: it lights the half that nobody asks, Layer-CAM does not."""
    front = spectral().frontend
    world = otoscope.wrap(Half(front.silence), sample_rate=16000, labels=["a", "b"], frontend=front)
    problem = ask(world, noise(16000), "features")
    late = problem.inspected.grid.times > 0.55
    found, plain = values(problem, "layer_cam")[0], values(problem, "grad_cam")[0]
    assert np.abs(found[:, late]).max() == 0
    assert found[:, ~late].mean() > 0
    assert plain[:, late].mean() > 0.5 * plain[:, ~late].mean() > 0
    against = values(ask(world, noise(16000), "features", target=1), "layer_cam")
    np.testing.assert_array_equal(against, 0)
