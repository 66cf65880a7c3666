"""Intervals against slow twins, SciPy, exact answers, and their own promise: how often they are right."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otoscope.core.errors import NonFiniteError, ParameterError, ShapeError
from otoscope.metrics import agreement, bootstrap
from otoscope.metrics.statistics import _weights, wilson_interval
from reference import statistics as slow

VALUES = np.random.default_rng(7).exponential(size=40)


class TestBootstrap:
    def test_is_the_spread_of_means_drawn_again(self):
        drawn = slow.bootstrap_means(VALUES.tolist(), 4000, np.random.default_rng(1))
        found = bootstrap(VALUES, draws=4000)
        assert found.value == pytest.approx(VALUES.mean())
        np.testing.assert_allclose((found.low, found.high), np.quantile(drawn, [0.025, 0.975]), atol=0.02)
        assert found.n == 40

    def test_bca_equals_that_of_scipy(self):
        stats = pytest.importorskip("scipy.stats")
        wanted = stats.bootstrap((VALUES,), np.mean, n_resamples=20_000, method="BCa", rng=np.random.default_rng(0))
        found = bootstrap(VALUES, draws=20_000, way="bca")
        np.testing.assert_allclose((found.low, found.high), wanted.confidence_interval, atol=0.015)
        plain = bootstrap(VALUES, draws=20_000)
        assert found.low > plain.low + 0.003  # skewed to the right: the interval moves there
        assert found.high > plain.high + 0.003

    @pytest.mark.parametrize("way", ["percentile", "bca"])
    def test_it_covers_the_truth_as_often_as_it_says(self, way):
        rng = np.random.default_rng(0)
        samples = rng.normal(size=(30, 400))  # columns are 400 experiments of 30 clips
        found = bootstrap(samples, level=0.9, draws=400, way=way)
        covered = np.mean((found.low <= 0) & (found.high >= 0))
        assert 0.84 < covered < 0.94
        assert (found.low <= found.value).all()
        assert (found.value <= found.high).all()

    def test_columns_are_what_single_columns_are(self):
        table = np.random.default_rng(0).normal(size=(12, 3))
        table[2, 1] = np.nan
        for way in ("percentile", "bca"):
            together = bootstrap(table, way=way, draws=300)
            for i in range(3):
                alone = bootstrap(table[:, i], way=way, draws=300)
                np.testing.assert_allclose([together.low[i], together.high[i]], [alone.low, alone.high])

    def test_the_same_seed_gives_the_same_and_memory_is_bounded(self, monkeypatch):
        a, b = bootstrap(VALUES, seed=1), bootstrap(VALUES, seed=2)
        assert (a.low, a.high) == bootstrap(VALUES, seed=1)[1:3]
        assert a.low != b.low
        monkeypatch.setattr("otoscope.metrics.statistics.CHUNK", 40 * 7)
        _weights.cache_clear()
        np.testing.assert_allclose(bootstrap(VALUES, seed=1)[1:3], (a.low, a.high), rtol=1e-12)
        _weights.cache_clear()

    @given(st.floats(0.5, 10), st.floats(-5, 5), st.sampled_from(["percentile", "bca"]))
    @settings(max_examples=15, deadline=None)
    def test_scale_and_offset_go_through(self, gain, offset, way):
        plain, moved = (bootstrap(v, draws=200, way=way) for v in (VALUES, gain * VALUES + offset))
        for a, b in zip(plain[:3], moved[:3]):
            assert b == pytest.approx(gain * a + offset, abs=1e-6)

    @pytest.mark.parametrize("way", ["percentile", "bca"])
    def test_clips_that_say_nothing(self, way):
        table = np.array([[1.0, np.nan, np.nan, 2.0], [3.0, 5.0, np.nan, 2.0], [np.nan, np.nan, np.nan, 2.0]])
        found = bootstrap(table, way=way, draws=500)
        assert found.n.tolist() == [2, 1, 0, 3]
        np.testing.assert_array_equal(found.value, [2.0, 5.0, np.nan, 2.0])
        assert np.isnan(found.low[1:3]).all()  # one clip has no spread
        assert np.isnan(found.high[1:3]).all()
        assert 1.0 <= found.low[0] <= 2.0 <= found.high[0] <= 3.0
        assert found.low[3] == found.high[3] == 2.0
        assert np.isnan(bootstrap(np.zeros((0, 2))).value).all()
        alone = bootstrap(np.array([3.0]), way=way)
        assert alone.value == 3.0
        assert np.isnan([alone.low, alone.high]).all()

    @pytest.mark.parametrize(
        ("change", "error", "words"),
        [
            ({"values": np.zeros((2, 2, 2))}, ShapeError, r"got shape \(2, 2, 2\)"),
            ({"values": np.array([1, np.inf])}, NonFiniteError, "1 values over clips are infinite"),
            ({"level": 95}, ParameterError, "between 0 and 1; got 95"),
            ({"draws": 0}, ParameterError, "draws must be a whole number of at least 1; got 0"),
            ({"way": "normal"}, ParameterError, "percentile or bca; got 'normal'"),
        ],
    )
    def test_bad_input(self, change, error, words):
        with pytest.raises(error, match=words):
            bootstrap(**({"values": VALUES} | change))


class TestAgreement:
    def test_metrics_that_rank_alike_and_the_other_way_round(self):
        rng = np.random.default_rng(0)
        quality = np.array([0.1, 0.4, 0.6, 0.9])
        a, b = (quality + 0.05 * rng.normal(size=(30, 4)) for _ in range(2))
        for order in ("kendall", "spearman"):
            same, turned = agreement(a, b, order), agreement(a, -b, order)
            assert (same.value, same.low, same.high) == (1.0, 1.0, 1.0)
            assert (turned.value, turned.low, turned.high) == (-1.0, -1.0, -1.0)

    def test_means_that_are_not_settled_have_a_wide_interval(self):
        a, b = np.random.default_rng(1).normal(size=(2, 10, 5))
        found = agreement(a, b)
        assert found.high - found.low > 0.7
        assert found.low <= found.value <= found.high
        assert found.value == pytest.approx(slow.kendall(a.mean(0), b.mean(0)))
        assert agreement(a, b, "spearman").value == pytest.approx(
            slow.pearson(slow.ranks(a.mean(0)), slow.ranks(b.mean(0)))
        )
        assert found[:3] == agreement(a, b)[:3]

    def test_the_interval_is_that_of_clips_drawn_again(self):
        rng = np.random.default_rng(2)
        a, b = rng.normal(size=(2, 12, 4)) + np.arange(4) / 3
        drawn = []
        for _ in range(1500):
            rows = rng.integers(0, 12, 12)
            drawn.append(slow.kendall(a[rows].mean(0), b[rows].mean(0)))
        found = agreement(a, b, draws=1500)
        np.testing.assert_allclose((found.low, found.high), np.quantile(drawn, [0.025, 0.975]), atol=0.2)

    def test_what_says_nothing(self):
        a, b = np.random.default_rng(0).normal(size=(2, 6, 3))
        holes = a.copy()
        holes[0, 0] = np.nan
        assert agreement(holes, b).value == pytest.approx(slow.kendall(np.nanmean(holes, 0), b.mean(0)))
        assert math.isnan(agreement(np.ones((6, 3)), b).value)
        nothing = a.copy()
        nothing[:, 1] = np.nan
        assert math.isnan(agreement(nothing, b).low)
        assert math.isnan(agreement(a[:1], b[:1]).low)

    @pytest.mark.parametrize(
        ("first", "order", "error", "words"),
        [
            (np.ones((3, 2)), "pearson", ParameterError, "ranked by kendall or spearman; got 'pearson'"),
            (np.ones((2, 3)), "kendall", ShapeError, "of one shape"),
            (np.ones(3), "kendall", ShapeError, "of one shape"),
        ],
    )
    def test_bad_input(self, first, order, error, words):
        with pytest.raises(error, match=words):
            agreement(first, np.ones((3, 2)), order)


def test_the_interval_of_a_share():
    """Newcombe 1998, table I: 81 of 263 gives .2553 to .3662; none of 20 gives 0 to .1611."""
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)
    assert wilson_interval(0, 0) == (0.0, 1.0)
