"""How a coarse grid covers a fine one."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from otoscope.core.errors import ShapeError
from otoscope.domains.base import (
    as_tensor,
    centres,
    check_mask,
    expand,
    frequency_weights,
    interpolation,
    pick,
    regular_grid,
    time_centres,
)
from otoscope.spectral import hz_to_mel
from reference.interpolation import interpolation as slow

KNOTS = st.lists(st.integers(0, 200), min_size=1, max_size=6, unique=True).map(sorted)


@given(st.lists(st.floats(-10, 210), min_size=1, max_size=10), KNOTS)
@settings(max_examples=60, deadline=None)
def test_interpolation_equals_its_twin_and_rows_sum_to_one(points, knots):
    weights = interpolation(np.array(points), np.array(knots, float))
    np.testing.assert_allclose(weights, slow(points, knots), atol=1e-12)
    np.testing.assert_allclose(weights.sum(1), 1.0)
    assert weights.min() >= 0


def test_interpolation_gives_what_numpy_gives():
    points, knots, values = np.linspace(-1, 5, 40), np.array([0.0, 1, 1.5, 4]), np.array([3.0, -1, 2, 0])
    np.testing.assert_allclose(interpolation(points, knots) @ values, np.interp(points, knots, values))


def test_no_weight_above_the_classifiers_nyquist():
    grid = regular_grid("stft", "hz", 4, 50, 8000, 8000)
    weights = frequency_weights(grid, np.array([0.0, 500, 1000, 4000, 4000.1, 20000]))
    np.testing.assert_allclose(weights.sum(1), [1, 1, 1, 1, 0, 0])
    np.testing.assert_allclose(weights[2], [0.5, 0.5, 0, 0])


def test_weights_of_a_mel_grid_are_linear_in_mel():
    grid = regular_grid("mel", "mel", 8, 50, 8000, 8000)
    mel = hz_to_mel(grid.frequencies)
    np.testing.assert_allclose(np.diff(mel), hz_to_mel(4000) / 8)
    middle = 700 * np.expm1((mel[2] + mel[3]) / 2 / 1127)
    np.testing.assert_allclose(frequency_weights(grid, np.array([middle]))[0, 2:4], 0.5)


def test_centres_divide_a_range_evenly():
    np.testing.assert_allclose(centres(4, 0, 2), [0.25, 0.75, 1.25, 1.75])
    np.testing.assert_allclose(centres(1, 0, 2), [1.0])


@pytest.mark.parametrize(
    ("n", "ms", "cells"), [(8000, 100, 10), (8000, 30, 33), (1, 100, 1), (799, 100, 1), (8000, 1e4, 1)]
)
def test_time_cells_have_about_the_length_asked_for(n, ms, cells):
    times = time_centres(n, 8000, ms)
    assert len(times) == cells
    np.testing.assert_allclose(times, (np.arange(cells) + 0.5) * n / 8000 / cells)


def test_expand_is_interpolation_along_both_axes():
    rng = np.random.default_rng(0)
    mask, over_freq, over_time = rng.random((2, 3, 4)), rng.random((5, 3)), rng.random((6, 4))
    out = expand(*map(torch.from_numpy, (mask, over_freq, over_time)))
    np.testing.assert_allclose(out, np.einsum("bft,nf,mt->bnm", mask, over_freq, over_time))


def test_check_mask_names_both_shapes():
    grid = regular_grid("mel", "mel", 32, 50, 8000, 8000)
    check_mask(torch.ones(1, 32, 20), grid)
    for shape in ((1, 64, 20), (32, 20), (1, 1, 32, 20)):
        with pytest.raises(
            ShapeError, match=r"but the mel grid needs \(batch, 32, 20\); was it made in another domain"
        ):
            check_mask(torch.ones(shape), grid)


def test_pick():
    x = torch.arange(3.0)[:, None]
    assert pick(x, None, 3) is x
    assert pick(x[:1], None, 5) is not None
    assert pick(x, torch.tensor([2, 0]), 2).tolist() == [[2], [0]]
    assert pick(x[:1], torch.tensor([0, 0]), 2).tolist() == [[0]]
    with pytest.raises(ShapeError, match="2 masks for 3 clips"):
        pick(x, None, 2)


@pytest.mark.parametrize(
    ("like", "kind"),
    [(torch.complex128, torch.float64), (torch.complex64, torch.float32), (torch.float64, torch.float64)],
)
def test_weights_have_the_real_type_of_what_they_weigh(like, kind):
    assert as_tensor(np.ones(2), torch.zeros(1, dtype=like)).dtype == kind
