"""Ranks and correlations against slow twins and SciPy."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otoscope.core.errors import NonFiniteError, ShapeError
from otoscope.metrics.ranks import correlation, kendall, midranks, rank_correlation, spearman
from reference import statistics as slow

SEEDS = st.integers(0, 300)
PROPERTY = settings(max_examples=40, deadline=None)


def tied(seed, n=9):
    a, b = np.random.default_rng(seed).integers(0, 4, (2, n)).astype(float)
    a[:2], b[:2] = (0, 3), (1, 2)
    return a, b


@given(SEEDS)
@PROPERTY
def test_equal_their_twins(seed):
    a, b = tied(seed)
    assert midranks(a).tolist() == slow.ranks(a.tolist())
    assert correlation(a, b) == pytest.approx(slow.pearson(a, b), abs=1e-12)
    wanted = slow.pearson(slow.ranks(a), slow.ranks(b))
    assert rank_correlation(a.reshape(3, 3), b.reshape(3, 3)) == pytest.approx(wanted, abs=1e-12)
    assert spearman(a, b) == pytest.approx(wanted, abs=1e-12)
    assert kendall(a, b) == pytest.approx(slow.kendall(a, b), abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_equal_those_of_scipy(seed):
    stats = pytest.importorskip("scipy.stats")
    a, b = tied(seed)
    assert kendall(a, b) == pytest.approx(stats.kendalltau(a, b).statistic)
    assert rank_correlation(a, b) == pytest.approx(stats.spearmanr(a, b).statistic)


@given(SEEDS, st.floats(1e-30, 1e30))
@PROPERTY
def test_only_the_order_counts(seed, gain):
    a, b = np.random.default_rng(seed).normal(size=(2, 30))
    assert rank_correlation(gain * a, b) == pytest.approx(rank_correlation(a, np.exp(b)))
    assert correlation(gain * a, b) == pytest.approx(correlation(a, b))
    assert correlation(a, a + 1) == pytest.approx(1.0)
    assert rank_correlation(a, -a) == pytest.approx(-1.0)


def test_rows_are_ranked_one_by_one():
    a, b = np.random.default_rng(0).normal(size=(2, 4, 3, 6))
    for order in (kendall, spearman):
        found = order(a, b)
        assert found.shape == (4, 3)
        assert found[2, 1] == pytest.approx(float(order(a[2, 1], b[2, 1])))


def test_where_nothing_can_be_said():
    even, other = np.full(5, 0.1), np.arange(5.0)
    for metric in (correlation, rank_correlation, kendall, spearman):
        assert math.isnan(metric(even, other))
        assert math.isnan(metric(other, even))
        assert math.isnan(metric(np.ones(1), np.ones(1)))
    for order in (kendall, spearman):
        assert math.isnan(order(np.array([1, np.nan, 3]), other[:3]))


@pytest.mark.parametrize("metric", [correlation, rank_correlation])
def test_bad_input(metric):
    with pytest.raises(ShapeError, match=r"one shape can be compared; got \(2, 3\) and \(3, 2\)"):
        metric(np.ones((2, 3)), np.ones((3, 2)))
    with pytest.raises(NonFiniteError, match="holds NaN or infinity"):
        metric(np.array([1, np.inf]), np.ones(2))
