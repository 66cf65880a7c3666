"""Fill the tables of docs/results/prototypes.md from runs of `otoscope train`.

    python benchmarks/prototype_results.py docs/results/prototypes.md --runs runs --data shared/data

``--runs`` holds a folder for each context and architecture: ``CONTEXT`` for APNet, ``CONTEXT-sb`` for SB-CNN and ``CONTEXT-rnn``
for the attention RNN, where CONTEXT is ``esc10``, ``fsdd`` or ``instruments``; ``--data`` the data sets in folders of these names.
What is not there is left out. The tables stand between ``<!-- begin: NAME -->`` and ``<!-- end -->``.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

import otoscope
from otoscope.datasets import load_dataset
from otoscope.metrics.paired import sign_flip
from otoscope.metrics.statistics import wilson_interval
from otoscope.prototypes import (
    EncodedClips,
    TuneSettings,
    accuracy,
    encode_clips,
    list_prototypes,
    owners,
    prototype_network,
    prototype_sounds,
    refine_channels,
    refine_prototypes,
    tune,
)

CONTEXTS = {
    "esc10": "ESC-10, five folds",
    "fsdd": "FSDD, two speakers held out",
    "instruments": "Instruments, every third note",
}
ARCHITECTURES = {"": "APNet", "-sb": "SB-CNN", "-rnn": "attention RNN"}
BLOCK = re.compile(r"(<!-- begin: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
STEPS = (
    "as it was",
    "authors' rule",
    "paper's threshold",
    "half",
    "half, tuned",
    "half, 8 channels fewer",
    "the same, tuned",
)


def folds_of(run: Path) -> list[Path]:
    """The model folders of a run: one, or one for each fold."""
    return [p / "model" for p in sorted(run.glob("fold-*"))] or [run / "model"]


def outcomes(run: Path) -> dict[str, tuple[str, bool]]:
    """Clip -> its class, and whether it was given that class."""
    found = {}
    for model in folds_of(run):
        fold = model.parent.name if model.parent != run else ""
        with (model / "predictions.csv").open(newline="", encoding="utf-8") as file:
            for number, row in enumerate(csv.DictReader(file)):  # files of two folders may share a name
                found[f"{fold}-{number}"] = (row["truth"], row["truth"] == row["said"])
    return found


def available(runs: Path) -> Iterator[tuple[str, str, Path]]:
    """Context, suffix and folder of the runs that are complete."""
    for context in CONTEXTS:
        for suffix in ARCHITECTURES:
            run = runs / f"{context}{suffix}"
            if run.is_dir() and all((m / "predictions.csv").is_file() for m in folds_of(run)):
                yield context, suffix, run


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table."""
    return "\n".join(["| " + " | ".join(r) + " |" for r in (head, ("---",) * len(head), *rows)]) + "\n"


def percent(value: float, digits: int = 1) -> str:
    """A share as a number of hundredths."""
    return f"{100 * value:.{digits}f}"


def table_accuracy(runs: Path) -> str:
    """Accuracy, mean of the classes, worst class; the test of the difference from APNet is paired by clip."""
    rows = []
    for context, suffix, run in available(runs):
        found, apnet = outcomes(run), outcomes(runs / context)
        right = np.array([ok for _, ok in found.values()])
        classes = sorted({truth for truth, _ in found.values()})
        each = {c: float(np.mean([ok for truth, ok in found.values() if truth == c])) for c in classes}
        low, high = wilson_interval(int(right.sum()), len(right))
        worst = min(each, key=each.__getitem__)
        p = "" if not suffix else _p(apnet, found)
        results = [json.loads((m / "results.json").read_text()) for m in folds_of(run)]
        minutes = sum(r["train_s"] for r in results) / 60
        spread = np.std([float(r["accuracy"]) for r in results], ddof=1) if len(results) > 1 else None
        rows.append((
            CONTEXTS[context], ARCHITECTURES[suffix],
            f"{percent(float(right.mean()))}" + (f" ± {percent(float(spread))}" if spread is not None else ""),
            f"{percent(low)}–{percent(high)}", percent(float(np.mean(list(each.values())))),
            f"{worst} {percent(each[worst], 0)}", p,
            f"{results[0]['parameters']:,}", f"{minutes:.0f}",
        ))  # fmt: skip
    head = (
        "Data",
        "Network",
        "Accuracy, %",
        "95 % interval",
        "Mean of classes, %",
        "Worst class, %",
        "p against APNet",
        "Parameters",
        "Minutes",
    )
    return table(head, rows)


def _p(apnet: dict[str, tuple[str, bool]], other: dict[str, tuple[str, bool]]) -> str:
    files = sorted(set(apnet) & set(other))
    p = sign_flip(*(np.array([float(o[f][1]) for f in files]) for o in (apnet, other))).p
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def table_classes(runs: Path) -> str:
    """Accuracy of each class."""
    rows = []
    for context in CONTEXTS:
        made = {s: outcomes(run) for c, s, run in available(runs) if c == context}
        for name in sorted({truth for truth, _ in next(iter(made.values()), {}).values()}):
            each = [_of_class(made[s], name) if s in made else "" for s in ARCHITECTURES]
            rows.append((CONTEXTS[context].split(",")[0], name, *each))
    return table(("Data", "Class", *ARCHITECTURES.values()), rows)


def _of_class(found: dict[str, tuple[str, bool]], name: str) -> str:
    return percent(float(np.mean([ok for truth, ok in found.values() if truth == name])), 0)


def clips_of(model_folder: Path, context: str, data: Path) -> tuple[Any, dict[str, EncodedClips]]:
    """The classifier of a fold, and its training and test clips."""
    recipe = json.loads((model_folder / "results.json").read_text())["recipe"]
    model = otoscope.load_classifier(str(model_folder)).eval()
    test = [int(f) if str(f).isdecimal() else f for f in recipe["data"]["test"]]
    parts = load_dataset(recipe["data"]["name"], data / context).parts(test=test)
    return model, {name: encode_clips(model, part) for name, part in parts.items()}


def heard_and_steps(runs: Path, data: Path) -> tuple[str, str]:
    """Shares of prototypes that are heard as their class; and sizes and accuracy after each step of the refinement."""
    heard_rows, step_rows = [], []
    for context in CONTEXTS:
        counts: dict[str, list[int]] = {"decoded": [], "real": []}
        owned, steps = [], {name: [] for name in STEPS}
        if not (runs / context).is_dir():
            continue
        for folder in folds_of(runs / context):
            if not (folder / "results.json").is_file():
                continue
            model, parts = clips_of(folder, context, data)
            for sound in prototype_sounds(model, parts["training"]):
                for form in counts:
                    counts[form].append(int(sound.is_heard(form)))
            owned.append(len(set(owners(model))))
            for name, found in refined(model, parts, context, folder, data).items():
                steps[name].append(found)
        row = [f"{sum(c)} of {len(c)} ({percent(np.mean(c))} %)" for c in counts.values()]
        heard_rows.append((CONTEXTS[context].split(",")[0], *row, f"{min(owned)} of {len(model.labels)}"))
        for name, found in steps.items():
            n, channels, size, right = np.mean(np.array(found, dtype=float), 0)
            step_rows.append(
                (CONTEXTS[context].split(",")[0], name, f"{n:.1f}", f"{channels:.0f}", f"{size:,.0f}", percent(right))
            )
    return (
        table(
            ("Data", "Decoded sound has its class", "Real clip has its class", "Classes with a prototype, at least"),
            heard_rows,
        ),
        table(("Data", "Step", "Prototypes", "Channels", "Parameters", "Test accuracy, %"), step_rows),
    )


def refined(
    model: Any, parts: dict[str, EncodedClips], context: str, folder: Path, data: Path
) -> dict[str, tuple[float, ...]]:
    """Prototypes, channels, parameters and test accuracy after each step."""

    def size(made: Any, clips: dict[str, EncodedClips]) -> tuple[float, ...]:
        network = prototype_network(made)
        n_parameters = sum(p.numel() for p in network.parameters())
        return (
            len(list_prototypes(made)),
            network.prototypes.maps.shape[1],
            n_parameters,
            accuracy(network, clips["test"]),
        )

    half = refine_prototypes(model, share=0.5)
    fewer = refine_channels(half, 8)
    again = {name: encode(fewer, clips) for name, clips in parts.items()}
    return {
        "as it was": size(model, parts),
        "authors' rule": _or_nothing(lambda: size(refine_prototypes(model, compat=True), parts)),
        "paper's threshold": size(refine_prototypes(model), parts),
        "half": size(half, parts),
        "half, tuned": size(tune(half, parts["training"], TuneSettings()), parts),
        "half, 8 channels fewer": size(fewer, again),
        "the same, tuned": size(tune(fewer, again["training"], TuneSettings()), again),
    }


def _or_nothing(work: Any) -> tuple[float, ...]:
    """A refinement that would leave a class without a prototype is refused."""
    try:
        return work()
    except otoscope.OtoscopeError:
        return (float("nan"),) * 4


def encode(model: Any, clips: EncodedClips) -> EncodedClips:
    """The same clips by another encoder."""
    from otoscope.prototypes.clips import window

    network = prototype_network(model)
    with torch.no_grad():
        maps = [
            network.encoder(
                model.features(torch.from_numpy(np.stack([window(model, e) for e in clips.examples[i : i + 32]])))
            ).map
            for i in range(0, len(clips), 32)
        ]
    return EncodedClips(clips.examples, torch.cat(maps), clips.targets)


def main() -> None:
    """Fill the page."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("page", type=Path)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", default="accuracy,classes,heard,steps")
    options = parser.parse_args()
    torch.set_num_threads(1)
    wanted, made = options.only.split(","), {}
    if "accuracy" in wanted:
        made["accuracy"] = table_accuracy(options.runs)
    if "classes" in wanted:
        made["classes"] = table_classes(options.runs)
    if {"heard", "steps"} & set(wanted):
        made["heard"], made["steps"] = heard_and_steps(options.runs, options.data)
    text = options.page.read_text(encoding="utf-8")
    text = BLOCK.sub(lambda m: m[1] + "\n" + made[m[2]] + "\n" + m[3] if m[2] in made else m[0], text)
    options.page.write_text(text, encoding="utf-8")
    for name, content in made.items():
        print(f"{name}\n{content}")


if __name__ == "__main__":
    main()
