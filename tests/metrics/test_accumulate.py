"""Accumulated metrics: means by hand, and that neither order nor parts matter."""

import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otoscope.core.errors import NonFiniteError, ParameterError
from otoscope.metrics import Accumulator, bootstrap

VALUE = st.one_of(st.just(math.nan), st.floats(-1e6, 1e6))
ROWS = st.lists(st.dictionaries(st.sampled_from(["a", "b", "c"]), VALUE), max_size=8)


def gathered(rows):
    out = Accumulator()
    for row in rows:
        out.update(row)
    return out


def test_by_hand():
    found = gathered(
        [{"a": 1.0, "b": math.nan}, {"a": 3, "b": math.nan}, {"c": np.float32(0.5), "a": True}, {}]
    ).compute()
    assert list(found) == ["a", "b", "c"]
    assert found["a"][:3] == (5 / 3, 3, 1)
    assert math.isnan(found["b"].mean)
    assert found["b"][1:3] == (0, 4)
    assert found["c"][:3] == (0.5, 1, 3)
    assert np.isnan([value for one in found.values() for value in one[3:]]).all()  # no interval was requested


def test_large_and_small_do_not_lose_each_other():
    assert gathered([{"a": v} for v in (1e16, 1.0, -1e16)]).compute()["a"].mean == 1 / 3


@given(ROWS, ROWS, st.randoms())
@settings(max_examples=60, deadline=None)
def test_parts_and_order_do_not_matter(first, second, random):
    together = gathered(first + second)
    merged = gathered(first).merge(gathered(second))
    mixed = first + second
    random.shuffle(mixed)
    assert len(together) == len(merged) == len(first) + len(second)
    wanted = together.compute(level=0.9, draws=40)
    for other in (merged, gathered(second).merge(gathered(first)), gathered(mixed)):
        found = other.compute(level=0.9, draws=40)
        assert list(found) == list(wanted)
        np.testing.assert_array_equal([found[n] for n in wanted], [wanted[n] for n in wanted])


@given(ROWS)
@settings(max_examples=40, deadline=None)
def test_means_are_those_of_a_table(rows):
    for name, found in gathered(rows).compute().items():
        column = [row[name] for row in rows if not math.isnan(row.get(name, math.nan))]
        assert found.n == len(column)
        assert found.n + found.missing == len(rows)
        assert found.mean == pytest.approx(math.nan if not column else sum(column) / len(column), abs=1e-6, nan_ok=True)


def test_intervals_are_those_of_the_bootstrap():
    values = np.sort(np.random.default_rng(0).exponential(size=30))
    found = gathered([{"a": v} for v in values[::-1]]).compute(level=0.9, draws=300, seed=4)["a"]
    wanted = bootstrap(values, 0.9, 300, 4)
    assert (found.mean, found.low, found.high) == pytest.approx((wanted.value, wanted.low, wanted.high))
    assert found.low < found.mean < found.high
    lone = gathered([{"a": 2.0}]).compute(level=0.9)["a"]
    assert lone.mean == 2.0
    assert math.isnan(lone.low)


def test_what_is_merged_stays_and_workers_can_send_it():
    one, other = gathered([{"a": 1.0}]), gathered([{"a": 2.0}, {"a": 6.0}])
    one.merge(pickle.loads(pickle.dumps(other)))
    one.update({"a": 7.0})
    assert one.compute()["a"][:2] == (4.0, 4)
    assert other.compute()["a"][:2] == (4.0, 2)
    one.merge(one)
    assert one.compute()["a"][:2] == (4.0, 8)


def test_what_was_given_may_change_afterwards():
    row = {"a": 1.0}
    out = gathered([row])
    row["a"] = 5.0
    assert out.compute()["a"].mean == 1.0


def test_reset_and_nothing():
    out = gathered([{"a": 1.0}])
    out.reset()
    assert len(out) == 0
    assert out.compute() == out.compute(level=0.9) == {}
    assert gathered([{}]).compute(level=0.9) == {}


@pytest.mark.parametrize(
    ("row", "error", "words"),
    [
        ({"a": 1.0, "b": "ok"}, ParameterError, "b is 'ok'"),
        ({"b": None}, ParameterError, "b is None"),
        ({"b": np.ones(2)}, ParameterError, "metrics over clips must be numbers"),
        ({"a": 1.0, "b": -math.inf}, NonFiniteError, "b is infinite"),
    ],
)
def test_what_is_no_number_is_refused_whole(row, error, words):
    out = gathered([{"a": 3.0}])
    with pytest.raises(error, match=words):
        out.update(row)
    assert out.compute()["a"][:3] == (3.0, 1, 0)


def test_bad_levels_and_others():
    with pytest.raises(ParameterError, match="between 0 and 1; got 95"):
        gathered([{"a": 1.0}, {"a": 2.0}]).compute(level=95)
    with pytest.raises(ParameterError, match="merges with another; got dict"):
        Accumulator().merge({"a": 1.0})
