"""Speed of autoencoders, as part of `make bench`: a tuning step against the bare passes, bfloat16 against float32, and the
reconstruction of an hour of sound.

    python benchmarks/autoencoders.py [--batch 8] [--minutes 60] [--published]
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from zoo import shortest

from otoscope.autoencoders import SMALL, Autoencoder, AutoencoderConfig, reconstruct_blocks
from otoscope.autoencoders.autoencoder import random_autoencoder
from otoscope.classifiers import Classifier, build
from otoscope.core import registry
from otoscope.training.autoencoder.module import AutoencoderModule
from otoscope.training.autoencoder.settings import AutoencoderRecipe, ListenerSettings
from otoscope.training.module import make_optimiser

STEP, HALF, LOSS = 1.10, 0.5, 0.01


def frozen(spec: str) -> Classifier:
    """An architecture with random weights in evaluation mode, without gradients of its own."""
    torch.manual_seed(0)
    entry, settings = registry.parse("architecture", spec)
    return build(entry.name, 50, settings=settings).eval().requires_grad_(False)


class Noise:
    """A mono sound of any length that is made where it is read."""

    source, notes, channels = "noise", (), 1

    def __init__(self, seconds: float, sample_rate: int):
        self.sample_rate, self.frames = sample_rate, round(seconds * sample_rate)
        self.duration = seconds
        self.second = 0.1 * np.random.default_rng(0).normal(size=(1, sample_rate)).astype(np.float32)

    def read(self, start: int, stop: int) -> np.ndarray:
        """The same second again and again; silence outside."""
        places = np.arange(start, stop)
        return np.where((places >= 0) & (places < self.frames), self.second[:, places % self.sample_rate], 0.0)


def cast(precision: str) -> contextlib.AbstractContextManager:
    """Autocast, or nothing."""
    return torch.autocast("cpu", torch.bfloat16) if precision == "bf16" else contextlib.nullcontext()


def step_of(module: AutoencoderModule, batch: tuple[Tensor, ...], precision: str) -> Callable[[], float]:
    """A whole tuning step as Lightning makes it: losses, backward pass, optimiser."""
    optimiser = make_optimiser([module.network], module.recipe.optimiser)
    module.log_dict = lambda *_a, **_k: None  # type: ignore[method-assign]  # no trainer, no log

    def step() -> float:
        with cast(precision):
            loss = module.training_step(batch, 0)  # type: ignore[arg-type]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return float(loss.detach())

    return step


def bare_of(
    autoencoder: Autoencoder, classifier: Classifier, batch: tuple[Tensor, ...], precision: str
) -> Callable[[], object]:
    """Forward and backward pass of the same layers in plain torch."""
    waveform, truth, _ = batch

    def bare() -> None:
        with cast(precision):
            made = autoencoder.network(waveform[:, None])[:, 0]
            with torch.autocast("cpu", enabled=False):
                features = classifier.frontend(made.float())  # type: ignore[misc]
            loss = nn.functional.cross_entropy(classifier.network(features), truth)
        autoencoder.network.zero_grad()
        loss.backward()

    return bare


def steps(config: AutoencoderConfig, name: str, size: int, precision: str) -> list[float]:
    """Shortest seconds of a tuning step and of the bare passes."""
    autoencoder, classifier = random_autoencoder(config, 1), frozen(name)
    recipe = AutoencoderRecipe(task="tune", classifier=ListenerSettings(model=name))
    module = AutoencoderModule(autoencoder, recipe, classifier, range(50), ["clip"] * size, 1)
    module._trainer = None  # type: ignore[assignment]
    rng = torch.Generator().manual_seed(0)
    length = 5 * classifier.sample_rate
    batch = (0.1 * torch.randn(size, length, generator=rng), torch.arange(size) % 50, torch.arange(size))
    ours = step_of(module, batch, precision)
    return shortest([ours, bare_of(autoencoder, classifier, batch, precision)], 4)


def tuning(config: AutoencoderConfig, title: str, size: int) -> None:
    """Rows on tuning steps."""
    for name in ("mn,width=0.4", "dymn,width=0.4", "passt,dim=192,depth=6,heads=3"):
        ours, bare = steps(config, name, size, "fp32")
        fast, fast_bare = steps(config, name, size, "bf16")
        row(f"{title}, `{name.split(',')[0]}`: tuning step over bare passes, fp32", ours / bare, STEP)
        row(f"{title}, `{name.split(',')[0]}`: tuning step over bare passes, bf16", fast / fast_bare, STEP)
        row(f"{title}, `{name.split(',')[0]}`: bf16 over fp32", fast / ours, HALF)


def rounding(root: str) -> None:
    """Row on the loss in bfloat16 relative to float32: the built-in autoencoder and classifier on fold 5 of ESC-10."""
    from otoscope.autoencoders import load_autoencoder
    from otoscope.classifiers import load_classifier
    from otoscope.datasets import load_dataset
    from otoscope.training.autoencoder.module import classification_loss, hear
    from otoscope.training.data import Clips
    from otoscope.training.settings import DataSettings

    autoencoder, classifier = load_autoencoder("esc10-mn"), load_classifier("esc10-mn")
    clips = Clips(load_dataset("esc50,esc10=true", root).folds((5,)), classifier.sample_rate, DataSettings())
    some = [clips[i] for i in range(0, len(clips), 3)]
    waveform, truth = torch.stack([w for w, _ in some]), torch.tensor([t for _, t in some])
    target = nn.functional.one_hot(truth, 10).float()
    found = []
    for precision in ("fp32", "bf16"):
        with torch.no_grad(), cast(precision):
            logits = hear(classifier, autoencoder(waveform, classifier.sample_rate))
        found.append(float(classification_loss(classifier, logits, target).mean()))
    row("`esc10-mn` behind its autoencoder: loss in bf16 relative to fp32", abs(found[1] - found[0]) / found[0], LOSS)


def row(what: str, value: float, most: float) -> None:
    """One line of the table, marked where it is over its bound."""
    print(f"| {what} | {value:.3f} | {most:g} |{' over' if value > most else ''}", flush=True)


def long_sound(minutes: float) -> None:
    """Seconds and peak memory of one reconstruction, in a process of its own."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    autoencoder = random_autoencoder(SMALL).eval()
    start = time.perf_counter()
    frames = sum(block.shape[1] for block in reconstruct_blocks(Noise(60 * minutes, 44100), autoencoder))  # type: ignore[arg-type]
    seconds = time.perf_counter() - start
    print(frames, seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, before / 1024)


def long_sounds(minutes: float) -> None:
    """Rows on long files: speed, and memory relative to a file of a twelfth of the length."""
    found = []
    for length in (minutes / 12, minutes):
        command = [sys.executable, __file__, "--long", str(length)]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        found.append((float(said[1]), float(said[2])))
    row(f"reconstruction of {minutes:g} min at 44.1 kHz, seconds a second of sound", found[1][0] / (60 * minutes), 1.0)
    row(f"peak memory, {minutes:g} min over {minutes / 12:g} min", found[1][1] / found[0][1], 1.1)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--published", action="store_true", help="the published size too (slow without a GPU)")
    parser.add_argument("--data", default="", help="folder of ESC-10; without it rounding is not measured")
    parser.add_argument("--long", type=float, default=0.0, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.long:
        long_sound(args.long)
        return
    print(
        f"\n{datetime.date.today().isoformat()}, {platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, "
        f"torch {torch.__version__}, batches of {args.batch} clips of 5 s, seed 0\n\n| what | measured | at most |\n|---|---|---|"
    )
    tuning(SMALL, "small autoencoder", args.batch)
    if args.published:
        tuning(AutoencoderConfig(in_channels=1, sample_rate=32000), "published size, mono", 1)
    if args.data:
        rounding(args.data)
    long_sounds(args.minutes)


if __name__ == "__main__":
    main()
