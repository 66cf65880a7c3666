"""A toy study: its recipe, and its rows."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

RECIPE = """
name: toy
seed: 3
threads: 1
chunk: 2
batch_size: 6
target: label
data: {{name: "esc50,esc10=true", root: {corpus}, folds: [1], seconds: 0.5, names: {{tone: tone, decoy: decoy}}}}
classifiers:
  ears: {{model: "worlds:band_energy", title: Ears}}
domains: ["mel,bands=16,ms=100", "time"]
methods:
  gradient: {{}}
  rise: {{method: "rise,masks=8", domains: [time]}}
masks: [binary, "topk:0.3", minmax]
conditions:
  clean: {{title: Clean}}
  cue: {{plant: "tone,hz=3000,level_db=0", target: decoy, without: [decoy]}}
measures: {{curve_steps: 4, top: [0.2]}}
"""


def rows_of(out):
    return pq.read_table(out / "results.parquet").to_pylist()


def recipe_out(recipe):
    return Path(recipe.out)
