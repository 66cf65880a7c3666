"""Made-up results of a study whose means are known: random around them, from a seed, as one Parquet row each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

Row = dict[str, Any]
METHODS = {
    ("integrated_gradients", "stft"): 0.8,
    ("grad_cam", "features"): 0.6,
    ("rise,masks=500", "mel"): 0.5,
    ("gradient", "stft"): 0.2,
    ("random", "stft"): 0.0,
}
MASKS = {"topk:0.3": 0.1, "positive": 0.0, "topk:0.05": -0.2}
CONDITIONS = {"clean": 0.0, "white": -0.1}
CLASSIFIERS = {"mel": 0.0, "stft": -0.05}
TEXTS = (
    "key",
    "clip",
    "label",
    "fold",
    "condition",
    "classifier",
    "method",
    "domain",
    "mask",
    "status",
    "error",
    "target_label",
)


def make_rows(
    clips: int = 20,
    methods: dict[tuple[str, str], float] = METHODS,
    masks: dict[str, float] = MASKS,
    conditions: dict[str, float] = CONDITIONS,
    classifiers: dict[str, float] = CLASSIFIERS,
    noise: float = 0.05,
    truth: bool = False,
    seed: int = 0,
) -> list[Row]:
    """Rows whose goodness is that of method + mask + condition + classifier + clip, and a bit of noise.

    ``kept`` is a half plus half of the goodness, ``removed`` a half less it; the truth agrees with goodness, or, for
    ``truth_pointing_game``, says the opposite.
    """
    rng = np.random.default_rng(seed)
    difficulty = rng.normal(0, 0.05, clips)
    rows = []
    for condition, shift in conditions.items():
        for classifier, own in classifiers.items():
            for (method, domain), good in methods.items():
                for mask, more in masks.items():
                    for number in range(clips):
                        value = good + more + shift + own + difficulty[number] + noise * rng.normal()
                        row = _row(number, value, mask)
                        row |= {
                            "condition": condition,
                            "classifier": classifier,
                            "method": method,
                            "domain": domain,
                            "mask": mask,
                        }
                        if truth:
                            row |= {"truth_relevance_mass": 0.5 + value / 4, "truth_pointing_game": float(value < 0.4)}
                        row["key"] = "/".join(
                            str(row[k]) for k in ("condition", "classifier", "method", "domain", "mask", "clip")
                        )
                        rows.append(row)
    return rows


def _row(number: int, value: float, mask: str) -> Row:
    label = ("dog", "rain", "clock tick")[number % 3]
    kept, removed = float(np.clip(0.5 + value / 2, 0, 1)), float(np.clip(0.5 - value / 2, 0, 1))
    scores = {
        "faithfulness": 0.9 - removed,
        "average_increase": 100.0 * (kept > 0.9),
        "average_drop": 100 * max(0.9 - kept, 0.0) / 0.9,
        "average_gain": 100 * max(kept - 0.9, 0.0) / 0.1,
        "input_fidelity": float(kept > 0.5),
    }
    return {
        "clip": f"1-{number:03d}-A.wav", "label": label, "fold": "1", "target_label": label, "status": "ok", "error": "",
        "seed": 0, "target": number % 3, "correct": number % 5 != 0,
        "original": 0.9, "kept": kept, "removed": removed,
        "heard_original": 0.9, "heard_kept": kept - 0.02, "heard_removed": removed,
        **scores, **{f"heard_{name}": number_ for name, number_ in scores.items()},
        "sparseness": {"topk:0.3": 0.7, "positive": 0.5, "topk:0.05": 0.95}.get(mask, 0.6),
        "complexity": {"topk:0.3": 9.0, "positive": 9.7, "topk:0.05": 7.4}.get(mask, 9.0),
        "mask_size": {"topk:0.3": 0.3, "positive": 0.5, "topk:0.05": 0.05}.get(mask, 0.4),
        "deletion_auc": removed, "insertion_auc": kept,
        "seconds": 0.01, "attribution_seconds": 0.5, "passes": 10.0,
    }  # fmt: skip


def fail(rows: list[Row], chosen, error: str = "the clip is silent") -> list[Row]:
    """The rows, with those for which ``chosen(row)`` holds as failures."""
    out = []
    for row in rows:
        if chosen(row):
            texts = {k: row[k] for k in TEXTS if k in row}
            row = {**texts, "seed": 0, "status": "failed", "error": error}
        out.append(row)
    return out


def write_rows(path: Path, rows: list[Row]) -> Path:
    """As a Parquet file; what a row lacks is null."""
    import pyarrow as pa
    import pyarrow.parquet as parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    names = list(dict.fromkeys(name for row in rows for name in row))
    parquet.write_table(pa.table({name: [row.get(name) for row in rows] for name in names}), path)
    return path


def write_study(folder: Path, rows: list[Row], **about: Any) -> Path:
    """A study's folder: results and what it says of itself."""
    write_rows(folder / "results.parquet", rows)
    (folder / "study.json").write_text(json.dumps({"title": "A made-up study", **about}))
    return folder


def example_names(rows: list[Row], table: Any, methods: int = 4) -> list[str]:
    """Names of the best, worst and most disputed example clip, by loops."""
    names = sorted({row["clip"] for row in rows})[1::2]
    lines = [line for line in table.lines if line.role != "oracle"][:methods]
    gaps = {}
    for name in names:
        mine = [
            row["heard_kept"] - row["heard_removed"] for line in lines for row in rows
            if row["clip"] == name and row["method"] == line.name["method"] and row["mask"] == line.chosen["mask"]
        ]  # fmt: skip
        gaps[name] = mine
    best = max(names, key=lambda n: np.mean(gaps[n]))
    worst = min((n for n in names if n != best), key=lambda n: np.mean(gaps[n]))
    return [best, worst, max((n for n in names if n not in (best, worst)), key=lambda n: np.ptp(gaps[n]))]
