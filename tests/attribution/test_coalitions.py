from __future__ import annotations

import pytest
import torch

from otoscope.attribution.coalitions import Coalitions, Fit, all_rows, distinct, explain_units, weighted_r2
from worlds import linear


@pytest.mark.parametrize("units", [1, 2, 5])
def test_all_rows_are_all_coalitions_each_with_its_complement(units):
    rows = all_rows(units)
    assert rows.shape == (2**units, units)
    assert rows.dtype == torch.bool
    assert len(rows.unique(dim=0)) == 2**units
    assert rows[0].all()
    assert torch.equal(rows[1::2], ~rows[::2])


def record(asked):
    """A fit that says what it was given: the mean score of each clip, and its kind."""

    def fit(coalitions, scores):
        asked.append((tuple(coalitions.rows.shape), tuple(scores.shape)))
        mean = scores.mean(0)[:, None].expand(-1, coalitions.rows.shape[1])
        return Fit(mean, torch.ones_like(mean), mean[:, 0])

    return fit


def singles(units):
    """Each unit on its own, and the two ends."""
    rows = torch.cat([torch.ones(1, units), torch.zeros(1, units), torch.eye(units)]).bool()
    return Coalitions(rows, torch.ones(len(rows), dtype=torch.float64), units < 3)


def test_clips_of_one_number_of_units_are_fitted_together_and_the_others_padded(ask, noise):
    x, world = noise(400, batch=3), linear(400)
    problem = ask(world, x, ms=10)
    labels = torch.tensor([[[0, 0, 1, 1, 2]], [[0, 1, 1, 1, 1]], [[2, 1, 0, 0, 0]]])
    asked = []
    found, used = explain_units(problem, labels, singles, record(asked), problem.score, 0.0)
    assert asked == [((4, 2), (4, 1)), ((5, 3), (5, 2))]
    assert used.tolist() == [5, 4, 5]
    whole = problem.score(problem.inspected.ones()).double()
    expected = torch.stack([whole[0] * 2 / 5, whole[1] * 2 / 4, whole[2] * 2 / 5])  # of a linear classifier
    torch.testing.assert_close(found.values[:, 0], expected, rtol=1e-4, atol=1e-6)
    assert found.values[1, 2] == 0
    assert found.errors.tolist() == [[1, 1, 1], [0, 0, 0], [1, 1, 1]]
    assert problem.inspected.passes == 14 + 3


def test_a_clip_whose_coalitions_are_all_tried_waits_for_the_last(ask, noise):
    problem = ask(linear(400), noise(400), ms=10)
    draw = lambda units: Coalitions(all_rows(units), torch.ones(2**units, dtype=torch.float64), True)  # noqa: E731
    labels = torch.arange(5)[None, None]
    found, used = explain_units(problem, labels, draw, record([]), problem.score, 10.0)
    assert used.tolist() == [32]
    assert found.errors.tolist() == [[0] * 5]
    many = torch.arange(80).clamp_max(7)[None, None]
    problem = ask(linear(6400), noise(6400), ms=10)
    assert explain_units(problem, many, draw, record([]), problem.score, 10.0)[1].tolist() == [256]


def test_fidelity_is_the_explained_share_of_the_weighted_variance():
    weights = torch.tensor([1.0, 3.0, 0.0], dtype=torch.float64)
    scores = torch.tensor([[0.0, 5.0], [4.0, 5.0], [99.0, 5.0]], dtype=torch.float64)
    residuals = torch.tensor([[1.0, 0.0], [1.0, 0.0], [50.0, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(weighted_r2(weights, scores, residuals), torch.tensor([1 - 4 / 12, 1.0]).double())


def test_repeated_coalitions_are_counted_once():
    rows = all_rows(3)
    assert distinct(rows) == distinct(rows.repeat(4, 1)) == 8
    assert distinct(rows[:1]) == 1
