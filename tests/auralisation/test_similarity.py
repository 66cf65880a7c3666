"""Which attribute drives a layer, where it is known."""

from __future__ import annotations

import numpy as np
import pytest

from otoscope.auralisation import closest_features, drives, make_stimuli
from otoscope.auralisation.stimuli import KINDS, TIMBRES, Stimulus


@pytest.mark.parametrize("attribute", ["key", "timbre"])
def test_the_planted_attribute_drives(attribute):
    stimuli, rng = make_stimuli(8000), np.random.default_rng(0)
    codes = {value: rng.standard_normal(20) for value in [*range(12), *KINDS, *TIMBRES]}
    strength = np.array([
        codes[s.values[attribute]] + 0.1 * rng.standard_normal(20) if s.group == "chord" else np.zeros(20) for s in stimuli
    ])  # fmt: skip
    found = drives(stimuli, strength)
    assert found[attribute]["drive"] > 0.8
    assert found[attribute]["low"] > 0.5
    for other in set(found) - {attribute}:
        assert abs(found[other]["drive"]) < 0.3
        assert found[other]["low"] < found[other]["drive"] < found[other]["high"]


def test_nothing_drives_noise():
    stimuli = make_stimuli(8000)
    found = drives(stimuli, np.random.default_rng(1).standard_normal((len(stimuli), 30)))
    assert all(one["low"] < 0.05 and abs(one["drive"]) < 0.1 for one in found.values())


def test_dead_features_do_not_matter():
    stimuli, rng = make_stimuli(8000), np.random.default_rng(2)
    strength = rng.random((len(stimuli), 10))
    one, two = drives(stimuli, strength), drives(stimuli, np.hstack([strength, np.zeros((len(stimuli), 1))]))
    assert one["key"]["same"] == pytest.approx(two["key"]["same"], abs=0.1)
    assert np.isfinite(two["key"]["drive"])


def test_chords_of_instruments_come_before_made_ones():
    made = make_stimuli(8000)
    chords = [
        Stimulus("played chord", {"key": k, "kind": kind, "timbre": t})
        for k in range(12)
        for kind in KINDS
        for t in "xyz"
    ]
    rng = np.random.default_rng(0)
    codes = {t: rng.standard_normal(20) for t in "xyz"}
    strength = np.concatenate([
        rng.standard_normal((len(made), 20)),
        np.array([codes[s.values["timbre"]] + 0.1 * rng.standard_normal(20) for s in chords]),
    ])  # fmt: skip
    assert drives([*made, *chords], strength)["timbre"]["drive"] > 0.8
    assert drives(made, strength[: len(made)])["timbre"]["drive"] < 0.2


def test_closest_features_of_another_network():
    rng = np.random.default_rng(0)
    own = rng.standard_normal((200, 6))
    other = np.concatenate([3 * own[:, [4, 2]] + 7, rng.standard_normal((200, 3)), np.zeros((200, 1))], 1)
    other[:, 1] += rng.standard_normal(200)
    numbers, correlations = closest_features(own, other)
    assert numbers[[4, 2]].tolist() == [0, 1]
    assert correlations[4] == pytest.approx(1.0)
    assert correlations[2] == pytest.approx(np.corrcoef(own[:, 2], other[:, 1])[0, 1])
    assert correlations[[0, 1, 3, 5]].max() < 0.3
    assert closest_features(own[:, :1] * 0, other)[1].tolist() == [0.0]
