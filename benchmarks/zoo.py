"""Speed of the zoo, as part of `make bench`: every architecture at batch 1 and 8, in float32 and bfloat16, our classifiers
against the same layers without our wrappers, and how much of training is spent in the model.

    python benchmarks/zoo.py [--seconds 5] [--only mn,cnn14] [--data FOLDER_OF_ESC_10]
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import os
import platform
import tempfile
import time
from collections.abc import Callable

import torch
from torch import nn

from otoscope.classifiers import Classifier, build
from otoscope.core import registry

COMPARED = ("mn", "cnn14", "passt")
BOUND, SHARE = 1.05, 0.85


def shortest(acts: list[Callable[[], object]], rounds: int) -> list[float]:
    """Shortest seconds of each, run in turn; the first round warms up."""
    times: list[list[float]] = [[] for _ in acts]
    for i in range(rounds + 1):
        for kept, act in zip(times, acts, strict=True):
            start = time.perf_counter()
            act()
            if i:
                kept.append(time.perf_counter() - start)
    return [min(kept) for kept in times]


def passes(
    model: nn.Module, waveform: torch.Tensor, precision: str
) -> tuple[Callable[[], object], Callable[[], object]]:
    """A forward pass without gradients, and one with the gradient down to the waveform."""

    def cast() -> contextlib.AbstractContextManager:
        return torch.autocast("cpu", torch.bfloat16) if precision == "bf16" else contextlib.nullcontext()

    def forward() -> None:
        with torch.no_grad(), cast():
            model(waveform)

    def both() -> None:
        x = waveform.clone().requires_grad_(True)
        with cast():
            score = model(x)[:, 0].sum()
        torch.autograd.grad(score, x)

    return forward, both


def speeds(name: str, seconds: float) -> None:
    """Milliseconds a second of audio, for one architecture."""
    model = frozen(name)
    cells = []
    for batch in (1, 8):
        x = 0.1 * torch.randn(batch, int(seconds * model.sample_rate), generator=torch.Generator().manual_seed(0))
        for precision in ("fp32", "bf16"):
            found = shortest(list(passes(model, x, precision)), 2)
            cells += [f"{1000 * t / (batch * seconds):.1f}" for t in found]
    n = sum(p.numel() for p in model.network.parameters())
    print(f"| `{name}` | {n / 1e6:.2f} M | " + " | ".join(f"{a} / {b}" for a, b in zip(cells[::2], cells[1::2])) + " |")


def frozen(name: str) -> Classifier:
    """An architecture with random weights in evaluation mode, without gradients of its own."""
    torch.manual_seed(0)
    return build(name, 50).eval().requires_grad_(False)


def wrappers(name: str, seconds: float) -> None:
    """Our classifier against the front end and the network in a plain Sequential."""
    model = frozen(name)
    plain = nn.Sequential(model.frontend, model.network)
    for batch in (1, 8):
        x = 0.1 * torch.randn(batch, int(seconds * model.sample_rate), generator=torch.Generator().manual_seed(0))
        ours, bare = passes(model, x, "fp32"), passes(plain, x, "fp32")
        f, g, a, b = shortest([ours[0], bare[0], ours[1], bare[1]], 5)
        for what, ratio in (("forward", f / g), ("forward and backward", a / b)):
            print(f"| `{name}`, {what}, batch {batch} | {ratio:.3f} | {BOUND} |{' over' if ratio > BOUND else ''}")


def training_share(root: str) -> None:
    """Share of an epoch's wall time inside training steps, after the first epoch, on ESC-10."""
    from otoscope.training import load_recipe, train
    from otoscope.training.classifier.module import ClassifierModule

    shares: list[float] = []
    clock = {"epoch": 0.0, "step": 0.0, "busy": 0.0}
    start = ClassifierModule.on_train_epoch_start

    def epoch_starts(self: ClassifierModule) -> None:
        clock.update(epoch=time.perf_counter(), busy=0.0)
        start(self)

    def step_starts(_self: ClassifierModule, *_: object) -> None:
        clock["step"] = time.perf_counter()

    def step_ends(_self: ClassifierModule, *_: object) -> None:
        clock["busy"] += time.perf_counter() - clock["step"]

    def epoch_ends(_self: ClassifierModule) -> None:
        shares.append(clock["busy"] / (time.perf_counter() - clock["epoch"]))

    ClassifierModule.on_train_epoch_start, ClassifierModule.on_train_epoch_end = epoch_starts, epoch_ends
    ClassifierModule.on_train_batch_start, ClassifierModule.on_train_batch_end = step_starts, step_ends
    with tempfile.TemporaryDirectory() as out:
        recipe = load_recipe(
            ["mn", "esc10"],
            [f"data.root={root}", "model.start=", "optimiser.epochs=4", f"out={out}", "loggers=[]"],
        )
        train(recipe, "cpu")
    share = min(shares[1:])
    print(f"\ntraining: {100 * share:.1f} % of an epoch inside the model step, at least {100 * SHARE:.0f} % wanted")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--only", default="")
    parser.add_argument("--data", default="", help="folder of ESC-10; without it training is not measured")
    args = parser.parse_args()
    names = args.only.split(",") if args.only else registry.names("architecture")
    print(
        f"{datetime.date.today().isoformat()}, {platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, "
        f"torch {torch.__version__}, clips of {args.seconds:g} s, seed 0"
    )
    print("\nMilliseconds a second of audio, forward / forward and backward:\n")
    print("| architecture | parameters | batch 1, fp32 | batch 1, bf16 | batch 8, fp32 | batch 8, bf16 |")
    print("|---|---|---|---|---|---|")
    for name in names:
        speeds(name, args.seconds)
    print("\nOur classifier over the same layers in a plain Sequential:\n\n| what | ratio | at most |\n|---|---|---|")
    for name in (n for n in COMPARED if n in names):
        wrappers(name, args.seconds)
    if args.data:
        training_share(args.data)


if __name__ == "__main__":
    main()
