from __future__ import annotations

import numpy as np
import pytest

from worlds import linear, spectral


def lag_one(x):
    return float(np.corrcoef(x[1:].ravel(), x[:-1].ravel())[0, 1])


@pytest.mark.parametrize("smooth", [0.0, 2.0, 1000.0])
def test_values_are_spread_evenly_between_nothing_and_one(ask, values, noise, smooth):
    problem = ask(spectral(), noise(16000), "stft")
    found = values(problem, "random", smooth=smooth)[0]
    n = found.size
    np.testing.assert_allclose(np.sort(found.ravel()), (np.arange(n) + 0.5) / n, atol=1e-6)
    assert problem.inspected.passes == 0


def test_smoothing_makes_neighbours_alike(ask, values, noise):
    problem = ask(spectral(), noise(16000), "stft")
    for axis in (0, 1):
        plain, smooth = (np.moveaxis(values(problem, "random", smooth=s)[0], axis, 0) for s in (0.0, 2.0))
        assert abs(lag_one(plain)) < 0.1
        assert lag_one(smooth) > 0.9


def test_it_hangs_on_the_seed_and_the_grid_alone(ask, values, noise):
    both = values(ask(linear(8000), noise(8000, batch=2), ms=10, seed=3), "random")
    np.testing.assert_array_equal(both[0], both[1])
    np.testing.assert_array_equal(values(ask(linear(8000, seed=1), np.ones(8000), ms=10, seed=3), "random")[0], both[0])
    other = values(ask(linear(8000), noise(8000), ms=10, seed=4), "random")
    assert abs(np.corrcoef(other[0, 0], both[0, 0])[0, 1]) < 0.3


def test_one_cell_is_in_the_middle(ask, values, noise):
    assert values(ask(linear(400), noise(400), ms=50), "random", smooth=1.0).tolist() == [[[0.5]]]


@pytest.mark.parametrize("smooth", [0.0, 3.0])
def test_every_segment_has_one_number_whatever_its_size(ask, values, noise, smooth):
    problem = ask(spectral(), noise(8000, batch=2), "superpixels", n=30)
    found, labels = values(problem, "random", smooth=smooth), problem.inspected.analysis.segments().numpy()
    for own, clip in zip(found, labels, strict=True):
        n = clip.max() + 1
        numbers = [own[clip == unit] for unit in range(n)]
        assert max(np.ptp(x) for x in numbers) < 1e-5
        np.testing.assert_allclose(sorted(x[0] for x in numbers), (np.arange(n) + 0.5) / n, atol=1e-5)
    alone = values(ask(spectral(), noise(8000, batch=2)[1], "superpixels", n=30), "random", smooth=smooth)
    np.testing.assert_array_equal(alone[0], found[1])


def test_components_are_not_smoothed_across(ask, values, noise):
    problem = ask(linear(8000), noise(8000), "components", n=40, segments_s=0.05)
    found = values(problem, "random", smooth=2.0)[0]
    assert abs(lag_one(found)) < 0.25
    assert lag_one(found.T) > 0.8
