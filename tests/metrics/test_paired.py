"""Paired tests against slow twins, SciPy, exact answers, and their own promise: how often they are right."""

import math
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otoscope.core.errors import MissingExtraError, NonFiniteError, ParameterError, ShapeError
from otoscope.metrics import compare, holm, sign_flip, wilcoxon
from reference import statistics as slow

VALUES = np.random.default_rng(7).exponential(size=40)


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
        with pytest.raises(MissingExtraError, match=r"'\.\[components\]'"):
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
