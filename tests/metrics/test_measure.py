"""All metrics of one explanation, from the domain's scores and from the sound as heard."""

import math

import numpy as np
import pytest

from otoscope.core import registry
from otoscope.core.errors import ParameterError, UnknownNameError
from otoscope.core.records import Scores
from otoscope.metrics import measure, metric_of

MASK = np.array([[1.0, 0.0, 0.0, 0.0]])
SCORES = Scores(np.array([0.2, 0.8]), np.array([0.1, 0.9]), np.array([0.7, 0.3]))
HEARD = Scores(np.array([0.2, 0.8]), np.array([0.6, 0.4]), np.array([0.9, 0.1]))


def test_values_by_hand():
    found = measure(SCORES, HEARD, MASK, 1)
    twice = 100 * (1 - (np.exp(0.4) / (np.exp(0.4) + np.exp(0.6))) / (np.exp(0.8) / (np.exp(0.8) + np.exp(0.2))))
    wanted = {
        "average_drop_speechbrain": 0.0, "heard_average_drop_speechbrain": twice,
        "faithfulness": 0.5, "heard_faithfulness": 0.7,
        "average_increase": 100.0, "heard_average_increase": 0.0,
        "average_drop": 0.0, "heard_average_drop": 50.0,
        "average_gain": 50.0, "heard_average_gain": 0.0,
        "input_fidelity": 1.0, "heard_input_fidelity": 0.0,
        "sparseness": 0.75, "complexity": 0.0, "mask_size": 0.25,
    }  # fmt: skip
    assert found == pytest.approx(wanted)
    assert all(isinstance(v, float) for v in found.values())


def test_the_target_chooses_the_class():
    found = measure(SCORES, None, MASK, 0)
    assert found["faithfulness"] == pytest.approx(-0.5)
    assert found["average_drop"] == pytest.approx(50.0)
    assert found["input_fidelity"] == 1.0  # of the whole distribution, whatever the target


def test_without_the_sound_nothing_is_heard():
    found = measure(SCORES, None, MASK, 1)
    assert not [name for name in found if name.startswith("heard_")]
    assert set(found) == {e.name for e in registry.entries("metric") if e.facts["of"] in ("scores", "mask")}
    assert set(found) < set(
        registry.names("metric")
    )  # what needs a truth, a curve or several networks is not measured here


def test_what_cannot_be_said_is_nan():
    none = Scores(np.array([0.0, 1.0]), np.array([0.5, 0.5]), np.array([0.5, 0.5]))
    found = measure(none, None, np.zeros((2, 2)), 0)
    assert {name for name, value in found.items() if math.isnan(value)} == {"average_drop", "sparseness", "complexity"}


def test_a_third_partys_metric_is_measured_too(monkeypatch):
    def kept_only(kept, factor=10.0):
        original = factor  # a local name that is no argument
        return kept * original

    entry = registry.Entry("metric", "theirs", kept_only, "", facts={"of": "scores"})
    registry.discover()
    monkeypatch.setitem(registry._entries, ("metric", "theirs"), entry)
    assert measure(SCORES, None, MASK, 1)["theirs"] == pytest.approx(9.0)


def test_a_metric_says_itself_that_it_wants_all_classes(monkeypatch):
    def surest(kept, original):
        return float(np.max(kept) - np.max(original))

    registry.discover()
    for facts, wanted in (({"classes": True}, 0.1), ({}, -0.1)):
        entry = registry.Entry("metric", "theirs", surest, "", facts={"of": "scores", **facts})
        monkeypatch.setitem(registry._entries, ("metric", "theirs"), entry)
        assert measure(SCORES, None, MASK, 0)["theirs"] == pytest.approx(wanted)


def test_settings_reproduce_published_quirks_one_by_one():
    tie = Scores(np.array([0.5, 0.5]), np.array([0.5 + 1e-6, 0.5]), np.array([0.5, 0.5]))
    ones = np.ones((2, 3))
    assert measure(tie, None, ones, 0)["average_increase"] == 0.0
    assert measure(tie, None, ones, 0, {"average_increase": {"margin": 0}})["average_increase"] == 100.0
    plain, quirk = measure(tie, tie, ones, 0), measure(tie, tie, ones, 0, {"complexity": {"even_as_zero": True}})
    assert plain["complexity"] == pytest.approx(np.log(6))
    assert quirk == plain | {"complexity": 0.0}


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"average_incrase": {}}, UnknownNameError, "did you mean 'average_increase'"),
        ({"precision": {}}, UnknownNameError, "unknown metric of masks or scores 'precision'"),
        ({"average_increase": {"margn": 0}}, UnknownNameError, "parameter of metric 'average_increase'"),
        ({"average_increase": {"margin": 2}}, ParameterError, r"margin must lie in \[0, 1\]; got 2"),
    ],
)
def test_settings_that_are_none_are_refused(settings, error, words):
    with pytest.raises(error, match=words):
        measure(SCORES, None, MASK, 0, settings)


@pytest.mark.parametrize(
    ("column", "name"),
    [
        ("average_drop", "average_drop"), ("heard_average_drop", "average_drop"), ("sparseness", "sparseness"),
        ("truth_precision", "precision"), ("truth_time_iou", "time_iou"), ("deletion_auc", "deletion_auc"),
        ("ff_top_20", "ff_top"), ("ff_top_2_5", "ff_top"), ("ff_top_20_probability", "ff_top_probability"),
        ("seed_agreement", "seed_agreement"),
    ],
)  # fmt: skip
def test_a_column_knows_its_metric(column, name):
    assert metric_of(column) is registry.get("metric", name)


@pytest.mark.parametrize(
    "column", ["seconds", "heard_sparseness", "truth_average_drop", "heard_kept", "ff_top_x", "truth_", ""]
)
def test_other_columns_are_no_metrics(column):
    assert metric_of(column) is None
