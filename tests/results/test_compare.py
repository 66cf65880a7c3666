"""Best and second best, intervals that hold the mean, tests on the same clips."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otoscope.metrics.paired import compare
from otoscope.results.compare import FLIPS, ClusterBootstrap, agreements, best_and_second, significance
from otoscope.results.metrics import Metric
from otoscope.results.select import means

ALL = np.ones(4, bool)


@pytest.mark.parametrize(
    ("mean", "higher", "marks"),
    [
        ([0.1, 0.9, 0.5, 0.2], True, ["", "best", "second", ""]),
        ([0.1, 0.9, 0.5, 0.2], False, ["best", "", "", "second"]),
        ([0.9, 0.9, 0.5, 0.2], True, ["best", "best", "second", ""]),
        ([0.9, 0.5, 0.5, 0.5], True, ["best", "", "", ""]),
        ([0.9, 0.5, 0.5, 0.2], True, ["best", "second", "second", ""]),
        ([0.5, 0.5, 0.5, 0.5], True, ["", "", "", ""]),
        ([0.5, 0.5 + 1e-16, 0.5 - 1e-16, 0.5], True, ["", "", "", ""]),
        ([np.nan, 0.2, np.nan, 0.1], True, ["", "best", "", "second"]),
        ([np.nan, 0.2, np.nan, np.nan], True, ["", "best", "", ""]),
        ([np.nan] * 4, True, ["", "", "", ""]),
        ([-0.1, -0.9, 0.0, 5.0], False, ["second", "best", "", ""]),
    ],
)
def test_marks(mean, higher, marks):
    assert best_and_second(np.array(mean), higher, ALL) == marks


def test_a_line_that_may_not_be_best_is_not_marked():
    assert best_and_second(np.array([9.0, 1.0, 2.0, 0.0]), True, np.array([False, True, True, True])) == [
        "",
        "second",
        "best",
        "",
    ]


@given(st.lists(st.floats(-5, 5, width=16), min_size=1, max_size=9))
def test_turning_the_sign_turns_the_direction(values):
    mean, everyone = np.array(values), np.ones(len(values), bool)
    assert best_and_second(mean, True, everyone) == best_and_second(-mean, False, everyone)


def test_numbers_with_known_means():
    rng = np.random.default_rng(1)
    values = np.array([0.8, 0.75, 0.2])[:, None] + 0.1 * rng.standard_normal((3, 40))
    found = significance(values, True, np.ones(3, bool))
    for value, row in zip(found, values, strict=True):
        assert value.mean == pytest.approx(row.mean())
        assert value.low < value.mean < value.high
        assert value.half_width == pytest.approx(1.96 * row.std() / np.sqrt(40), rel=0.15)
        assert value.n == 40
    assert [value.mark for value in found] == ["best", "second", ""]
    tests = compare(values.T, 0, FLIPS)
    assert [value.p for value in found[1:]] == [tests[1].p, tests[2].p]
    assert np.isnan(found[0].p)
    assert found[2].p < 0.01
    assert not found[2].alike


def test_what_cannot_be_told_from_the_best():
    rng = np.random.default_rng(0)
    shared = rng.standard_normal(12)
    found = significance(np.stack([shared, shared + 0.01 * rng.standard_normal(12)]), True, np.ones(2, bool))
    assert sum(value.alike for value in found) == 1


def test_the_same_numbers_on_the_same_clips_are_told_apart_by_pairs():
    """Each clip is a little worse by the second: the clips' own spread does not hide it."""
    clips = np.linspace(-3, 3, 30)
    worse = clips - 0.05 - 0.01 * np.cos(np.arange(30))
    found = significance(np.stack([clips, worse]), True, np.ones(2, bool))
    assert found[0].low < found[1].mean  # the intervals overlap
    assert found[1].p < 0.01


def test_a_line_of_few_clips_is_not_best():
    values = np.full((2, 10), 0.5)
    values[1] = np.nan
    values[1, 0] = 0.9
    values[0, 0] = 0.4
    found = significance(values, True, np.ones(2, bool))
    assert [value.mark for value in found] == ["best", ""]
    assert found[1].n == 1
    assert np.isnan(found[1].low)  # one clip has no interval


def test_without_direction_or_numbers():
    values = np.array([[1.0, 2.0, 3.0], [np.nan] * 3])
    found = significance(values, None, np.ones(2, bool))
    assert [value.mark for value in found] == ["", ""]
    assert found[0].mean == 2.0
    assert np.isnan(found[1].mean)
    assert not found[1].alike


def test_oracles_are_neither_best_nor_tested():
    values = np.array([0.9, 0.5, 0.1])[:, None] + 0.01 * np.random.default_rng(0).standard_normal((3, 20))
    found = significance(values, True, np.array([False, True, True]))
    assert [value.mark for value in found] == ["", "best", "second"]
    assert np.isnan(found[0].p)


def test_means_of_what_is_known():
    np.testing.assert_array_equal(means(np.array([[1.0, np.nan, 3.0], [np.nan] * 3])), [2.0, np.nan])


def test_domains_are_marked_and_tested_apart():
    """The second domain is far better by its grid alone: each has its own best, and who is alone has no mark."""
    values = np.array([0.2, 0.1, 0.9, 0.8, 0.99])[:, None] + 0.01 * np.random.default_rng(0).standard_normal((5, 20))
    within = np.array(["stft", "stft", "components", "components", "mel"])
    found = significance(values, True, np.ones(5, bool), within=within)
    assert [value.mark for value in found] == ["best", "second", "best", "second", ""]
    assert np.isfinite([value.p for value in found]).tolist() == [False, True, False, True, False]
    assert found[1].p == pytest.approx(compare(values[:2].T, 0, FLIPS)[1].p)


def test_clips_of_one_source_are_no_more_clips():
    """Each of six sources comes ten times: the interval is that of six clips, and so is the test."""
    rng = np.random.default_rng(3)
    few = np.stack([rng.standard_normal(6), rng.standard_normal(6) - 0.8])
    values, source = np.repeat(few, 10, axis=1), np.repeat(np.arange(6), 10)
    alone, together = (significance(values, True, np.ones(2, bool), ClusterBootstrap(source=s)) for s in (None, source))
    six = significance(few, True, np.ones(2, bool))
    for one, other, bare in zip(together, alone, six, strict=True):
        assert one.half_width == pytest.approx(bare.half_width, rel=0.1)
        assert one.half_width > 2.5 * other.half_width
        assert (one.mean, one.n) == (pytest.approx(bare.mean), 60)
    assert together[1].p == six[1].p
    assert alone[1].p < together[1].p


CLIPS = 0.01 * np.random.default_rng(0).standard_normal((6, 30))
ORDER = np.arange(6.0)[:, None]


def metric(name, higher=True, truth=False):
    return Metric(name, name, name, "", higher, "", False, truth)


def found(values, metrics, entered=None):
    entered = np.ones(len(ORDER), bool) if entered is None else entered
    made = agreements(2, metrics, values, entered, ["stft"] * len(entered), ClusterBootstrap(0.95, 200))
    return {(a.metric, a.truth): a for a in made}


def test_the_same_order_the_opposite_and_a_lower_is_better_metric():
    values = {
        "t": ORDER + CLIPS,
        "same": 2 * ORDER + CLIPS,
        "other": -ORDER + CLIPS,
        "low": -ORDER + CLIPS,
        "none": ORDER + CLIPS,
    }
    metrics = [
        metric("t", truth=True),
        metric("same"),
        metric("other"),
        metric("low", higher=False),
        metric("none", higher=None),
    ]
    out = found(values, metrics)
    assert {key[0]: a.tau for key, a in out.items()} == {"same": 1.0, "other": -1.0, "low": 1.0}
    assert (out["same", "t"].low, out["same", "t"].high, out["same", "t"].lines, out["same", "t"].panel) == (
        1.0,
        1.0,
        6,
        2,
    )


def test_one_pair_turned_around_is_two_of_fifteen():
    turned = ORDER.copy()
    turned[[2, 3]] = turned[[3, 2]]
    out = found({"t": ORDER + CLIPS, "m": turned + CLIPS}, [metric("t", truth=True), metric("m")])
    assert out["m", "t"].tau == pytest.approx(1 - 2 / 15)


def test_oracles_are_not_ranked():
    values = ORDER.copy()
    values[0] = 99
    entered = np.arange(6) > 0
    out = found({"t": ORDER + CLIPS, "m": values + CLIPS}, [metric("t", truth=True), metric("m")], entered)
    assert out["m", "t"].tau == 1.0
    assert out["m", "t"].lines == 5


def test_nothing_is_said_of_few_lines_or_of_even_metrics():
    metrics = [metric("t", truth=True), metric("m")]
    assert found({"t": ORDER + CLIPS, "m": np.ones((6, 30))}, metrics) == {}
    assert found({"t": ORDER + CLIPS, "m": ORDER + CLIPS}, metrics, np.arange(6) < 3) == {}


def test_what_hangs_on_the_grid_is_ranked_within_a_domain():
    """Within each domain mass follows the truth; over both domains it would seem to turn it around."""
    good = np.array([0, 1, 2, 3, 4, 5, 6, 7.0])[:, None] + 0.01 * np.random.default_rng(0).standard_normal((8, 20))
    mass = good.copy()
    mass[4:] -= 100
    values = {"heard_faithfulness": good, "truth_f1": mass, "truth_si_sdr_improvement_db": good}
    metrics = [
        Metric(name, name, name, "", True, "", name.startswith("heard"), name.startswith("truth")) for name in values
    ]
    domains = ["stft"] * 4 + ["components"] * 4
    out = agreements(0, metrics, values, np.ones(8, bool), domains, ClusterBootstrap(draws=100))
    assert [(a.truth, a.domain, a.tau, a.lines) for a in out] == [
        ("truth_f1", "components", 1.0, 4),
        ("truth_f1", "stft", 1.0, 4),
        ("truth_si_sdr_improvement_db", "", 1.0, 8),
    ]


def test_ranks_are_drawn_by_source():
    rng = np.random.default_rng(1)
    first, second = (np.repeat(np.arange(5.0)[:, None] + 2 * rng.standard_normal((5, 6)), 8, axis=1) for _ in range(2))
    source = np.repeat(np.arange(6), 8)
    alone, together = (ClusterBootstrap(source=s).agreement(first, second) for s in (None, source))
    assert together.value == alone.value
    assert together.high - together.low > alone.high - alone.low
