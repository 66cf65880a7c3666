"""Constant memory for long files, measured on a process of its own. Slow: an hour of sound is explained."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "benchmarks" / "run.py"


@pytest.mark.slow
def test_an_hour_takes_no_more_memory_than_five_minutes():
    spec = importlib.util.spec_from_file_location("bench_run", BENCH)
    bench = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bench)
    assert bench.peak_memory(60) <= 1.5 * bench.peak_memory(5)


@pytest.mark.slow
def test_the_shipped_recipe_trains_on_the_real_clips(shared, tmp_path):
    from otoscope.training import load_recipe, train

    root, weights = shared("esc10"), shared("weights/mn04_as_mAP_432.pt")
    recipe = load_recipe(
        "esc10-mn",
        ["optimiser.epochs=1", f"data.root={root}", f"teacher.weights={weights}", f"out={tmp_path / 'run'}"],
    )
    result = train(recipe, "cpu")
    assert result["clips"] == 80
    assert sum(p.stat().st_size for p in Path(result["folder"]).glob("*.safetensors")) <= 4_000_000
