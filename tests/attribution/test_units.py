from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from otoscope.attribution.units import FEW, blocks, count, paint, sizes, units_of
from otoscope.core.errors import ShapeError
from worlds import linear, spectral


class Shaped:
    """What `blocks` needs of a problem."""

    def __init__(self, *shape, batch=2):
        self.shape, self.batch, self.targets = shape, batch, torch.zeros(batch, dtype=torch.int64)


def with_segments(problem, labels):
    problem.inspected.analysis.segments = lambda: labels
    return problem


@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 60)), wanted=st.tuples(st.integers(1, 50), st.integers(1, 70))
)
@settings(deadline=None, max_examples=60)
def test_every_cell_belongs_to_a_block_and_no_block_is_empty(shape, wanted):
    labels = blocks(Shaped(*shape), *wanted)
    assert labels.shape == (2, *shape)
    assert labels.dtype == torch.int64
    rows, columns = (min(w, s) for w, s in zip(wanted, shape, strict=True))
    assert torch.equal(labels.unique(), torch.arange(rows * columns))
    for row in labels[0]:
        assert (row.diff() >= 0).all()
    height = torch.bincount(labels[0, :, 0] // columns)
    width = torch.bincount(labels[0, 0])
    assert int(height.max() - height.min()) <= 1
    assert int(width.max() - width.min()) <= 1
    assert torch.equal(sizes(labels)[0], (height[:, None] * width).flatten())


def test_few_cells_are_a_unit_each(ask, noise):
    labels = units_of(ask(linear(4000), noise(4000, batch=2), ms=10))
    assert labels.tolist() == [[list(range(50))]] * 2


def test_many_cells_come_in_blocks(ask, noise):
    problem = ask(spectral(), noise(8000), "stft", bands=13, ms=25)
    labels = units_of(problem)
    assert problem.shape == (13, 20)
    assert count(labels).tolist() == [60]
    assert labels[0, :, 0].tolist() == [0, 0, 0, 10, 10, 20, 20, 30, 30, 40, 40, 50, 50]
    assert labels[0, 0].tolist() == [i // 2 for i in range(20)]


def test_a_grid_without_frequency_gives_all_blocks_to_time(ask, noise):
    labels = units_of(ask(linear(16000), noise(16000), ms=10))
    assert labels.shape[-1] > FEW
    assert labels[0, 0].unique().tolist() == list(range(60))


def test_asked_for_blocks_are_given_whatever_the_domain_has(ask, noise):
    problem = with_segments(ask(linear(800), noise(800), ms=10), torch.zeros(1, 1, 10, dtype=torch.int64))
    assert units_of(problem, blocks_time=2)[0, 0].tolist() == [0] * 5 + [1] * 5
    assert units_of(problem, 3, 2)[0, 0].tolist() == [0] * 5 + [1] * 5
    assert units_of(problem, blocks_freq=1)[0, 0].tolist() == list(range(10))


def test_a_domain_s_own_segments_are_the_units(ask, noise):
    labels = torch.tensor([[[0, 0, 1, 1, 2]], [[0, 1, 1, 1, 1]]])
    problem = with_segments(ask(linear(400), noise(400, batch=2), ms=10), labels)
    assert torch.equal(units_of(problem), labels)
    assert count(labels).tolist() == [3, 2]
    assert sizes(labels).tolist() == [[2, 2, 1], [1, 4, 0]]


@pytest.mark.parametrize(
    "labels", [torch.zeros(1, 1, 4, dtype=torch.int64), torch.zeros(1, 1, 5), torch.full((1, 1, 5), -1)]
)
def test_segments_that_do_not_fit_the_grid_are_named(ask, noise, labels):
    problem = with_segments(ask(linear(400), noise(400), ms=10), labels)
    with pytest.raises(ShapeError, match=r"segments of the time domain have shape.*int64 labels \(1, 1, 5\) from 0 up"):
        units_of(problem)


def test_cells_are_painted_with_their_unit_s_number():
    labels = torch.tensor([[[0, 1], [1, 2]], [[0, 0], [0, 1]]])
    numbers = torch.tensor([[5.0, 6.0, 7.0], [8.0, 9.0, 0.0]])
    np.testing.assert_array_equal(paint(labels, numbers), [[[5, 6], [6, 7]], [[8, 8], [8, 9]]])
