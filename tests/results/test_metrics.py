"""Which columns are metrics, their direction, and the named sets."""

import numpy as np
import pytest

from otoscope.core.errors import OtoscopeError, UnknownNameError
from otoscope.results.metrics import SEVEN, choose_metrics, metrics_of, values_of
from result_rows import make_rows

SMALL = {"clips": 3, "masks": {"positive": 0.0}, "conditions": {"clean": 0.0}, "classifiers": {"mel": 0.0}}


def names(rows, *wanted):
    return [m.name for m in choose_metrics(rows, wanted)]


def test_what_is_no_metric(study):
    found = metrics_of(study(make_rows(**SMALL)))
    assert {"seed", "target", "fold", "seconds", "passes", "original", "clip"}.isdisjoint(found)
    assert {"kept", "faithfulness", "heard_average_drop", "difference", "heard_difference"} <= set(found)


@pytest.mark.parametrize(
    ("name", "higher", "heard", "truth"),
    [
        ("faithfulness", True, False, False),
        ("heard_average_drop", False, True, False),
        ("complexity", False, False, False),
        ("difference", True, False, False),
        ("heard_removed", False, True, False),
        ("deletion_auc", False, False, False),
        ("truth_relevance_mass", True, False, True),
        ("correct", True, False, False),
    ],
)
def test_directions(study, name, higher, heard, truth):
    metric = metrics_of(study(make_rows(**SMALL, truth=True)))[name]
    assert (metric.higher_is_better, metric.heard, metric.truth) == (higher, heard, truth)
    assert metric.means


def test_what_methods_found_out_is_shown_where_it_is_asked_for_alone(study):
    rows = study([{**row, "method_samples": 100.0} for row in make_rows(**SMALL)])
    assert "method_samples" not in names(rows, "all")
    assert "method_samples" not in names(rows, "domain")
    assert names(rows, "method_samples") == ["method_samples"]


def test_facts_of_metrics_with_a_share_in_their_name(study):
    rows = [{**row, "ff_top_20": 1.0, "ff_top_20_probability": 0.2} for row in make_rows(**SMALL)]
    rows = study(rows)
    found = metrics_of(rows)
    assert found["ff_top_20"].higher_is_better is True
    assert found["ff_top_20"].short.endswith("20 %")
    assert metrics_of(study([{**rows.row(0), "ff_top_2_5": 1.0}]))["ff_top_2_5"].short.endswith(" 2.5 %")
    assert found["ff_top_20_probability"].short != found["ff_top_20"].short


@pytest.mark.parametrize(
    "about",
    [
        {"own": {"higher_is_better": False, "short": "OWN"}},
        [{"name": "own", "higher_is_better": False, "short": "OWN"}],
    ],
)
def test_the_study_says_what_no_registry_knows(study, about):
    rows = [{**row, "own": 1.0, "heard_own": 1.0, "strange": 2.0} for row in make_rows(**SMALL)]
    found = metrics_of(study(rows, metrics=about))
    assert (found["own"].higher_is_better, found["own"].short) == (False, "OWN")
    assert found["heard_own"].higher_is_better is False
    assert found["strange"].higher_is_better is None


def test_a_difference_is_kept_less_removed(study):
    rows = study(make_rows(**SMALL))
    np.testing.assert_allclose(
        values_of(rows, "heard_difference"), rows.numbers("heard_kept") - rows.numbers("heard_removed")
    )


def test_what_a_leaderboard_shows(study):
    rows = make_rows(**SMALL, truth=True)
    assert names(study(rows)) == [
        "truth_relevance_mass", "truth_pointing_game", "heard_difference", "heard_faithfulness", "heard_average_increase",
        "heard_average_drop", "heard_average_gain", "heard_input_fidelity", "sparseness", "complexity", "mask_size",
    ]  # fmt: skip
    bare = [{k: v for k, v in row.items() if not k.startswith(("heard_", "truth_"))} for row in rows]
    assert names(study(bare))[:3] == ["difference", "faithfulness", "average_increase"]


def test_sets_and_names(study):
    rows = study(make_rows(**SMALL, truth=True))
    assert names(rows, "audiointerp") == list(SEVEN)
    assert names(rows, "truth", "kept") == ["truth_relevance_mass", "truth_pointing_game", "kept"]
    assert all(name.startswith("heard_") for name in names(rows, "heard"))
    assert set(names(rows, "all")) == set(metrics_of(rows))


def test_empty_columns_are_left_out_unless_asked_for(study):
    rows = [{**row, "heard_faithfulness": None, "mask_size": float("nan")} for row in make_rows(**SMALL)]
    found = study(rows)
    assert {"heard_faithfulness", "mask_size"}.isdisjoint(names(found, "all"))
    assert names(found, "mask_size") == ["mask_size"]


def test_unknown_metrics(study):
    rows = study(make_rows(**SMALL))
    with pytest.raises(UnknownNameError, match="did you mean 'sparseness'"):
        choose_metrics(rows, ["sparsness"])
    with pytest.raises(OtoscopeError, match="hold no metric of truth"):
        choose_metrics(rows, ["truth"])


@pytest.mark.parametrize(
    ("name", "across"),
    [
        ("faithfulness", False), ("sparseness", False), ("deletion_auc", False), ("difference", False), ("kept", False),
        ("heard_faithfulness", True), ("heard_difference", True), ("correct", True), ("truth_relevance_mass", False),
        ("truth_relevance_mass_above_chance", True), ("truth_si_sdr_improvement_db", True),
    ],
)  # fmt: skip
def test_what_compares_domains(study, name, across):
    extra = {"truth_si_sdr_improvement_db": 3.0, "chance_si_sdr_improvement_db": 0.0, "chance_relevance_mass": 0.1}
    found = metrics_of(study([{**row, **extra} for row in make_rows(**SMALL, truth=True)]))
    assert found[name].across is across
    assert "truth_si_sdr_improvement_db_above_chance" not in found
