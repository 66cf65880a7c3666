"""Intervals and tests against slow twins, SciPy, exact answers, and their own promise: how often they are right."""

import math
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otoscope.core.errors import MissingExtraError, NonFiniteError, ParameterError, ShapeError
from otoscope.metrics import agreement, bootstrap, compare, holm, sign_flip, wilcoxon
from otoscope.metrics.statistics import _weights
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


class TestSignFlip:
    @given(st.lists(st.floats(-3, 3).map(lambda v: round(v, 2)), min_size=1, max_size=9))
    @settings(max_examples=40, deadline=None)
    def test_few_pairs_are_tried_in_every_way(self, gaps):
        found = sign_flip(np.array(gaps), np.zeros(len(gaps)))
        assert found.p == pytest.approx(slow.sign_flip(gaps))
        assert found.difference == pytest.approx(np.mean(gaps))
        assert found.n == len(gaps)

    def test_many_pairs_are_drawn(self):
        stats = pytest.importorskip("scipy.stats")
        gaps = np.random.default_rng(3).normal(0.35, 1.0, 30)
        wanted = stats.ttest_1samp(gaps, 0).pvalue  # close to it for so many
        assert sign_flip(gaps, 0 * gaps).p == pytest.approx(wanted, abs=0.015)
        assert sign_flip(gaps, 0 * gaps, seed=1).p == sign_flip(gaps, 0 * gaps, seed=1).p
        assert sign_flip(gaps + 5, 0 * gaps, draws=999).p == pytest.approx(1 / 1000)  # never 0

    def test_it_is_wrong_as_often_as_it_says(self):
        rng = np.random.default_rng(0)
        p = [sign_flip(*rng.exponential(size=(2, 12)), draws=4096).p for _ in range(300)]
        assert 0.02 < np.mean(np.array(p) <= 0.05) < 0.09

    def test_swapping_the_two_changes_the_sign_alone(self):
        a, b = np.random.default_rng(1).normal(size=(2, 8))
        one, other = sign_flip(a, b), sign_flip(b, a)
        assert one.p == other.p
        assert one.difference == -other.difference

    def test_pairs_that_say_nothing_are_left_out(self):
        a, b = np.array([1.0, np.nan, 2.0, 3.0]), np.array([0.0, 1.0, np.nan, 1.0])
        assert sign_flip(a, b) == sign_flip(np.array([1.0, 3.0]), np.array([0.0, 1.0]))
        nothing = sign_flip(np.array([np.nan]), np.array([1.0]))
        assert math.isnan(nothing.p)
        assert nothing.n == 0
        assert sign_flip(np.ones(5), np.ones(5)).p == 1.0


class TestWilcoxon:
    def test_equals_that_of_scipy(self):
        stats = pytest.importorskip("scipy.stats")
        a, b = np.random.default_rng(0).normal(size=(2, 25))
        found = wilcoxon(a, b)
        assert found.p == pytest.approx(stats.wilcoxon(a - b).pvalue)
        assert found.difference == pytest.approx((a - b).mean())

    def test_a_textbook_answer(self):
        """Six pairs that all differ one way: 2 of the 64 ways to sign them are as extreme."""
        pytest.importorskip("scipy.stats")
        assert wilcoxon(np.arange(1.0, 7.0), np.zeros(6)).p == pytest.approx(2 / 64)

    def test_pairs_without_difference_are_ranked_and_count_for_nobody(self):
        """Two zeros take the lowest ranks: of the 64 ways to sign ranks 3 to 8, 14 are as extreme; without the zeros, 10."""
        stats = pytest.importorskip("scipy.stats")
        gaps = np.array([0.0, 0, -1, -2, 3, 4, 5, 6])
        assert wilcoxon(gaps, 0 * gaps).p == pytest.approx(14 / 64)
        assert wilcoxon(gaps[2:], np.zeros(6)).p == pytest.approx(10 / 64)
        many = np.round(np.random.default_rng(0).normal(0.3, 1.0, 60))
        ways = {way: stats.wilcoxon(many, zero_method=way).pvalue for way in ("pratt", "zsplit", "wilcox")}
        assert len(set(ways.values())) == 3
        assert wilcoxon(many, 0 * many).p == ways["pratt"]

    def test_nothing_to_compare(self):
        assert wilcoxon(np.ones(4), np.ones(4)).p == 1.0
        assert math.isnan(wilcoxon(np.array([np.nan]), np.ones(1)).p)

    def test_without_scipy_it_says_what_is_missing(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "scipy.stats", None)
        with pytest.raises(MissingExtraError, match=r"otoscope\[components\]"):
            wilcoxon(np.arange(3.0), np.zeros(3))


@pytest.mark.parametrize("test", [sign_flip, wilcoxon])
def test_paired_tests_want_pairs(test):
    with pytest.raises(ShapeError, match=r"of the same clips; got shapes \(3,\) and \(4,\)"):
        test(np.zeros(3), np.zeros(4))
    with pytest.raises(NonFiniteError):
        test(np.array([np.inf, 1]), np.zeros(2))


class TestHolm:
    @given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
    @settings(max_examples=40, deadline=None)
    def test_equals_its_twin(self, p):
        found = holm(np.array(p))
        np.testing.assert_allclose(found, slow.holm(p))
        assert (found >= np.array(p)).all()
        assert (found <= 1).all()

    def test_by_hand(self):
        assert holm(np.array([0.01, 0.04, 0.03])).tolist() == pytest.approx([0.03, 0.06, 0.06])
        np.testing.assert_allclose(holm(np.array([[0.01, np.nan], [0.5, 0.02]])), [[0.03, np.nan], [0.5, 0.04]])
        assert holm(np.zeros(0)).shape == (0,)
        assert np.isnan(holm(np.array([np.nan]))).all()
        with pytest.raises(ParameterError, match=r"must lie in \[0, 1\]"):
            holm(np.array([1.2]))


def test_every_method_against_the_best():
    rng = np.random.default_rng(0)
    table = rng.normal(size=(40, 1)) + np.array([1.0, 0.95, 0.0]) + 0.3 * rng.normal(size=(40, 3))
    found = compare(table, 0)
    assert math.isnan(found[0].p)
    assert found[0].difference == 0.0
    assert found[2].p < 0.001 < 0.05 < found[1].p
    assert found[2].difference == pytest.approx((table[:, 2] - table[:, 0]).mean())
    plain = sign_flip(table[:, 2], table[:, 0])
    assert found[2].p == pytest.approx(2 * plain.p)
    for bad in (3, -1):
        with pytest.raises(ShapeError, match="the chosen one is one of them"):
            compare(table, bad)


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
