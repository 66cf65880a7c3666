"""Masks that know nothing, of equal area."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otoscope.core.errors import NonFiniteError, ParameterError, ShapeError
from otoscope.metrics import controls
from otoscope.metrics.controls import all_ones, energy_mask, random_mask


@given(st.integers(0, 100), st.floats(0, 1), st.booleans())
@settings(max_examples=40, deadline=None)
def test_they_keep_as_much(seed, share, binary):
    mask = np.random.default_rng(seed).random((5, 8))
    mask = (mask < share).astype(float) if binary else mask * share
    energy = np.random.default_rng(seed + 1).exponential(size=(5, 8))
    found = controls(mask, energy, seed)
    assert found["ones"].all()
    for name in ("random", "energy"):
        assert set(np.unique(found[name])) <= {0.0, 1.0}
        assert found[name].sum() == max(round(mask.sum()), mask.any())
        assert found[name].shape == mask.shape
        assert found[name].dtype == np.float32


def test_chance_is_seeded_and_even():
    mask = np.zeros((4, 5))
    mask[0] = 1
    np.testing.assert_array_equal(random_mask(mask, 3), random_mask(mask, 3))
    assert (random_mask(mask, 3) != random_mask(mask, 4)).any()
    kept = np.mean([random_mask(mask, s) for s in range(2000)], axis=0)
    np.testing.assert_allclose(kept, 0.25, atol=0.05)


def test_energy_keeps_the_loudest():
    mask, energy = np.array([[1.0, 0.0, 0.0], [0, 0, 1.0]]), np.array([[1.0, 5, 2], [9, 0, 3]])
    assert energy_mask(mask, energy).tolist() == [[0, 1, 0], [1, 0, 0]]
    np.testing.assert_array_equal(energy_mask(mask, energy**2), energy_mask(mask, energy))


@pytest.mark.parametrize("shape", [(1, 9), (9, 1), (1, 1), (4, 5)])
def test_soft_masks_of_any_grid(shape):
    energy = np.arange(1.0, 1 + np.prod(shape)).reshape(shape)
    for level in (0.01, 0.4, 0.5, 1.0):
        found = controls(np.full(shape, level, np.float32), energy)
        wanted = max(1, round(level * energy.size))
        assert [found[n].sum() for n in ("random", "energy")] == [wanted, wanted]
        assert found["energy"].ravel()[-wanted:].all()
        assert {c.shape for c in found.values()} == {shape}


def test_nothing_kept_and_everything_kept():
    energy = np.arange(6.0).reshape(2, 3)
    assert not energy_mask(np.zeros((2, 3)), energy).any()
    assert not random_mask(np.zeros((2, 3))).any()
    assert energy_mask(np.ones((2, 3)), energy).all()
    assert random_mask(np.ones((2, 3))).all()
    assert all_ones(np.zeros((2, 3))).all()


@pytest.mark.parametrize(
    "mask", [np.full((2, 2), 1.5), np.full((2, 2), -0.1), np.full((2, 2), np.nan), np.zeros((0, 2))]
)
def test_masks_that_are_none(mask):
    with pytest.raises(ParameterError, match=r"values lie in \[0, 1\]"):
        random_mask(mask)


def test_energies_of_another_grid():
    with pytest.raises(ShapeError, match=r"got \(2, 2\) and \(2, 3\)"):
        energy_mask(np.ones((2, 2)), np.ones((2, 3)))
    for bad in (np.nan, np.inf):
        with pytest.raises(NonFiniteError, match="no cells are the loudest"):
            energy_mask(np.ones((1, 2)), np.array([[1.0, bad]]))
