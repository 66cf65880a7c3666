"""All truth metrics of one explanation, from what is known of its clip."""

import math

import numpy as np
import pytest

from otoscope.core import registry
from otoscope.core.errors import ParameterError, ShapeError, UnknownNameError
from otoscope.core.records import Grid
from otoscope.metrics import Known, chance_levels, measure_truth
from otoscope.metrics.truth import roc_auc, si_sdr_improvement_db, time_roc_auc

NAMES = {e.name for e in registry.entries("metric") if e.facts["of"] == "truth"}
GRID = Grid(np.arange(3) * 100.0, (np.arange(4) + 0.5) / 4, "hz", "stft", 1.0, 4e3)
SOURCE = np.array([[4.0, 4, 0, 0], [4, 4, 0, 0], [0, 0, 0, 0]])
REST = np.array([[1.0, 1, 1, 1], [1, 1, 1, 1], [2, 2, 2, 2]])
SOUND, NOISE = np.random.default_rng(0).normal(size=(2, 400))
ALL = Known(SOURCE, REST, SOUND, SOUND + NOISE, [(0.0, 0.5)])


def test_who_knows_the_truth_gets_everything():
    inside = (SOURCE > REST).astype(float)
    found = measure_truth(ALL, GRID, inside, inside, SOUND + 0.1 * NOISE)
    assert set(found) == NAMES
    sdr = found.pop("si_sdr_improvement_db")
    assert sdr == si_sdr_improvement_db(SOUND + 0.1 * NOISE, SOUND + NOISE, SOUND) > 15
    assert found.pop("relevance_mass_energy") == pytest.approx(0.8)
    assert found == dict.fromkeys(found, 1.0)


def test_values_by_hand():
    values = np.arange(12.0).reshape(3, 4)
    mask = np.array([[1.0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0]])
    found = measure_truth(ALL, GRID, values, mask)
    assert found["precision"] == pytest.approx(5 / 7)
    assert found["recall"] == pytest.approx(5 / 20)
    assert found["f1"] == pytest.approx(10 / 27)
    assert found["relevance_mass"] == pytest.approx((0 + 1 + 4 + 5) / 66)
    assert found["pointing_game"] == 0.0
    assert found["roc_auc"] == roc_auc(values, SOURCE > REST)
    assert found["time_roc_auc"] == time_roc_auc(values.sum(0), np.array([1, 1, 0, 0])) == 0.0
    assert found["time_iou"] == pytest.approx(1 / 3)
    assert math.isnan(found["si_sdr_improvement_db"])  # the kept sound was not given


@pytest.mark.parametrize(
    ("known", "given", "said"),
    [
        (Known(), {"values": SOURCE, "mask": SOURCE / 4, "kept": SOUND}, set()),
        (Known(events=[(0, 0.5)]), {"values": SOURCE, "mask": SOURCE / 4}, {"time_roc_auc", "time_iou"}),
        (Known(events=[]), {"values": SOURCE, "mask": SOURCE / 4}, set()),
        (Known(source=SOUND, mixture=SOUND + NOISE), {"kept": SOUND}, {"si_sdr_improvement_db"}),
        (Known(SOURCE, REST), {"mask": SOURCE / 4}, {"precision", "recall", "f1"}),
        (Known(0 * SOURCE, REST), {"mask": SOURCE / 4, "values": SOURCE}, set()),
    ],
)
def test_what_is_not_known_is_nan(known, given, said):
    found = measure_truth(known, GRID, **given)
    assert set(found) == NAMES
    assert {name for name, value in found.items() if not math.isnan(value)} == said


def test_settings_reach_their_metric():
    values = np.zeros((3, 4))
    values[2, 2] = 1
    plain = measure_truth(ALL, GRID, values)
    strict = measure_truth(ALL, GRID, values, settings={"pointing_game": {"tolerance": 0}})
    assert (plain["pointing_game"], strict["pointing_game"]) == (1.0, 0.0)
    with pytest.raises(UnknownNameError, match="unknown truth metric 'faithfulness'"):
        measure_truth(ALL, GRID, settings={"faithfulness": {}})
    with pytest.raises(ParameterError, match="tolerance must lie in"):
        measure_truth(ALL, GRID, values, settings={"pointing_game": {"tolerance": -1}})


@pytest.mark.parametrize(
    ("known", "given", "words"),
    [
        (ALL, {"values": np.ones((4, 3))}, r"values: the shape is \(4, 3\), but the grid's is \(3, 4\)"),
        (ALL, {"mask": np.ones(12)}, r"mask: the shape is \(12,\)"),
        (Known(SOURCE.T, REST.T), {}, r"energies have shape \(4, 3\)"),
    ],
)
def test_what_does_not_fit_the_grid_is_refused(known, given, words):
    with pytest.raises(ShapeError, match=words):
        measure_truth(known, GRID, **given)


def test_chance_is_what_ignorance_gets():
    """Means over random orders come to the declared levels; a mask of ones gets those of masks."""
    rng = np.random.default_rng(0)
    levels = chance_levels(ALL, GRID)
    random = [measure_truth(ALL, GRID, rng.normal(size=(3, 4)) + 5) for _ in range(400)]
    for name in ("roc_auc", "relevance_mass", "relevance_mass_energy", "pointing_game", "time_roc_auc"):
        assert np.mean([r[name] for r in random]) == pytest.approx(levels[name], abs=0.06), name
    assert np.mean([r["average_precision"] for r in random]) == pytest.approx(levels["average_precision"], abs=0.2)
    ones = measure_truth(ALL, GRID, mask=np.ones((3, 4)), kept=0.3 * (SOUND + NOISE))
    for name in ("precision", "time_iou", "si_sdr_improvement_db"):
        assert ones[name] == pytest.approx(levels[name], abs=1e-6), name
    assert set(levels) == NAMES - {"recall", "f1"}
    assert chance_levels(Known(), GRID) == {}
    assert chance_levels(Known(0 * SOURCE, REST, events=[]), GRID) == {}
