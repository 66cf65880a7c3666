"""Speed and memory of prototype networks, as ratios within one run; part of `make bench`.

    python benchmarks/prototypes.py [--clips 2000]

- a training step (losses, backward, optimiser, constraints) against the bare forward and backward pass of the same network;
- peak memory of a step of the prototype layer at batch 256, against the array of all differences, which is never made;
- a prototype's sound (decoded, inverted) in seconds, for the published network for urban sounds;
- what the studio answers to a click, with 2,000 clips and 50 prototypes, in seconds: the first time and again;
- forward passes a clip to fit prototypes of a frozen classifier.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

import otoscope
from otoscope.audio import write_wav
from otoscope.classifiers.apnet import PrototypeLayer
from otoscope.datasets import load_dataset
from otoscope.prototypes import fit_prototypes, prototype_network
from otoscope.prototypes.sounds import decode
from otoscope.studio import Workspace
from otoscope.studio.editor import Editor

URBAN = "apnet,sample_rate=22050,n_fft=4096,hop=1024,n_mels=128,frames=84,channels=32,prototypes=50"
LABELS = [f"class {i}" for i in range(10)]


def seconds(work: Callable[[], object], times: int = 5) -> float:
    """Median of several runs, after one that is not counted."""
    work()
    found = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        found.append(time.perf_counter() - started)
    return statistics.median(found)


def network() -> otoscope.Classifier:
    """The published network for urban sounds, with prototypes of noise."""
    torch.manual_seed(0)
    model = otoscope.load_classifier(URBAN, "random", labels=LABELS)
    sounds = 0.1 * torch.randn(40, model.minimum_length) * torch.rand(40, 1)
    prototype_network(model).initialise(model.features(sounds), torch.arange(40) % 10, torch.Generator())
    return model.eval()


def training_step(model: otoscope.Classifier) -> float:
    """Time of a training step over that of its forward and backward pass."""
    net, features = prototype_network(model), model.features(0.1 * torch.randn(16, model.minimum_length)).detach()
    targets = torch.arange(16) % 10
    optimiser = torch.optim.Adam(net.parameters(), lr=0.0)

    def bare() -> None:
        net.zero_grad()
        latent = net.encoder(features)
        out = net.decide(latent.map)[0].logsumexp(1).mean() + net.decoder(latent.map, latent.masks).mean()
        out.backward()

    def step() -> None:
        optimiser.zero_grad()
        logits, losses = net.losses(features)
        loss = (
            10 * torch.nn.functional.cross_entropy(logits, targets)
            + 5 * losses["reconstruction"]
            + losses["prototypes"]
        )
        loss.backward()
        optimiser.step()
        net.constrain()

    return seconds(step) / seconds(bare)


def memory() -> float:
    """Peak memory of the prototype layer over that of the array of all differences, at batch 256."""
    layer, latent = PrototypeLayer(50, (32, 32, 21)), torch.randn(256, 32, 32, 21)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as watched:
        layer(latent.requires_grad_())[0].sum().backward()
    held = peak = 0
    for event in watched.profiler.kineto_results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            peak = max(peak, held)
    return peak / (256 * 50 * 32 * 32 * 21 * 4)


def clicks(clips: int, folder: Path) -> tuple[float, float, float]:
    """Seconds that the studio takes to answer: a prototype's facts, its sounds for the first time, and again."""
    spec = "apnet,sample_rate=8000,n_fft=512,hop=128,n_mels=64,frames=60,channels=32,prototypes=50"
    model = otoscope.load_classifier(spec, "random", labels=LABELS).eval()
    rng = np.random.default_rng(0)
    rows = ["file,label,fold,source"]
    for i in range(clips):
        write_wav(folder / f"{i}.wav", rng.normal(0, 0.1, (1, 8000)).astype(np.float32), 8000)
        rows.append(f"{i}.wav,{LABELS[i % 10]},{1 + i % 5},{i}")
    (folder / "metadata.csv").write_text("\n".join(rows) + "\n")
    work = Workspace(model, load_dataset("folder", folder).parts([2]), folder / "studio")
    editor = work.opened("prototypes", Editor)
    ids = [p["id"] for p in editor.state()["prototypes"]]
    detail = statistics.median(seconds(lambda i=i: editor.detail(i), 1) for i in ids[:10])
    first = []
    for i in ids[:10]:
        started = time.perf_counter()
        editor.sounds_of(i)
        first.append(time.perf_counter() - started)
    again = statistics.median(seconds(lambda i=i: editor.sounds_of(i), 1) for i in ids[:10])
    work.close()
    return detail, statistics.median(first), again


def passes(folder: Path) -> float:
    """Forward passes of the classifier for each clip, to fit prototypes."""
    model, data = otoscope.load_classifier("esc10-mn"), load_dataset("folder", folder)
    few = data.folds([1])
    count = 0

    def counted(_module: object, given: tuple[torch.Tensor, ...]) -> None:
        nonlocal count
        count += len(given[0])

    with model.network.register_forward_pre_hook(counted):
        fit_prototypes(model, few, per_class=1)
    return count / len(few)


def main() -> None:
    """Print all numbers."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--clips", type=int, default=2000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = network()
    print(f"training step / bare forward and backward: {training_step(model):.2f} (aim: at most 1.10)")
    print(f"peak memory / array of differences: {memory():.3f} (aim: at most 0.1)")
    donor = (0.1 * np.random.default_rng(0).standard_normal(model.minimum_length)).astype(np.float32)
    latent = prototype_network(model).prototypes.maps[0].detach()
    print(f"a prototype's sound: {seconds(lambda: decode(model, latent, donor)):.3f} s (aim: under 0.2)")
    with tempfile.TemporaryDirectory() as folder:
        detail, first, again = clicks(options.clips, Path(folder))
        print(
            f"studio, {options.clips} clips: facts {detail:.3f} s, sounds {first:.3f} s, again {again:.3f} s (aim: 0.15)"
        )
        print(f"forward passes a clip to fit prototypes: {passes(Path(folder)):.2f} (aim: 1)")


if __name__ == "__main__":
    main()
