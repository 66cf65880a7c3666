"""Whether a metric ranks the methods as the truth does."""

import numpy as np
import pytest

from otoscope.results.agree import agreements
from otoscope.results.columns import Metric
from otoscope.results.draw import Drawing

CLIPS = 0.01 * np.random.default_rng(0).standard_normal((6, 30))
ORDER = np.arange(6.0)[:, None]


def metric(name, higher=True, truth=False):
    return Metric(name, name, name, "", higher, "", False, truth)


def found(values, metrics, entered=None):
    entered = np.ones(len(ORDER), bool) if entered is None else entered
    made = agreements(2, metrics, values, entered, ["stft"] * len(entered), Drawing(0.95, 200))
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
    out = agreements(0, metrics, values, np.ones(8, bool), domains, Drawing(draws=100))
    assert [(a.truth, a.domain, a.tau, a.lines) for a in out] == [
        ("truth_f1", "components", 1.0, 4),
        ("truth_f1", "stft", 1.0, 4),
        ("truth_si_sdr_improvement_db", "", 1.0, 8),
    ]


def test_ranks_are_drawn_by_source():
    rng = np.random.default_rng(1)
    first, second = (np.repeat(np.arange(5.0)[:, None] + 2 * rng.standard_normal((5, 6)), 8, axis=1) for _ in range(2))
    source = np.repeat(np.arange(6), 8)
    alone, together = (Drawing(source=s).order(first, second) for s in (None, source))
    assert together.value == alone.value
    assert together.high - together.low > alone.high - alone.low
