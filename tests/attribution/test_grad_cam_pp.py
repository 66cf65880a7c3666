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

BEHIND_RELU = "4"


def on_grid(problem, cam):
    grid, world = problem.inspected.grid, problem.inspected.classifier
    last = (problem.inspected.analysis.features.shape[-1] - 1) * 0.01
    return slow_cam.place_on_grid(cam, world.frontend.band_frequencies(), last, grid.frequencies, grid.times)


@pytest.mark.parametrize("layer", [BEHIND_RELU, "2"])
def test_behind_a_relu_it_is_the_papers(ask, values, noise, layer):
    problem = ask(spectral(), noise(6000, batch=2), "features", target=[1, 2])
    found, seen = values(problem, "grad_cam_pp", layer=layer), layer_maps(problem, layer)
    for clip in range(2):
        cam = slow.grad_cam_pp(seen.maps[clip].double().numpy(), seen.gradient[clip].double().numpy())
        expected = on_grid(problem, cam)
        np.testing.assert_allclose(found[clip], expected, rtol=1e-3, atol=1e-4 * expected.max())
    assert found.min() >= 0
    assert found.max() > 0


class Low(nn.Module):
    """One map whose mean is -2; the logit is that mean, so the paper's weight would be 1 / 0."""

    def __init__(self):
        super().__init__()
        self.same = nn.Identity()

    def forward(self, features):
        maps = self.same(features - features.mean((1, 2, 3), keepdim=True) - 2)
        return torch.stack([maps.mean((1, 2, 3)), -maps.mean((1, 2, 3))], 1)


def test_where_maps_are_negative_so_is_what_is_found_and_no_weight_bursts(ask, values, noise):
    front = spectral().frontend
    world = otoscope.wrap(Low(), sample_rate=16000, labels=2, frontend=front, cam_layer="same")
    problem = ask(world, noise(6000), "features")
    maps = layer_maps(problem, None).maps[0, 0].double().numpy()
    assert maps.mean() == pytest.approx(-2, abs=1e-3)
    above = np.maximum(maps, 0).sum() / maps.size
    found = values(problem, "grad_cam_pp")[0]
    np.testing.assert_allclose(found.sum() / maps.sum(), 1 / (2 + above), rtol=0.02)
    assert found.min() < 0
