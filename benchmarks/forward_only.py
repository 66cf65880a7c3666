"""How well classifiers without gradients are explained by default, and with other masks.

    python benchmarks/forward_only.py --esc10 FOLDER [--clips 40] [--field FOLDER]

`esc10-mn` is taken as a function, so that nothing but its answers is used, on clips of fold 1 of ESC-10, which it was not
trained on. With ``--field``, BirdNET on two windows of real recordings. Numbers are as heard; intervals are bootstrapped over
clips.
"""

from __future__ import annotations

import argparse
import datetime
import platform
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

import otoscope
from otoscope.classifiers import Classifier
from otoscope.datasets import load_dataset
from otoscope.metrics.statistics import bootstrap

MASKS = ("smallest", "sufficient", "necessary", "positive", "binary", "topk:0.1", "topk:0.2")
WINDOWS = (("birds_10s.wav", 1, "Tennessee Warbler"), ("urban_recorder.WAV", 6, "Eurasian Blackbird"))


def as_function(name: str) -> Classifier:
    """A classifier of which only the answers are used."""
    inner = otoscope.load_classifier(name)

    def answers(sounds: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            found: np.ndarray = inner.probabilities(inner(torch.from_numpy(sounds))).numpy()
        return found

    return otoscope.wrap_function(
        answers,
        sample_rate=inner.sample_rate,
        labels=list(inner.labels),
        outputs="probabilities",
        name=name,
        check=False,
    )


def row(explanation: otoscope.Explanation) -> list[float]:
    """Original, kept and removed probability of the target as heard, and the size of the mask."""
    heard = explanation.heard.of(explanation.target.index)
    return [heard["original"], heard["kept"], heard["removed"], explanation.mask.size]


def esc10(root: Path, clips: int, masks: Sequence[str]) -> None:
    """Means over clips of fold 1, one of each class after another."""
    model = as_function("esc10-mn")
    examples = sorted(
        load_dataset("esc50,esc10=true", str(root)).folds((1,)).examples, key=lambda e: (e.path.name[::-1], e.label)
    )
    by_class: dict[str, int] = {}
    turn = [(by_class.setdefault(e.label, len(by_class)), k, e) for k, e in enumerate(examples)]
    chosen = [e for _, _, e in sorted(turn, key=lambda t: (t[1] // 10, t[0]))][:clips]
    print(f"\nesc10-mn as a function, {len(chosen)} clips of fold 1\n")
    print("| mask | kept minus removed | kept | removed | size |\n| --- | --- | --- | --- | --- |")
    for mask in masks:
        rows = np.array([row(otoscope.explain(str(e.path), model, mask=mask)) for e in chosen])
        kept, removed = rows[:, 1], rows[:, 2]
        interval = bootstrap(kept - removed)
        low, high = float(interval.low), float(interval.high)
        print(
            f"| `{mask}` | {(kept - removed).mean():.2f} ({low:.2f} to {high:.2f}) | {kept.mean():.2f} | {removed.mean():.2f} | "
            f"{rows[:, 3].mean():.2f} |",
            flush=True,
        )


def birdnet(root: Path, masks: Sequence[str]) -> None:
    """Two windows of field recordings."""
    model = otoscope.load_classifier("birdnet")
    print("\n| BirdNET on | mask | original | kept | removed | size |\n| --- | --- | --- | --- | --- | --- |")
    for file, window, target in WINDOWS:
        sound = otoscope.load_audio(root / file)
        n = 3 * sound.sample_rate
        clip = otoscope.load_audio(sound.samples[:, window * n : (window + 1) * n], sample_rate=sound.sample_rate)
        for mask in masks:
            original, kept, removed, size = row(otoscope.explain(clip, model, target=target, mask=mask))
            print(f"| {target} | `{mask}` | {original:.2f} | {kept:.2f} | {removed:.3f} | {size:.3f} |", flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--esc10", type=Path, help="folder of ESC-10, laid out as ESC-50")
    parser.add_argument("--field", type=Path, help="folder of the field recordings")
    parser.add_argument("--clips", type=int, default=40)
    parser.add_argument("--masks", nargs="+", default=MASKS)
    chosen = parser.parse_args()
    print(
        f"{datetime.date.today()}, {platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}, seed 0"
    )
    if chosen.field:
        birdnet(chosen.field, chosen.masks)
    if chosen.esc10:
        esc10(chosen.esc10, chosen.clips, chosen.masks)


if __name__ == "__main__":
    main()
