"""The time domain: segments of the waveform with soft edges."""

import numpy as np
import pytest
import torch

from otoscope.domains import make_domain


@pytest.mark.parametrize(("n", "ms", "frames"), [(8000, 100, 10), (8000, 250, 4), (7, 100, 1), (4001, 50, 10)])
def test_the_grid_has_one_band_and_even_segments(n, ms, frames, listener):
    grid = make_domain("time", {"ms": ms}).grid(n, listener(8000, frontend=False))
    assert grid.shape == (1, frames)
    assert grid.scale == "none"
    np.testing.assert_allclose(grid.times, (np.arange(frames) + 0.5) * n / 8000 / frames)


def test_neighbours_fade_into_one_another(listener):
    """The gain at each sample is the straight line between the segments' middles."""
    x = torch.ones(1, 8000)
    analysis = make_domain("time", {"ms": 250}).analyse(x, listener(8000, frontend=False))
    gain = analysis.synthesise(torch.tensor([[[0.0, 1.0, 0.0, 0.5]]]))[0].numpy()
    at = (np.arange(8000) + 0.5) / 8000
    np.testing.assert_allclose(gain, np.interp(at, [0.125, 0.375, 0.625, 0.875], [0, 1, 0, 0.5]), atol=1e-6)
    assert np.abs(np.diff(gain)).max() < 1e-3  # no click


def test_amplitude_is_the_energy_of_each_segment(listener):
    x = torch.zeros(1, 8000)
    x[:, 4000:6000] = 0.5
    analysis = make_domain("time", {"ms": 250}).analyse(x, listener(8000, frontend=False))
    amplitude = analysis.amplitude()
    assert int(amplitude[0, 0].argmax()) == 2
    assert float(amplitude.square().sum()) == pytest.approx(500.0, rel=1e-4)
