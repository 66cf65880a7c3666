"""All metrics of one explanation, from the domain's scores and from the sound as heard."""

import math

import numpy as np
import pytest

from otoscope.core import registry
from otoscope.core.records import Scores
from otoscope.metrics import measure

MASK = np.array([[1.0, 0.0, 0.0, 0.0]])
SCORES = Scores(np.array([0.2, 0.8]), np.array([0.1, 0.9]), np.array([0.7, 0.3]))
HEARD = Scores(np.array([0.2, 0.8]), np.array([0.6, 0.4]), np.array([0.9, 0.1]))


def test_values_by_hand():
    found = measure(SCORES, HEARD, MASK, 1)
    wanted = {
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
    assert set(found) == set(registry.names("metric"))


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
