"""Mask functions against their slow twins, by exact counts, and on maps in which nothing stands out."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as some

from otoscope.core import registry
from otoscope.masks import functions as f
from otoscope.masks.functions import smooth
from reference import masks as slow

PAIRS = [
    ("minmax", {}), ("sigmoid", {}), ("binary", {}), ("positive", {}), ("positive:sigmoid", {}),
    *[(name, {"keep": k}) for name in ("topk", "positive:topk") for k in (0.0, 0.05, 0.3, 0.5, 0.77, 1.0)],
    *[("positive:threshold", {"threshold": t}) for t in (0.0, 0.25, 0.5, 0.75, 1.0)],
]  # fmt: skip
FINITE = st.floats(-1e6, 1e6, allow_subnormal=False).map(lambda v: float(np.float32(v)))
MAPS = some.arrays(
    np.float64, some.array_shapes(min_dims=2, max_dims=2, max_side=6), elements=FINITE | st.integers(-2, 2).map(float)
)


def run(name, values, settings_):
    return registry.get("mask", name).target(values, **settings_)


def signed(shape=(5, 7), seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


@pytest.mark.parametrize(("name", "settings_"), PAIRS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (6, 1), (5, 7)])
def test_equals_its_twin(name, settings_, shape):
    twin = getattr(slow, name.replace(":", "_"))
    for values in (signed(shape), np.round(signed(shape, 1)), -np.abs(signed(shape)), np.full(shape, 0.1)):
        np.testing.assert_allclose(run(name, values, settings_), twin(values.tolist(), **settings_), atol=1e-9)


@pytest.mark.parametrize("make", [f.sigmoid_raw, f.positive_sigmoid_raw])
def test_the_published_sigmoid_takes_attributions_as_they_are(make):
    """Values of hundredths give halves; the twin is the formula, cell by cell."""
    values = signed()
    part = np.maximum(values, 0) if make is f.positive_sigmoid_raw else values
    np.testing.assert_allclose(make(values), [[1 / (1 + math.exp(-v)) for v in row] for row in part])
    np.testing.assert_allclose(make(values / 1000), 0.5, atol=1e-3)
    assert make(1e6 * values).max() == 1


@given(MAPS)
@settings(max_examples=40, deadline=None)
def test_every_mask_lies_between_zero_and_one_and_does_not_touch_its_input(values):
    before = values.copy()
    for entry in (e for e in registry.entries("mask") if not e.facts["searched"]):
        mask = entry.target(values, **entry.settings(None))
        assert mask.shape == values.shape
        assert mask.min() >= 0
        assert mask.max() <= 1
        assert np.isfinite(mask).all()
        np.testing.assert_array_equal(values, before)


@given(MAPS)
@settings(max_examples=40, deadline=None)
def test_declared_facts_hold(values):
    """A binary mask holds zeros and ones; a monotone one never keeps less of a cell with a higher value."""
    order = np.argsort(values.ravel(), kind="stable")
    for entry in (e for e in registry.entries("mask") if not e.facts["searched"]):
        mask = entry.target(values, **entry.settings(None))
        if entry.facts["binary"]:
            assert set(np.unique(mask)) <= {0.0, 1.0}
        if entry.facts["monotone"]:
            ranked, kept = values.ravel()[order], mask.ravel()[order]
            rising = ranked[1:] > ranked[:-1]
            assert (np.diff(kept)[rising] >= -1e-12).all(), entry.name
        if entry.family == "positive" and entry.name != "positive:sigmoid":
            assert not mask[values <= 0].any(), entry.name


@given(MAPS, st.floats(0, 1))
@settings(max_examples=40, deadline=None)
def test_top_k_keeps_an_exact_number(values, keep):
    mask = f.topk(values, keep)
    assert mask.sum() == round(keep * values.size)
    if 0 < mask.sum() < values.size:
        assert values[mask == 1].min() >= values[mask == 0].max()
    positive = f.positive_topk(values, keep)
    assert positive.sum() == min(mask.sum(), (values > 0).sum())


@pytest.mark.parametrize(("keep", "count"), [(0.05, 50), (0.3, 300), (0.5, 500), (0.3333, 333), (0, 0), (1, 1000)])
def test_top_k_counts(keep, count):
    assert f.topk(signed((20, 50)), keep).sum() == count
    assert f.topk(np.zeros((20, 50)), keep).sum() == count  # ties do not add any


@pytest.mark.parametrize("make", [f.topk_quantile, f.positive_topk_quantile])
@pytest.mark.parametrize("keep", [0.0, 0.05, 0.3, 0.5, 0.77, 1.0])
def test_ties_by_the_quantile_equal_their_twin(make, keep):
    for values in (signed(), np.round(signed((5, 7), 1)), -np.abs(signed()), np.full((3, 3), 0.1)):
        np.testing.assert_array_equal(make(values, keep), getattr(slow, make.__name__)(values.tolist(), keep))


@given(MAPS, st.floats(0, 1))
@settings(max_examples=40, deadline=None)
def test_ties_by_the_quantile_never_keep_less(values, keep):
    for make in (f.topk_quantile, f.positive_topk_quantile):
        mask = make(values, keep)
        assert mask.sum() >= np.floor(keep * values.size)
        assert set(np.unique(mask)) <= {0.0, 1.0}


def test_too_few_positive_cells_keep_everything_as_published():
    """The published quirk: the quantile of the positive part is 0, and 0 >= 0; such masks of ones "drop" nothing."""
    values = -np.abs(signed((20, 50)))
    values.flat[:400] *= -1  # 40 % are positive
    assert f.positive_topk_quantile(values, 0.5).all()
    assert f.positive_topk_quantile(values, 0.3).sum() == f.positive_topk(values, 0.3).sum() == 300
    assert f.positive_topk(values, 0.5).sum() == 400
    assert f.topk_quantile(np.full((3, 4), 0.2), 0.05).all()  # a constant map is kept whole
    assert f.topk_quantile(values, 0.5).sum() == 500


def test_ties_go_to_the_first_in_reading_order():
    assert f.topk(np.array([[0.0, 1, 1], [1, 1, 2]]), 0.5).tolist() == [[0, 1, 1], [0, 0, 1]]


@pytest.mark.parametrize("value", [0.0, 0.1, 1 / 3, 7.0, 1e30, -0.1])
def test_a_constant_map(value):
    """Nothing stands out: also where the mean of equal numbers is not quite that number."""
    values = np.full((7, 11), value)
    assert not f.minmax(values).any()
    assert (f.sigmoid(values) == 0.5).all()
    assert (f.binary(values) == (value > 0)).all()
    assert (f.positive(values) == (value > 0)).all()
    assert (f.positive_threshold(values, 0.5) == (value > 0)).all()
    assert f.topk(values, 0.3).sum() == 23
    assert f.energy(values, 0.5).sum() == (39 if value > 0 else 0)


def test_a_map_without_positive_values():
    values = -np.abs(signed()) - 0.1
    for mask in (f.binary(values), f.positive(values), f.positive_threshold(values, 0.0), f.positive_topk(values, 0.5)):
        assert not mask.any()
    assert not f.energy(values, 0.8).any()
    assert not f.energy(values, 1.0).any()
    assert (f.positive_sigmoid(values) == 0.5).all()
    assert f.topk(values, 0.2).sum() == 7
    assert f.minmax(values).max() == 1


class TestEnergy:
    @given(
        some.arrays(np.float64, (2, 4), elements=st.floats(-3, 3).map(lambda v: round(v, 3))),
        st.sampled_from([0.0, 0.1, 0.5, 0.8, 0.95, 1.0]),
    )
    @settings(max_examples=60, deadline=None)
    def test_is_the_smallest_set_with_the_share(self, values, share):
        mask = f.energy(values, share)
        part = np.maximum(values, 0)
        assert mask.sum() == slow.energy_size(values.tolist(), share)
        assert part[mask == 1].sum() >= share * part.sum() * (1 - 1e-9)

    def test_by_hand(self):
        values = np.array([[4.0, -9, 1], [3, 2, 0]])
        assert f.energy(values, 0.4).tolist() == [[1, 0, 0], [0, 0, 0]]
        assert f.energy(values, 0.41).tolist() == [[1, 0, 0], [1, 0, 0]]
        assert f.energy(values, 0.8).tolist() == [[1, 0, 0], [1, 1, 0]]
        assert f.energy(values, 1.0).tolist() == [[1, 0, 1], [1, 1, 0]]
        assert not f.energy(values, 0.0).any()

    def test_more_energy_never_keeps_less(self):
        values = signed((8, 8))
        sizes = [f.energy(values, s).sum() for s in np.linspace(0, 1, 21)]
        assert sizes == sorted(sizes)
        assert sizes[-1] == (values > 0).sum()


class TestSmooth:
    @given(MAPS.map(lambda v: np.abs(v) / max(1.0, np.abs(v).max())), st.floats(0.1, 5), st.floats(0.1, 5))
    @settings(max_examples=30, deadline=None)
    def test_keeps_the_range(self, values, sigma_freq, sigma_time):
        out = smooth(values, sigma_freq, sigma_time)
        assert out.shape == values.shape
        assert out.min() >= values.min()
        assert out.max() <= values.max()

    def test_zero_leaves_it_alone(self):
        values = signed()
        np.testing.assert_array_equal(smooth(values, 0, 0), values)

    def test_keeps_the_sum_of_what_lies_inside(self):
        values = np.zeros((41, 61))
        values[15:25, 20:40] = np.random.default_rng(0).random((10, 20))
        assert smooth(values, 2.0, 3.0).sum() == pytest.approx(values.sum(), rel=1e-9)

    def test_is_a_gaussian_of_that_width(self):
        values = np.zeros((61, 81))
        values[30, 40] = 1.0
        out = smooth(values, 3.0, 5.0)
        cells = np.arange(81) - 40
        assert np.sqrt((out.sum(0) * cells**2).sum()) == pytest.approx(5.0, rel=0.01)
        assert np.sqrt((out.sum(1) * (np.arange(61) - 30) ** 2).sum()) == pytest.approx(3.0, rel=0.01)
        assert out[30, 45] / out[30, 40] == pytest.approx(np.exp(-0.5), rel=1e-6)

    def test_each_axis_by_itself(self):
        values = np.zeros((9, 9))
        values[4, 4] = 1.0
        assert not smooth(values, 0, 1.0)[[0, 3, 5, 8]].any()
        assert not smooth(values, 1.0, 0)[:, [0, 3, 5, 8]].any()

    def test_the_edges_repeat(self):
        np.testing.assert_allclose(smooth(np.ones((3, 4)), 2.0, 50.0), 1.0)
        step = np.repeat([[0.0, 1.0]], 20, axis=1)
        assert smooth(step, 0, 1.0)[0, 0] == 0
        assert smooth(step, 0, 1.0)[0, -1] == 1

    def test_one_cell_has_nothing_to_smooth_with(self):
        assert smooth(np.array([[0.3]]), 2.0, 2.0).tolist() == [[0.3]]
