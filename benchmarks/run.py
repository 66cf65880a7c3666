"""Speed and memory, as ratios within one run: `make bench`.

Each row has a bound from the project's promises; a row over its bound is marked. Times are the shortest of several rounds,
alternating with what they are compared with, so that a busy machine slows both.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

import otoscope
from otoscope.core import registry
from otoscope.core.records import Clip
from otoscope.domains import make_domain, render_clips
from otoscope.explanation.explain import explain_sources
from otoscope.explanation.request import DEFAULT_DOMAIN, make_request
from otoscope.surgery import preserve_state

GRADIENT = ("gradient", "input_x_gradient", "integrated_gradients", "smooth_grad", "grad_cam", "mask_optimisation")
RATE = 32000


def shortest_pair(first: Callable[[], object], second: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Shortest seconds of both, run in turn: what else the machine does can only lengthen a run."""
    times: tuple[list[float], list[float]] = ([], [])
    for i in range(rounds + 1):
        for kept, act in zip(times, (first, second), strict=True):
            start = time.perf_counter()
            act()
            if i:  # the first round warms up
                kept.append(time.perf_counter() - start)
    return min(times[0]), min(times[1])


def fresh(code: str) -> float:
    """Seconds that a line takes in a fresh interpreter, by its own clock; median of five."""
    program = f"import time; t = time.perf_counter(); {code}; print(time.perf_counter() - t)"
    runs = [
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True) for _ in range(5)
    ]
    return statistics.median(float(r.stdout.split()[-1]) for r in runs)


def whole(command: list[str]) -> float:
    """Seconds of a whole command; median of five."""
    times = []
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run(command, capture_output=True, check=True)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def bare(
    model: otoscope.Classifier, waveform: torch.Tensor, method: str, settings: dict, most: int
) -> Callable[[], None]:
    """The passes that a method needs, and nothing else: the classifier on waveforms, in the same batches, plus 3 for scores."""
    passes = registry.get("method", method).facts["passes"](**settings) * len(waveform)
    pairs = 2 * len(waveform) if method == "mask_optimisation" else most

    def act() -> None:
        left = passes
        while left > 0:
            n = min(left, pairs)
            x = waveform[torch.arange(n) % len(waveform)].clone().requires_grad_(True)
            torch.autograd.grad(model(x)[:, 0].sum(), x)
            left -= n
        with torch.no_grad():
            for _ in range(3):
                model(waveform)

    return act


def overhead(model: otoscope.Classifier, rounds: int) -> list[tuple[str, float, float, str]]:
    """An explanation's time over its bare passes' time."""
    rows = []
    for batch, bound in ((8, 1.15), (1, 1.25)):
        rng = np.random.default_rng(0)
        clips = [Clip(rng.normal(size=(1, 5 * RATE)).astype(np.float32) / 10, RATE) for _ in range(batch)]
        waveform = torch.from_numpy(np.concatenate([c.samples for c in clips]))
        for method in GRADIENT:
            spec = "mask_optimisation,steps=20" if method == "mask_optimisation" else method
            most = 16 if method == "mask_optimisation" else 8  # it asks kept and removed together
            request = make_request(spec, DEFAULT_DOMAIN, "positive", None, 0, most)
            with preserve_state(model):
                mine, theirs = shortest_pair(
                    lambda clips=clips, request=request: explain_sources(clips, model, request),
                    bare(model, waveform, method, dict(request.method_settings), 8),
                    rounds,
                )
            rows.append((f"{method}, batch {batch}: explanation / bare passes", mine / theirs, bound, "x"))
    return rows


def rendering() -> tuple[str, float, float, str]:
    """28 masks on a 5 s clip, kept and removed."""
    clip = Clip(np.random.default_rng(0).normal(size=(1, 5 * 44100)).astype(np.float32) / 10, 44100)
    model = otoscope.load_classifier("esc10-mn")
    grid = make_domain("mel", {}).grid(5 * RATE, model)
    masks = np.random.default_rng(1).random((28, *grid.shape), dtype=np.float32)

    def act() -> None:
        kept = render_clips(clip, masks, grid, 0, clip.frames)
        _ = clip.samples[None] - kept

    return ("kept and removed sounds of 28 masks, 5 s at 44.1 kHz", shortest_pair(act, lambda: None, 5)[0], 0.5, "s")


def peak_memory(minutes: int) -> float:
    """Peak resident memory in MiB of explaining a file of so many minutes, in a process of its own."""
    import soundfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.wav"
        rng = np.random.default_rng(0)
        with soundfile.SoundFile(path, "w", 16000, 1) as file:
            for _ in range(minutes):
                file.write(rng.normal(size=60 * 16000) / 20)
        command = [sys.executable, __file__, "--one", str(path), folder]
        out = subprocess.run(command, capture_output=True, text=True, check=True)
        return float(out.stdout.split()[-1])


def explain_one(path: str, folder: str) -> None:
    """Explain and save one file, print the peak memory in MiB."""
    otoscope.explain(path, method="input_x_gradient", batch_size=8).save(folder)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    """Measure, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--one", nargs=2, metavar=("FILE", "FOLDER"), help=argparse.SUPPRESS)
    parser.add_argument("--quick", action="store_true", help="without the 60-minute file")
    a = parser.parse_args()
    if a.one:
        explain_one(*a.one)
        return
    model = otoscope.load_classifier("esc10-mn")
    rows = [
        ("import otoscope", fresh("import otoscope"), 0.05, "s"),
        ("otoscope --help", whole([str(Path(sys.executable).parent / "otoscope"), "--help"]), 0.5, "s"),
        *overhead(model, a.rounds),
        rendering(),
    ]
    if not a.quick:
        short, long = peak_memory(5), peak_memory(60)
        rows.append((f"peak memory of 60 min ({long:.0f} MiB) / 5 min ({short:.0f} MiB)", long / short, 1.5, "x"))
    today = datetime.date.today().isoformat()
    machine = f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads"
    print(f"{today}, {machine}, torch {torch.__version__}, seed 0\n")
    print("| what | measured | at most | |\n|---|---|---|---|")
    for what, value, bound, unit in rows:
        print(f"| {what} | {value:.3g} {unit} | {bound:g} {unit} | {'' if value <= bound else 'OVER'} |")


if __name__ == "__main__":
    main()
