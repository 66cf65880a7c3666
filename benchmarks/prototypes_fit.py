"""How far prototypes of a frozen classifier explain it: agreement, purity and deletion as heard, and coverage, against baselines.

    python benchmarks/prototypes_fit.py esc10-mn --root /work/shared/data/esc10
    python benchmarks/prototypes_fit.py runs/mn-fsdd/model --data fsdd,folds=speaker --root data/fsdd --test theo yweweler

Prototypes are fitted to all folds but the test folds and measured on these. Intervals are 95 %: bootstrap over sources for numbers
of clips, Wilson's for purity. ``--cross`` measures on each training fold in turn instead, to choose settings.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import otoscope
from otoscope.classifiers import Classifier
from otoscope.core.errors import OtoscopeError
from otoscope.datasets import Dataset, load_dataset
from otoscope.datasets.records import spread
from otoscope.metrics import bootstrap
from otoscope.metrics.statistics import wilson_interval
from otoscope.prototypes import (
    FitSettings,
    FittedPrototypes,
    LayerClip,
    Measure,
    agreement,
    coverage,
    fit_prototypes,
    heard_deletion,
    heard_purity,
    record_clips,
    vote_accuracy,
)

METHODS = ("medoids", "nearest", "kmeans", "random", "energy")
COLUMNS = (
    "agreement",
    "agreement (top 3)",
    "accuracy of the vote",
    "accuracy",
    "coverage",
    "heard purity",
    "heard deletion",
)
Row = dict[str, Any]


def interval(measure: Measure, clips: Sequence[LayerClip]) -> list[float | None]:
    """A mean and the ends of its interval."""
    if not len(measure.known):
        return [None, None, None]
    if measure.items == "prototypes":
        return [measure.value, *wilson_interval(int(measure.known.sum()), len(measure.known))]
    sources = np.array([c.example.source or c.example.path.name if c.example else str(i) for i, c in enumerate(clips)])
    found = bootstrap(measure.values, clusters=sources)
    return [float(found.value), float(found.low), float(found.high)]


def measured(
    fitted: FittedPrototypes,
    classifier: Classifier,
    data: Dataset,
    clips: Sequence[LayerClip],
    deletion: Sequence[LayerClip],
) -> Row:
    """All numbers of some prototypes."""
    row = {
        m.name: interval(m, clips)
        for m in (agreement(fitted, clips), agreement(fitted, clips, 3), coverage(fitted, clips))
    }
    with contextlib.suppress(OtoscopeError):  # the classifier has other classes than the data set
        row |= {m.name: interval(m, clips) for m in vote_accuracy(fitted, classifier, data, clips)}
    row["heard purity"] = interval(heard_purity(fitted, classifier), clips)
    if deletion:
        drop = heard_deletion(fitted, classifier, deletion)
        row["heard deletion"] = interval(drop, deletion)
    return row


def controls(fitted: FittedPrototypes, classifier: Classifier, clips: Sequence[LayerClip], seed: int) -> Row:
    """Deletion of other places of the same kind."""
    found = {}
    for removed in ("random", "loudest"):
        drop = heard_deletion(fitted, classifier, clips, removed, seed)  # type: ignore[arg-type]
        found[removed] = interval(drop, clips)
    return found


def shown(numbers: Sequence[float | None] | None) -> str:
    """A mean with its interval, for the table."""
    if not numbers or numbers[0] is None:
        return ""
    value, low, high = numbers
    return f"{value:.3f} ({low:.3f} to {high:.3f})"


def table(rows: Sequence[Row]) -> str:
    """The rows in Markdown."""
    columns = [c for c in COLUMNS if any(c in row for row in rows)]
    lines = [["method", "prototypes", *columns], ["---"] * (len(columns) + 2)]
    lines += [[row["method"], str(row["prototypes"]), *(shown(row.get(c)) for c in columns)] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def cross(
    classifier: Classifier, data: Dataset, clips: Sequence[LayerClip], settings: FitSettings, classes: Sequence[str]
) -> Row:
    """Agreement and purity with each fold left out in turn: their means."""
    agreed, pure = [], []
    for fold in data.fold_names():
        apart = [c.example is not None and c.example.fold == fold for c in clips]
        fitted = fit_prototypes(
            classifier, [c for c, out in zip(clips, apart) if not out], settings=settings, classes=classes
        )
        agreed.append(agreement(fitted, [c for c, out in zip(clips, apart) if out]).value)
        pure.append(heard_purity(fitted, classifier).value)
    return {"agreement by fold": agreed, "agreement": float(np.mean(agreed)), "heard purity": float(np.mean(pure))}


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", help="name or folder of a classifier")
    parser.add_argument("--weights", default="published", help="file of its weights")
    parser.add_argument("--min-s", type=float, default=None, help="pad shorter clips with silence, as in training")
    parser.add_argument("--data", default="esc50,esc10=true", help="the data set")
    parser.add_argument("--root", required=True, help="its folder")
    parser.add_argument("--test", nargs="+", default=["1"], help="folds for the test")
    parser.add_argument("--layer", default=None, help="dotted name; by default that of CAM methods")
    parser.add_argument("--classes", nargs="+", default=[], help="decide between these classes only")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--parts", nargs="+", default=["time"], choices=("clip", "time", "frequency", "both"))
    parser.add_argument("--window-s", nargs="+", type=float, default=[1.0])
    parser.add_argument("--per-class", type=int, default=3)
    parser.add_argument("--hear", action="store_true", help="choose only stretches that are heard as their class")
    parser.add_argument("--deletion", type=int, default=80, help="clips whose matched part is removed; 0: none")
    parser.add_argument("--cross", action="store_true", help="leave each training fold out in turn; no test")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", default="", help="file for the numbers")
    options = parser.parse_args()

    classifier = otoscope.load_classifier(options.model, options.weights).eval()
    classifier.min_s = options.min_s or classifier.min_s
    data, test = load_dataset(options.data, options.root), [int(f) if f.isdecimal() else f for f in options.test]
    training = data.folds([f for f in data.fold_names() if f not in test])
    started = time.perf_counter()
    clips = record_clips(classifier, training, options.layer)
    seconds = time.perf_counter() - started
    held = [] if options.cross else record_clips(classifier, data.folds(test), options.layer)
    deletion = spread(held, options.deletion) if held and options.deletion else []
    rows = []
    for parts in options.parts:
        for window_s in options.window_s if parts in ("time", "both") else [1.0]:
            for method in options.methods:
                settings = FitSettings(options.per_class, parts, window_s, method, options.hear, options.seed)
                name = f"{method}, {parts}" + (f" {window_s:g} s" if parts in ("time", "both") else "")
                if options.cross:
                    row = cross(classifier, training, clips, settings, options.classes)
                    print(name, json.dumps(row), flush=True)
                    rows.append({"method": name, **row})
                    continue
                begun = time.perf_counter()
                fitted = fit_prototypes(classifier, clips, options.layer, settings, options.classes)
                row = {"method": name, "prototypes": len(fitted), "fit_s": time.perf_counter() - begun}
                row |= measured(fitted, classifier, data, held, deletion)
                row |= {"temperature": fitted.space.temperature, "without": len(fitted.facts["without"])}
                if method == options.methods[0] and deletion:
                    row["deletion of other places"] = controls(fitted, classifier, deletion, options.seed)
                rows.append(row)
                print(json.dumps(row), flush=True)
    about = {
        "model": options.model, "data": options.data, "training": len(training), "test": len(held), "layer": options.layer,
        "seconds of the passes": seconds, "passes": len(training), "deletion clips": len(deletion),
    }  # fmt: skip
    if not options.cross:
        print("\n" + table(rows) + "\n")
    print(json.dumps(about))
    if options.json:
        Path(options.json).write_text(json.dumps({**about, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
