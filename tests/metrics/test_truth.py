"""Truth metrics against slow twins, by hand, and where they can say nothing."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otoscope.core import registry
from otoscope.core.errors import NonFiniteError, OtoscopeError, ParameterError, ShapeError
from otoscope.metrics.oracle import ideal_binary_mask, ideal_ratio_mask
from otoscope.metrics.signal import si_sdr_db
from otoscope.metrics.truth import (
    average_precision,
    f1,
    pointing_game,
    precision,
    recall,
    relevance_mass,
    relevance_mass_energy,
    roc_auc,
    si_sdr_improvement_db,
    time_iou,
    time_roc_auc,
)
from reference import truth as slow

SEEDS = st.integers(0, 200)
PROPERTY = settings(max_examples=40, deadline=None)


def world(seed, shape=(4, 6)):
    """Attributions with ties, a truth with both kinds of cells, energies."""
    rng = np.random.default_rng(seed)
    inside = (rng.random(shape) > 0.6).astype(float)
    inside.flat[:2] = 0, 1
    return np.round(rng.normal(size=shape), 1), inside, rng.exponential(size=shape), rng.random(shape)


class TestSound:
    def test_taking_the_rest_away_wins_what_it_had(self):
        n = np.arange(8000)
        source, rest = np.sin(2 * np.pi * 100 * n / 8000), np.sin(2 * np.pi * 350 * n / 8000)
        for gain, wanted in ((0.1, 20.0), (0.5, 20 * math.log10(2)), (1.0, 0.0), (2.0, -20 * math.log10(2))):
            assert si_sdr_improvement_db(source + gain * rest, source + rest, source) == pytest.approx(wanted, abs=1e-6)

    def test_is_the_difference_of_two(self):
        kept, mixture, source = np.random.default_rng(0).normal(size=(3, 500))
        mixture, kept = source + 0.5 * mixture, source + 0.3 * kept
        wanted = si_sdr_db(kept, source) - si_sdr_db(mixture, source)
        assert si_sdr_improvement_db(kept, mixture, source) == pytest.approx(float(wanted))
        two = [np.stack([x[:250], x[250:]]) for x in (kept, mixture, source)]
        assert si_sdr_improvement_db(*two) == pytest.approx(float(wanted))

    def test_no_infinities(self):
        """A copy, and a sound that has nothing of the source, count as 30 and -30 dB."""
        source, other = np.array([1.0, 0, 0, 0]), np.array([0, 1.0, 0, 0])
        assert si_sdr_improvement_db(source, source + other, source) == 30.0
        assert si_sdr_improvement_db(other, source + other, source) == -30.0
        assert si_sdr_improvement_db(source, source + other, source, limit_db=80.0) == 80.0
        assert si_sdr_improvement_db(source, other, source) == 60.0

    def test_keeping_nothing_is_no_way_out(self):
        """Silence has nothing of the source: as far below the mixture as can be, whatever that is."""
        sound, noise = np.random.default_rng(0).normal(size=(2, 400))
        for gain in (0.1, 1.0, 5.0):
            mixture = sound + gain * noise
            before = float(si_sdr_db(mixture, sound))
            assert si_sdr_improvement_db(0 * sound, mixture, sound) == pytest.approx(-30.0 - before)
        assert si_sdr_improvement_db(0 * sound, sound + 1e-3 * noise, sound) == -60.0
        assert si_sdr_improvement_db(0 * sound, sound + noise, sound, limit_db=80.0) < -79.0

    def test_where_nothing_can_be_said(self):
        sound, zero = np.array([1.0, -1, 0.5]), np.zeros(3)
        assert math.isnan(si_sdr_improvement_db(sound, sound + 1, zero))
        assert math.isnan(si_sdr_improvement_db(sound, sound, sound))

    def test_sounds_of_other_lengths_are_refused(self):
        with pytest.raises(ShapeError, match="of one length"):
            si_sdr_improvement_db(np.ones(4), np.ones(5), np.ones(5))


class TestMask:
    @given(SEEDS)
    @PROPERTY
    def test_equal_their_twins(self, seed):
        _, inside, energy, mask = world(seed)
        wanted = slow.precision_recall_f1(mask.ravel(), inside.ravel(), energy.ravel())
        found = [metric(mask, inside, energy) for metric in (precision, recall, f1)]
        np.testing.assert_allclose(found, wanted, rtol=1e-12)

    @given(SEEDS)
    @PROPERTY
    def test_the_ideal_mask_is_the_upper_bound(self, seed):
        source, rest = np.random.default_rng(seed).exponential(size=(2, 4, 6))
        inside, energy = ideal_binary_mask(source, rest), source + rest
        if not inside.any():
            return
        assert precision(inside, inside, energy) == recall(inside, inside, energy) == f1(inside, inside, energy) == 1.0
        ones = np.ones_like(inside)
        assert recall(ones, inside, energy) == 1.0
        assert precision(ones, inside, energy) == pytest.approx((inside * energy).sum() / energy.sum())
        wrong = 1 - inside
        if wrong.any():
            assert precision(wrong, inside, energy) == recall(wrong, inside, energy) == f1(wrong, inside, energy) == 0.0

    def test_with_a_ratio_mask_they_are_shares_of_energy(self):
        source, rest = np.array([[3.0, 1.0]]), np.array([[1.0, 5.0]])
        share, energy, mask = ideal_ratio_mask(source, rest), source + rest, np.array([[1.0, 0.5]])
        assert precision(mask, share, energy) == pytest.approx(3.5 / 7)  # of what is kept, the source's
        assert recall(mask, share, energy) == pytest.approx(3.5 / 4)  # of the source, what is kept

    def test_loud_cells_count_more(self):
        inside, mask = np.array([[1.0, 0.0]]), np.array([[1.0, 1.0]])
        assert precision(mask, inside, np.array([[9.0, 1.0]])) == pytest.approx(0.9)
        assert precision(mask, inside, np.array([[1.0, 9.0]])) == pytest.approx(0.1)

    def test_where_nothing_can_be_said(self):
        inside, energy, none = np.array([[1.0, 0.0]]), np.array([[1.0, 2.0]]), np.zeros((1, 2))
        assert math.isnan(precision(none, inside, energy))
        assert recall(none, inside, energy) == f1(none, inside, energy) == 0.0  # keeping nothing is no way out
        for metric in (precision, recall, f1):
            assert math.isnan(metric(inside, none, energy))
            assert math.isnan(metric(inside, inside, none))

    @pytest.mark.parametrize(("place", "what"), [(0, "mask"), (1, "ideal mask"), (2, "energy")])
    def test_negative_numbers_are_refused(self, place, what):
        given = [np.ones((1, 2)) for _ in range(3)]
        given[place][0, 0] = -1
        with pytest.raises(ParameterError, match=f"the {what} must hold numbers of at least 0"):
            f1(*given)


class TestAttribution:
    @given(SEEDS)
    @PROPERTY
    def test_equal_their_twins(self, seed):
        values, inside, _, share = world(seed)
        flat, true = values.ravel().tolist(), inside.ravel().tolist()
        assert roc_auc(values, inside) == pytest.approx(slow.auc(flat, true), abs=1e-12)
        assert average_precision(values, inside) == pytest.approx(slow.average_precision(flat, true), abs=1e-12)
        assert relevance_mass(values, inside) == pytest.approx(slow.relevance_mass(flat, true), abs=1e-12)
        assert relevance_mass_energy(values, share) == pytest.approx(
            slow.relevance_mass(flat, share.ravel()), abs=1e-12
        )
        for tolerance in (0, 1, 2):
            assert pointing_game(values, inside, tolerance) == pytest.approx(
                slow.pointing(values.tolist(), inside.tolist(), tolerance)
            )

    @pytest.mark.parametrize("seed", range(4))
    def test_equal_those_of_scikit_learn(self, seed):
        metrics = pytest.importorskip("sklearn.metrics")
        values, inside, _, _ = world(seed, (9, 11))
        assert roc_auc(values, inside) == pytest.approx(metrics.roc_auc_score(inside.ravel(), values.ravel()))
        assert average_precision(values, inside) == pytest.approx(
            metrics.average_precision_score(inside.ravel(), values.ravel())
        )

    @given(SEEDS, st.floats(1e-30, 1e30))
    @PROPERTY
    def test_the_level_of_the_attribution_does_not_matter(self, seed, gain):
        values, inside, _, share = world(seed)
        for metric, truth in (
            (roc_auc, inside),
            (average_precision, inside),
            (relevance_mass, share),
            (pointing_game, inside),
        ):
            assert metric(gain * values, truth) == pytest.approx(metric(values, truth), abs=1e-9)

    @given(SEEDS)
    @PROPERTY
    def test_laws(self, seed):
        values, inside, _, share = world(seed)
        assert roc_auc(-values, inside) == pytest.approx(1 - roc_auc(values, inside))
        assert roc_auc(values, 1 - inside) == pytest.approx(1 - roc_auc(values, inside))
        assert relevance_mass(values, inside) + relevance_mass(values, 1 - inside) == pytest.approx(1.0)
        assert roc_auc(share, inside) == roc_auc(np.exp(share), inside)  # only the order counts

    def test_right_wrong_and_even(self):
        inside = np.array([[1.0, 1, 0, 0], [0, 0, 0, 0]])
        for metric in (roc_auc, average_precision, relevance_mass, pointing_game):
            assert metric(inside, inside) == 1.0
        wrong = 1 - inside
        assert roc_auc(wrong, inside) == relevance_mass(wrong, inside) == pointing_game(wrong, inside, 0) - 0 == 0.0
        even = np.full((2, 4), 0.3)  # chance levels
        assert roc_auc(even, inside) == 0.5
        assert relevance_mass(even, inside) == average_precision(even, inside) == pointing_game(even, inside, 0) == 0.25
        assert pointing_game(even, inside, 1) == 6 / 8

    def test_pointing_forgives_a_cell_beside(self):
        values, inside = np.zeros((5, 5)), np.zeros((5, 5))
        values[1, 1], inside[3, 2] = 1, 1
        assert [pointing_game(values, inside, t) for t in (0, 1, 2)] == [0.0, 0.0, 1.0]

    def test_pointing_across_rows_that_are_no_bands(self):
        inside = np.zeros((3, 5))
        inside[1, 2] = 1
        hits = {}
        for bands in (True, False):
            hits[bands] = np.array([[pointing_game(_one(i, j), inside, 1, bands) for j in range(5)] for i in range(3)])
        assert hits[True].sum() == 9
        assert hits[False].tolist() == [[0] * 5, [0, 1, 1, 1, 0], [0] * 5]

    def test_negative_evidence_has_no_mass(self):
        assert relevance_mass(np.array([[2.0, -9.0, 2.0]]), np.array([[1.0, 1.0, 0.0]])) == 0.5

    def test_where_nothing_can_be_said(self):
        values, none = np.array([[0.3, 0.4]]), np.zeros((1, 2))
        for metric in (roc_auc, average_precision, relevance_mass, relevance_mass_energy, pointing_game):
            assert math.isnan(metric(values, none))
        assert math.isnan(roc_auc(values, none + 1))
        assert average_precision(values, none + 1) == 1.0
        assert math.isnan(relevance_mass(-values, np.array([[1.0, 0.0]])))
        assert math.isnan(relevance_mass(none, np.array([[1.0, 0.0]])))

    @pytest.mark.parametrize("metric", [roc_auc, average_precision, relevance_mass, pointing_game, time_iou])
    @pytest.mark.parametrize(
        ("values", "inside", "error", "words"),
        [
            (np.ones((2, 3)), np.ones((3, 2)), ShapeError, r"one shape and hold cells; got \[\(2, 3\), \(3, 2\)\]"),
            (np.ones((0, 3)), np.ones((0, 3)), ShapeError, "hold cells"),
            (np.array([[np.nan, 1]]), np.ones((1, 2)), NonFiniteError, "holds NaN or infinity"),
        ],
    )
    def test_bad_input(self, metric, values, inside, error, words):
        with pytest.raises(error, match=words) as caught:
            metric(values, inside)
        assert isinstance(caught.value, OtoscopeError)


def _one(i, j):
    values = np.zeros((3, 5))
    values[i, j] = 1
    return values


class TestTime:
    ACTIVE = np.array([0.0, 1.0, 1.0, math.nan, 0.0])

    def test_partly_covered_frames_count_for_nothing(self):
        values = np.array([0.1, 0.8, 0.9, 5.0, 0.2])
        assert time_roc_auc(values, self.ACTIVE) == 1.0
        assert time_roc_auc(-values, self.ACTIVE) == 0.0
        assert time_iou(values * (values > 0.5), self.ACTIVE) == 1.0

    def test_iou_by_hand(self):
        mask = np.array([0.0, 2.0, 0.9, 0.0, 1.1])
        assert time_iou(mask, self.ACTIVE) == pytest.approx(1 / 3)  # shown from 1.0 on: frames 1 and 4
        assert time_iou(mask, self.ACTIVE, 0.4) == pytest.approx(2 / 3)
        assert time_iou(mask, self.ACTIVE, 0.0) == pytest.approx(2 / 3)  # what is empty is not shown
        assert time_iou(10 * mask, self.ACTIVE) == pytest.approx(1 / 3)

    @given(SEEDS)
    @PROPERTY
    def test_iou_equals_its_twin(self, seed):
        rng = np.random.default_rng(seed)
        shown, true = rng.random((2, 12)) > 0.5
        true[0] = True
        assert time_iou(shown.astype(float), true.astype(float)) == pytest.approx(slow.iou(shown, true))

    def test_ones_empty_and_nothing_there(self):
        assert time_iou(np.ones(5), self.ACTIVE) == 0.5  # the share of the frames inside
        assert time_iou(np.zeros(5), self.ACTIVE) == 0.0
        for metric in (time_iou, time_roc_auc):
            assert math.isnan(metric(np.ones(3), np.array([0.0, 0.0, math.nan])))
        assert math.isnan(time_roc_auc(np.ones(3), np.ones(3)))


def test_declared_ranges_and_chance_are_there():
    entries = [e for e in registry.entries("metric") if e.facts["of"] == "truth"]
    assert len(entries) == 11
    for entry in entries:
        assert entry.family == "truth"
        assert entry.facts["higher_is_better"] is True
        assert entry.facts["low"] < entry.facts["high"]
        assert entry.facts["chance"]
