"""All truth metrics of one explanation, from what is known of its clip."""

import math
import pickle

import numpy as np
import pytest

from otoscope.core import registry
from otoscope.core.errors import ParameterError, ShapeError, UnknownNameError
from otoscope.core.records import Grid
from otoscope.metrics import GroundTruth, chance_levels, ground_truth, measure_truth
from otoscope.metrics.truth import roc_auc, si_sdr_improvement_db, time_roc_auc
from reference import truth as slow

NAMES = {e.name for e in registry.entries("metric") if e.facts["of"] == "truth"}
GRID = Grid(np.arange(3) * 100.0, (np.arange(4) + 0.5) / 4, "hz", "stft", 1.0, 4e3)
SOURCE = np.array([[4.0, 4, 0, 0], [4, 4, 0, 0], [0, 0, 0, 0]])
REST = np.array([[1.0, 1, 1, 1], [1, 1, 1, 1], [2, 2, 2, 2]])
SOUND, NOISE = np.random.default_rng(0).normal(size=(2, 400))
ALL = GroundTruth(SOURCE, REST, SOUND, SOUND + NOISE, [(0.0, 0.5)])


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
        (GroundTruth(), {"values": SOURCE, "mask": SOURCE / 4, "kept": SOUND}, set()),
        (GroundTruth(events=[(0, 0.5)]), {"values": SOURCE, "mask": SOURCE / 4}, {"time_roc_auc", "time_iou"}),
        (GroundTruth(events=[]), {"values": SOURCE, "mask": SOURCE / 4}, set()),
        (GroundTruth(source=SOUND, mixture=SOUND + NOISE), {"kept": SOUND}, {"si_sdr_improvement_db"}),
        (GroundTruth(SOURCE, REST), {"mask": SOURCE / 4}, {"precision", "recall", "f1"}),
        (GroundTruth(0 * SOURCE, REST), {"mask": SOURCE / 4, "values": SOURCE}, set()),
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
        (GroundTruth(SOURCE.T, REST.T), {}, r"energies have shape \(4, 3\)"),
    ],
)
def test_what_does_not_fit_the_grid_is_refused(known, given, words):
    with pytest.raises(ShapeError, match=words):
        measure_truth(known, GRID, **given)


def world(scale):
    """Truth of 12 cells as bands, as parts of a sound, or as frames alone; some frames are covered in part."""
    rng = np.random.default_rng(3)
    shape = (1, 12) if scale == "none" else (3, 4)
    grid = Grid(np.arange(shape[0]) * 100.0, (np.arange(shape[1]) + 0.5) / shape[1], scale, "d", 1.0, 4e3)
    source, rest = rng.exponential(size=(2, *shape))
    if scale == "components":
        source, rest = np.array([[5.0], [1], [1]]) * np.ones(shape), np.array([[1.0], [2], [2]]) * np.ones(shape)
    return GroundTruth(source, rest, SOUND, SOUND + NOISE, [(0.0, 0.6)]), grid


@pytest.mark.parametrize("scale", ["hz", "none", "components"])
def test_chance_is_what_ignorance_gets(scale):
    """Means over random orders come to the declared levels; a mask of ones gets those of masks."""
    rng = np.random.default_rng(0)
    truth, grid = world(scale)
    levels = chance_levels(truth, grid)
    random = [measure_truth(truth, grid, rng.normal(size=grid.shape) + 5) for _ in range(600)]
    orders = {
        "roc_auc",
        "average_precision",
        "relevance_mass",
        "relevance_mass_energy",
        "pointing_game",
        "time_roc_auc",
    }
    for name in orders:
        assert np.mean([r[name] for r in random]) == pytest.approx(levels[name], abs=0.035), name
    ones = measure_truth(truth, grid, mask=np.ones(grid.shape), kept=0.3 * (SOUND + NOISE))
    for name in ("precision", "time_iou", "si_sdr_improvement_db"):
        assert ones[name] == pytest.approx(levels[name], abs=1e-6), name
    assert set(levels) == NAMES - {"recall", "f1"}


@pytest.mark.parametrize("true", [1, 2, 5, 6])
def test_chance_of_average_precision_is_that_of_all_orders(true):
    inside = np.zeros((2, 3))
    inside.flat[:true] = 1
    grid = Grid(np.arange(2) * 100.0, np.array([0.1, 0.5, 0.9]), "hz", "d", 1.0, 4e3)
    level = chance_levels(GroundTruth(inside + 0.1, np.full((2, 3), 0.5)), grid)["average_precision"]
    assert level == pytest.approx(slow.average_precision_of_chance(inside.ravel().tolist()), abs=1e-12)


@pytest.mark.parametrize(
    ("known", "said"),
    [
        (GroundTruth(), set()),
        (GroundTruth(source=SOUND), set()),
        (GroundTruth(source=0 * SOUND, mixture=NOISE), set()),
        (GroundTruth(source=SOUND, mixture=SOUND), set()),
        (GroundTruth(source=SOUND, mixture=SOUND + NOISE), {"si_sdr_improvement_db"}),
        (GroundTruth(0 * SOURCE, REST, events=[]), set()),
        (GroundTruth(0.1 * REST, REST), {"relevance_mass_energy"}),  # there, but nowhere louder
        (GroundTruth(events=[(0, 1)]), {"time_iou"}),  # nothing is outside
        (GroundTruth(events=[(0, 0.5)]), {"time_iou", "time_roc_auc"}),
    ],
)
def test_chance_is_told_where_the_metric_says_something(known, said):
    assert set(chance_levels(known, GRID)) == said
    values = np.random.default_rng(0).random(GRID.shape)
    found = measure_truth(known, GRID, values, values, NOISE)
    assert {n for n, v in found.items() if not math.isnan(v)} - {"recall", "f1"} == said


def test_one_frame_says_nothing_of_time():
    grid = Grid(np.arange(3) * 100.0, np.array([0.5]), "components", "d", 1.0, 4e3)
    truth = GroundTruth(SOURCE[:, :1], REST[:, :1], events=[(0.2, 0.3)])
    found = measure_truth(truth, grid, SOURCE[:, :1], np.ones((3, 1)))
    assert math.isnan(found["time_iou"])
    assert found["precision"] == pytest.approx(10 / 12)
    assert not {"time_iou", "time_roc_auc"} & set(chance_levels(truth, grid))


def test_chance_where_everything_is_the_source():
    everywhere = GroundTruth(SOURCE + 2, 0.1 * REST)
    levels = chance_levels(everywhere, GRID)
    assert "roc_auc" not in levels
    assert {levels[n] for n in ("precision", "relevance_mass", "average_precision", "pointing_game")} == {1.0}


@pytest.mark.parametrize(("scale", "across"), [("hz", 1.0), ("mel", 1.0), ("none", 0.0), ("components", 0.0)])
def test_rows_that_are_no_bands_are_no_near_misses(scale, across):
    grid = Grid(np.arange(3) * 100.0, (np.arange(4) + 0.5) / 4, scale, "d", 1.0, 4e3)
    source = np.zeros((3, 4))
    source[0, 0] = 9
    found = {}
    for name, cell in (("hit", (0, 0)), ("later", (0, 1)), ("row", (1, 0)), ("both", (1, 1)), ("far", (0, 2))):
        values = np.zeros((3, 4))
        values[cell] = 1
        found[name] = measure_truth(GroundTruth(source, REST), grid, values)["pointing_game"]
    assert found == {"hit": 1.0, "later": 1.0, "row": across, "both": across, "far": 0.0}
    assert chance_levels(GroundTruth(source, REST), grid)["pointing_game"] == (4 if across else 2) / 12


def test_the_truth_is_computed_once_a_clip_and_grid(monkeypatch):
    calls = []
    for name in ("ideal_binary_mask", "ideal_ratio_mask", "active_frames"):
        real = getattr(ground_truth, name)
        monkeypatch.setattr(ground_truth, name, lambda *a, real=real, name=name: calls.append(name) or real(*a))
    truth = GroundTruth(SOURCE, REST, SOUND, SOUND + NOISE, [(0.0, 0.5)])
    levels = chance_levels(truth, GRID)
    rows = [measure_truth(truth, GRID, SOURCE, SOURCE / 4) for _ in range(3)]
    assert sorted(calls) == ["active_frames", "ideal_binary_mask", "ideal_ratio_mask"]
    same = Grid(GRID.frequencies.copy(), GRID.times.copy(), "hz", "stft", 1.0, 4e3)
    assert chance_levels(truth, same) == levels
    assert len(calls) == 3  # equal grids are one grid
    with pytest.raises(ValueError, match="read-only"):
        truth.cells(GRID)["inside"][0, 0] = 0
    truth.cells(GRID).clear()
    assert set(truth.cells(GRID)) == {"inside", "share", "energy", "active"}
    late = Grid(GRID.frequencies, GRID.times + 0.1, "hz", "stft", 1.2, 4e3)
    assert truth.cells(late)["active"].tolist() != truth.cells(GRID)["active"].tolist()  # another grid, another truth
    again = measure_truth(pickle.loads(pickle.dumps(truth)), GRID, SOURCE, SOURCE / 4)
    np.testing.assert_equal(again, rows[0])
    np.testing.assert_equal(measure_truth(truth, GRID, SOURCE, SOURCE / 4), rows[0])
