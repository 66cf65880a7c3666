"""Which attribute drives a layer, where it is known."""

from __future__ import annotations

import numpy as np
import pytest

from otoscope.auralisation import drives, make_stimuli
from otoscope.auralisation.stimuli import KINDS, TIMBRES


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
