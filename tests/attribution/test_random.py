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
