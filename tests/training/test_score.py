"""What is scored on the test folds."""

import csv
import json
from pathlib import Path

import pytest

from otoscope.training import load_recipe, train
from otoscope.training.score import wilson_interval
from training.classifier_worlds import quick, recipe_file


def test_the_interval_of_a_share():
    """Newcombe 1998, table I: 81 of 263 gives .2553 to .3662; none of 20 gives 0 to .1611."""
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)
    assert wilson_interval(0, 0) == (0.0, 1.0)


def test_what_was_mixed_in_is_recorded(tmp_path, corpus):
    overrides = quick("data.contaminate='clip,snr_db=3,seed=2'")
    folder = Path(train(load_recipe(recipe_file(tmp_path, corpus), overrides), "cpu")["folder"])
    with (folder / "predictions.csv").open() as lines:
        records = [json.loads(row["contamination"]) for row in csv.DictReader(lines)]
    assert len(records) == 8
    assert {r["snr_db"] for r in records} == {3.0}
    assert {r["seed"] for r in records} == {2}
    assert not any(r["file"].split("/")[-1].startswith("1-") for r in records)  # never a clip of the test fold
