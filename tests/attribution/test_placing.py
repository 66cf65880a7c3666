"""From the cells of maps to those of grids; what Grad-CAM's own tests do not say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from otoscope.attribution.placing import resized, to_grid
from otoscope.classifiers.base import Classifier
from otoscope.core.errors import ParameterError, UnsupportedError
from otoscope.spectral import FrameConfig, LogMel, MelBands
from reference import cam as slow
from worlds import linear, spectral


class Turned(nn.Module):
    """Maps that lie (frame, freq) inside, as in CNN14: bright where there is sound."""

    def __init__(self, silence):
        super().__init__()
        self.silence, self.pool, self.same = silence, nn.AvgPool2d((25, 8)), nn.Identity()

    def forward(self, features):
        maps = self.same(self.pool((features - self.silence).transpose(2, 3)))
        return torch.stack([maps.mean((1, 2, 3)), -maps.mean((1, 2, 3))], 1)


def turned(layer="pool", order="channel frame freq"):
    front = LogMel(FrameConfig(16000, 512, 160), MelBands(32, 50.0, 8000.0))
    places = {"pool": ((3.5, 8.0), (12.0, 25.0))}
    return Classifier(
        Turned(front.silence), sample_rate=16000, labels=["a", "b"], frontend=front, cam_layer=layer,
        axes={"pool": "channel frame freq", "same": order}, places=places,
    ).eval()  # fmt: skip


def burst(hz=5000, start_s=0.05):
    moments = np.arange(16000) / 16000
    return (0.3 * np.sin(2 * np.pi * hz * moments) * ((moments >= start_s) & (moments < start_s + 0.1))).astype("f4")


def test_transposed_is_the_picture_resized_the_wrong_way_round(ask, values):
    problem = ask(turned(), burst(), "features")
    found = values(problem, "grad_cam", transposed=True)[0]
    features = problem.inspected.analysis.features - problem.inspected.classifier.frontend.silence
    maps = nn.functional.avg_pool2d(features.transpose(2, 3), (25, 8))[0, 0].double().numpy()  # (frame, freq)
    expected = slow.resized(maps / maps.size, found.shape)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-7)
    by_torch = nn.functional.interpolate(torch.from_numpy(maps)[None, None], found.shape, mode="bilinear")[0, 0]
    np.testing.assert_allclose(found, by_torch / maps.size, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("domain", ["features", "mel", "stft"])
def test_transposed_an_early_high_burst_is_found_low_and_late(ask, values, domain):
    problem = ask(turned(), burst(5000, 0.02), domain)
    grid, right = problem.inspected.grid, values(problem, "grad_cam")[0]
    wrong = values(problem, "grad_cam", transposed=True)[0]
    for found, high, late in ((right, True, False), (wrong, False, True)):
        band, frame = np.unravel_index(found.argmax(), found.shape)
        assert bool(grid.frequencies[band] > 2000) is high
        assert bool(grid.times[frame] > 0.5) is late
    np.testing.assert_array_equal(right, values(problem, "grad_cam", transposed=False)[0])


def test_transposed_changes_nothing_where_maps_lie_frequency_first(ask, values, noise):
    for world in (spectral(), turned("same", "channel freq frame")):
        problem = ask(world, noise(8000), "mel")
        np.testing.assert_array_equal(values(problem, "grad_cam"), values(problem, "grad_cam", transposed=True))


def test_transposed_in_the_time_domain_only_columns_are_left(ask, values):
    problem = ask(turned(), burst(), "time", ms=10)
    found = values(problem, "grad_cam", transposed=True)
    assert found.shape == (1, 1, 100)
    assert found[0, 0].argmax() > 50


def test_cells_without_a_place_tile_what_there_is(ask, noise):
    problem = ask(linear(8000), noise(8000), "time", ms=100)
    found = to_grid(problem, torch.tensor([[0.0, 1.0]]), "unknown", 8000)[0, 0]
    times = problem.inspected.grid.times
    expected = np.interp(times, [0.25 * times[-1] / 0.95, 0.75 * times[-1] / 0.95], [0, 1])
    np.testing.assert_allclose(found, expected, atol=0.02)


def test_maps_with_frequency_need_a_front_end_that_tells(ask, noise):
    problem = ask(linear(8000), noise(8000), "mel")
    for place in (lambda cam: to_grid(problem, cam, "x", 10), lambda cam: resized(problem, cam, 10)):
        with pytest.raises(UnsupportedError, match="does not declare where its features lie"):
            place(torch.zeros(1, 2, 3))
    with pytest.raises(ParameterError, match="no frame"):
        to_grid(ask(spectral(), noise(8000), "mel"), torch.zeros(1, 2, 3), "x", 0)
