from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from otoscope.attribution import attribute
from otoscope.attribution.units import FEW, blocks, count, paint, sizes, units_of
from otoscope.core.errors import ParameterError, ShapeError
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
    problem = ask(linear(800), noise(800), ms=10)
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


@pytest.mark.parametrize(("n", "segments_s", "columns"), [(8, 0.05, 20), (8, 0.1, 10), (20, 0.1, 6), (64, 0.1, 1)])
def test_parts_of_the_sound_are_never_joined(ask, noise, n, segments_s, columns):
    problem = ask(linear(8000), noise(8000), "components", n=n, segments_s=segments_s)
    labels = units_of(problem)
    assert problem.shape[0] == n + 1
    own = [set(row.tolist()) for row in labels[0]]
    assert sum(map(len, own)) == len(set().union(*own)) == (n + 1) * min(columns, FEW // (n + 1))
    assert int(count(labels)) <= FEW
    assert len(units_of(problem, blocks_time=2)[0].unique()) == (n + 1) * min(2, problem.shape[1])
    with pytest.raises(ParameterError, match="blocks_freq=2 joins neighbouring rows"):
        units_of(problem, blocks_freq=2)


@pytest.mark.parametrize("options", [{"blocks_freq": 2}, {"blocks_time": 3}])
def test_blocks_are_refused_where_the_domain_has_segments(ask, noise, options):
    problem = ask(spectral(), noise(8000), "superpixels")
    with pytest.raises(ParameterError, match="'superpixels' has segments of its own, which blocks would cut"):
        units_of(problem, **options)


def test_a_result_tells_how_many_units_there_were(ask, noise):
    x = np.stack([noise(8000), np.zeros(8000, np.float32)])
    problem = ask(spectral(), x, "superpixels", algorithm="felzenszwalb")
    assert (
        attribute(problem, "gradient").facts["units"].tolist() == count(problem.inspected.analysis.segments()).tolist()
    )
    assert "units" not in attribute(ask(spectral(), x, "mel"), "gradient").facts
