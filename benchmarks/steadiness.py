"""How much explanations change with the number of threads and the size of batches, for which nothing is random.

    python benchmarks/steadiness.py --esc10 FOLDER [--clips 8]

`esc10-mn` and clips of fold 1 of ESC-10, mel domain. For each method: the largest and the 99th percentile of the differences of
cells, as a share of the clip's largest value, and the largest difference of the probabilities of kept and removed sound as heard.
"""

from __future__ import annotations

import argparse
import datetime
import platform
from pathlib import Path

import numpy as np
import torch

import otoscope
from otoscope.datasets import load_dataset

METHODS = (
    "gradient",
    "integrated_gradients",
    "lrp",
    "grad_cam",
    "lime,samples=200",
    "mask_evolution,generations=3",
    "mask_optimisation",
)


def explained(files: list[str], method: str, threads: int, batch: int) -> list[otoscope.Explanation]:
    """Explanations of some files."""
    torch.set_num_threads(threads)
    return otoscope.explain(files, "esc10-mn", method=method, batch_size=batch)


def heard(explanation: otoscope.Explanation) -> np.ndarray:
    """Probabilities of kept and removed sound."""
    found = explanation.heard.of(explanation.target.index)
    return np.array([found["kept"], found["removed"]])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--esc10", type=Path, required=True, help="folder of ESC-10, laid out as ESC-50")
    parser.add_argument("--clips", type=int, default=8)
    chosen = parser.parse_args()
    examples = load_dataset("esc50,esc10=true", str(chosen.esc10)).folds((1,)).examples
    files = [str(e.path) for e in examples][:: len(examples) // chosen.clips][: chosen.clips]
    print(f"{datetime.date.today()}, {platform.machine()}, torch {torch.__version__}, {len(files)} clips, seed 0\n")
    print("| method | against | largest | 99 % | as heard |\n| --- | --- | --- | --- | --- |")
    for method in METHODS:
        first = explained(files, method, 1, 16)
        for name, threads, batch in (("2 threads", 2, 16), ("single clips", 1, 1)):
            pairs = list(zip(first, explained(files, method, threads, batch), strict=True))
            cells = np.concatenate(
                [
                    np.abs(a.attribution.values - b.attribution.values).ravel() / np.abs(a.attribution.values).max()
                    for a, b in pairs
                ]
            )
            worst = max(float(np.abs(heard(a) - heard(b)).max()) for a, b in pairs)
            print(
                f"| `{method}` | {name} | {cells.max():.1e} | {np.quantile(cells, 0.99):.1e} | {worst:.1e} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
