"""Metrics against closed forms and their slow twins."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otoscope.core import registry
from otoscope.core.errors import ParameterError
from otoscope.metrics import (
    average_drop,
    average_drop_speechbrain,
    average_gain,
    average_increase,
    complexity,
    faithfulness,
    input_fidelity,
    mask_size,
    sparseness,
)
from reference import metrics as slow

P = st.floats(0.001, 0.999)
PROPERTY = settings(max_examples=50, deadline=None)


class TestScores:
    @given(P, P)
    @PROPERTY
    def test_equal_their_twins_and_keep_their_range(self, before, after):
        for mine, twin in (
            (faithfulness, slow.faithfulness),
            (average_drop, slow.average_drop),
            (average_gain, slow.average_gain),
        ):
            assert mine(before, after) == pytest.approx(twin(before, after), abs=1e-9)
        facts = {e.target: e.facts for e in registry.entries("metric")}
        for metric in (faithfulness, average_drop, average_gain, average_increase):
            assert facts[metric]["low"] <= metric(before, after) <= facts[metric]["high"]

    @given(P, st.floats(0.001, 0.5))
    @PROPERTY
    def test_increase_equals_its_twin(self, before, step):
        for after in (before + step, before - step, before):
            assert average_increase(before, after) == slow.average_increase(before, after)

    def test_by_hand(self):
        assert faithfulness(0.9, 0.2) == pytest.approx(0.7)
        assert faithfulness(0.2, 0.9) == pytest.approx(-0.7)
        assert average_drop(0.8, 0.2) == pytest.approx(75.0)
        assert average_drop(0.2, 0.8) == 0.0
        assert average_gain(0.5, 0.75) == pytest.approx(50.0)
        assert average_gain(0.75, 0.5) == 0.0
        assert average_increase(0.5, 0.6) == 100.0
        assert average_increase(0.6, 0.5) == 0.0

    def test_a_mask_of_ones_drops_gains_and_increases_nothing(self):
        for p in (0.0, 0.3, 1.0):
            assert average_increase(p, p) == average_gain(p, p) == 0.0
            assert faithfulness(p, p) == 0.0
        assert average_drop(0.3, 0.3) == 0.0

    def test_ties_by_float_noise_are_no_increase(self):
        assert average_increase(0.5, 0.5 + 9e-5) == 0.0
        assert average_increase(0.5, 0.5 + 2e-4) == 100.0

    def test_the_margin_can_be_the_published_one(self):
        """Masks of ones "increase" by float noise there."""
        assert average_increase(0.5, 0.5 + 1e-9, margin=0.0) == 100.0
        assert average_increase(0.5, 0.5, margin=0.0) == 0.0
        assert average_increase(0.5, 0.6, margin=0.2) == 0.0

    @pytest.mark.parametrize("metric", [faithfulness, average_drop, average_gain, average_increase])
    def test_what_went_in_as_nan_comes_out_as_nan(self, metric):
        assert math.isnan(metric(math.nan, 0.5))
        assert math.isnan(metric(0.5, math.nan))
        assert math.isnan(input_fidelity(np.array([math.nan, 0.5]), np.array([0.5, 0.5])))
        assert math.isnan(input_fidelity(np.array([0.5, 0.5]), np.array([0.5, math.nan])))

    def test_where_nothing_can_be_said(self):
        assert math.isnan(average_drop(0.0, 0.5))
        assert average_gain(1.0, 1.0) == 0.0
        assert average_gain(1.0, 0.2) == 0.0

    def test_the_drop_is_not_softmaxed_twice(self):
        """SpeechBrain prints 20.5 for this one."""
        assert average_drop(0.25, 0.02) == pytest.approx(92.0)

    @pytest.mark.parametrize(("before", "after", "printed"), [(0.25, 0.02, 20.5), (0.9, 0.02, 58.1)])
    def test_the_drop_as_speechbrain_prints_it(self, before, after, printed):
        """Of 50 classes, the others alike: true drops of 92 and 97.8 %."""
        p, q = (np.where(np.arange(50) == 3, v, (1 - v) / 49) for v in (before, after))
        assert average_drop_speechbrain(p, q, 3) == pytest.approx(printed, abs=0.05)

    def test_the_drop_of_a_masked_output_that_is_even(self):
        """With 50 classes and an even output nothing loses more than this."""
        sure = np.eye(50)[7]
        assert average_drop_speechbrain(sure, np.full(50, 0.02), 7) == pytest.approx(61.9, abs=0.05)
        assert average_drop_speechbrain(sure, sure, 7) == 0.0
        assert average_drop_speechbrain(np.full(50, 0.02), sure, 7) == 0.0

    @given(st.lists(P, min_size=4, max_size=4), st.lists(P, min_size=4, max_size=4), st.integers(0, 3))
    @PROPERTY
    def test_the_drop_as_speechbrain_computes_it_equals_its_twin(self, before, after, target):
        found = average_drop_speechbrain(np.array(before), np.array(after), target)
        assert found == pytest.approx(slow.average_drop_speechbrain(before, after, target), abs=1e-9)
        assert 0 <= found <= 100

    @pytest.mark.parametrize(("shape", "target"), [((3,), 3), ((3,), -1), ((2,), 0)])
    def test_the_drop_needs_all_classes(self, shape, target):
        with pytest.raises(ParameterError, match="needs the probabilities of all classes"):
            average_drop_speechbrain(np.full(3, 1 / 3), np.full(shape, 0.5), target)

    @given(st.lists(P, min_size=3, max_size=3), st.lists(P, min_size=3, max_size=3))
    @PROPERTY
    def test_input_fidelity_equals_its_twin(self, before, after):
        assert input_fidelity(np.array(before), np.array(after)) == slow.input_fidelity(before, after)

    def test_input_fidelity_compares_the_most_probable_classes(self):
        assert input_fidelity(np.array([0.1, 0.6, 0.3]), np.array([0.3, 0.4, 0.3])) == 1.0
        assert input_fidelity(np.array([0.1, 0.6, 0.3]), np.array([0.5, 0.4, 0.1])) == 0.0


class TestMask:
    @given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=12).filter(lambda m: sum(m) > 1e-6))
    @PROPERTY
    def test_equal_their_twins_and_keep_their_range(self, mask):
        gini, entropy = sparseness(np.array(mask)), complexity(np.array(mask))
        assert gini == pytest.approx(slow.gini(mask), abs=1e-9)
        assert entropy == pytest.approx(slow.entropy(mask), abs=1e-9)
        assert 0 <= gini <= 1
        assert 0 <= entropy <= math.log(len(mask)) + 1e-9
        assert mask_size(np.array(mask)) == pytest.approx(sum(mask) / len(mask))

    @pytest.mark.parametrize("keep", [0.05, 0.3, 0.5, 1.0])
    @pytest.mark.parametrize("shape", [(20, 50), (64, 500)])
    def test_a_binary_mask_in_closed_form(self, keep, shape):
        """Keeping a fraction k of n cells: sparseness 1 - k, complexity ln(kn)."""
        n = shape[0] * shape[1]
        mask = np.zeros(n, np.float32)
        mask[np.random.default_rng(0).permutation(n)[: round(keep * n)]] = 1
        assert sparseness(mask.reshape(shape)) == pytest.approx(1 - keep, abs=1e-9)
        assert complexity(mask.reshape(shape)) == pytest.approx(math.log(keep * n), abs=1e-9)
        assert mask_size(mask.reshape(shape)) == pytest.approx(keep)

    @pytest.mark.parametrize(
        ("shape", "keep", "wanted"),
        [
            ((64, 501), 1.0, 10.3755), ((64, 501), 0.05, 7.380), ((64, 501), 0.3, 9.171), ((64, 501), 0.5, 9.682),
            ((257, 313), 1.0, 11.2953), ((257, 313), 0.05, 8.30), ((257, 313), 0.3, 10.09), ((257, 313), 0.5, 10.60),
        ],
    )  # fmt: skip
    def test_complexities_of_the_literatures_grids(self, shape, keep, wanted):
        mask = np.zeros(shape[0] * shape[1])
        mask[: round(keep * mask.size)] = 1
        assert complexity(mask.reshape(shape)) == pytest.approx(wanted, abs=0.005 if keep < 1 else 5e-5)

    @pytest.mark.parametrize("value", [1.0, 0.1, 1 / 3, 1e-6])
    def test_an_even_mask_has_no_sparseness_and_the_highest_complexity(self, value):
        """audiointerp gives it a complexity of 0, the best score."""
        mask = np.full((7, 11), value, np.float32)
        assert sparseness(mask) == pytest.approx(0.0, abs=1e-12)
        assert sparseness(mask) >= 0
        assert complexity(mask) == pytest.approx(math.log(77))

    @pytest.mark.parametrize("mask", [np.ones((3, 4)), np.zeros((3, 4)), np.full((3, 4), 0.3) + 2e-6 * np.eye(3, 4)])
    def test_even_masks_as_published(self, mask):
        """audiointerp gives every mask that hardly differs 0, also the empty one."""
        assert sparseness(mask, even_as_zero=True) == complexity(mask, even_as_zero=True) == 0.0
        other = mask.copy()
        other[0, 0] = 0.5
        assert sparseness(other, even_as_zero=True) == sparseness(other) > 0
        assert complexity(other, even_as_zero=True) == complexity(other)

    @pytest.mark.parametrize("metric", [sparseness, complexity])
    def test_masks_that_are_none(self, metric):
        with pytest.raises(ParameterError, match=r"values of at least 0; the lowest is -0\.5"):
            metric(np.array([[0.5, -0.5]]))
        assert math.isnan(metric(np.array([[0.5, np.nan]])))
        assert math.isnan(metric(np.zeros((0, 3))))

    def test_of_an_empty_mask_nothing_can_be_said(self):
        assert math.isnan(sparseness(np.zeros((3, 4))))
        assert math.isnan(complexity(np.zeros((3, 4))))
        assert mask_size(np.zeros((3, 4))) == 0.0
        assert mask_size(np.zeros((0, 4))) == 0.0

    def test_one_cell(self):
        mask = np.zeros((10, 10))
        mask[3, 4] = 0.2
        assert sparseness(mask) == pytest.approx(0.99)
        assert complexity(mask) == 0.0
        assert str(complexity(mask)) == "0.0"  # not -0.0

    @given(st.lists(st.floats(0.01, 1), min_size=2, max_size=8), st.floats(0.01, 1))
    @PROPERTY
    def test_the_level_of_the_mask_does_not_matter(self, mask, gain):
        mask = np.array(mask)
        assert sparseness(mask * gain) == pytest.approx(sparseness(mask), abs=1e-9)
        assert complexity(mask * gain) == pytest.approx(complexity(mask), abs=1e-9)


def test_declared_directions_hold():
    """Doing better moves each metric the way its facts say."""
    sparse, even = np.array([1.0, 0, 0, 0]), np.ones(4)
    better_first = {
        "faithfulness": (faithfulness(0.9, 0.1), faithfulness(0.9, 0.8)),
        "average_increase": (average_increase(0.5, 0.9), average_increase(0.5, 0.1)),
        "average_drop": (average_drop(0.5, 0.4), average_drop(0.5, 0.1)),
        "average_gain": (average_gain(0.5, 0.9), average_gain(0.5, 0.6)),
        "average_drop_speechbrain": (
            average_drop_speechbrain(np.array([0.5, 0.5]), np.array([0.4, 0.6]), 0),
            average_drop_speechbrain(np.array([0.5, 0.5]), np.array([0.1, 0.9]), 0),
        ),
        "input_fidelity": (input_fidelity(even, even), input_fidelity(sparse, sparse[::-1])),
        "sparseness": (sparseness(sparse), sparseness(even)),
        "complexity": (complexity(sparse), complexity(even)),
        "mask_size": (mask_size(sparse), mask_size(even)),
    }
    entries = [e for e in registry.entries("metric") if e.facts["of"] in ("scores", "mask")]
    assert {e.name for e in entries} == set(better_first)
    for entry in entries:
        better, worse = better_first[entry.name]
        assert (better > worse) == entry.facts["higher_is_better"], entry.name
