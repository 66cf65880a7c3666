"""Speed of studies against the plain way: one clip, one mask, one pass at a time, as audiointerp does it.

    python benchmarks/studies.py [--fast]

On CNN14 with random weights and clips of 5 s. Each line is a ratio of two things timed in this run, alternately.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from otoscope.attribution import Problem, Result, attribute
from otoscope.classifiers import Classifier, Inspected, build
from otoscope.core.records import Attribution, Clip, Mask, Scores
from otoscope.domains import make_domain, render_clips
from otoscope.explanation.batch import ClipBatch
from otoscope.explanation.pipeline import Pipeline
from otoscope.masks import parse_mask, to_mask
from otoscope.metrics import measure

MASKS = (
    "minmax", "sigmoid", "binary", "topk:0.05", "topk:0.3", "topk:0.5", "positive", "positive:sigmoid",
    "positive:threshold:0.25", "positive:threshold:0.5", "positive:threshold:0.75", "positive:topk:0.05",
    "positive:topk:0.3", "positive:topk:0.5",
)  # fmt: skip
SCORED = ("faithfulness", "average_increase", "average_drop", "average_gain", "input_fidelity")
METRICS = (*SCORED, "sparseness", "complexity")
SECONDS, CLASSES = 5.0, 50
ALONE = 40  # samples of which the plain way's time is told


def network() -> Classifier:
    """CNN14 on audiointerp's mel bands, random weights whose norms have seen a sound, so that its answers differ."""
    torch.manual_seed(0)
    model = build("cnn14", CLASSES, settings={"features": "mel64"}).train()
    with torch.no_grad():
        for m in model.network.modules():
            if isinstance(m, torch.nn.BatchNorm2d):
                m.momentum = 1.0
        model.network(model.frontend(sounds(4)))
        model.network.fc_audioset.weight *= 20
    return model.eval()


def sounds(n: int, rate: int = 32000) -> torch.Tensor:
    """Noises with a tone that comes and goes, ``(n, time)``."""
    rng = torch.Generator().manual_seed(1)
    t = torch.arange(round(SECONDS * rate)) / rate
    tones = torch.stack([torch.sin(6.283 * (400 + 300 * i) * t) * torch.sin(1.5 * t + i).square() for i in range(n)])
    return 0.2 * tones + 0.02 * torch.randn(n, len(t), generator=rng)


def seconds(act: Callable[[], object]) -> tuple[float, object]:
    """How long it takes, and what it gives."""
    started = time.perf_counter()
    found = act()
    return time.perf_counter() - started, found


def attributions(model: Classifier, waves: torch.Tensor) -> tuple[Inspected, list[Attribution], list[int]]:
    """Saliency of some clips in the features domain."""
    inspected = Inspected(model, make_domain("features"), waves)
    with torch.no_grad():
        targets = model(waves).argmax(1)
    values = attribute(Problem(inspected, targets), "gradient").values.numpy()
    return inspected, [Attribution(v, inspected.grid, "gradient") for v in values], targets.tolist()


@dataclass(frozen=True)
class Saved:
    """An explainer whose attributions are there already, so that the pipeline alone is timed."""

    values: torch.Tensor
    name: str = "gradient"
    gives: str = "attributions"

    def explain(self, _problem: Problem) -> Result:
        """The attributions."""
        return Result(self.values)


def ours(model: Classifier, waves: torch.Tensor, found: list[Attribution], targets: list[int]) -> np.ndarray:
    """Seven metrics of every mask, ``(clip, mask, metric)``, as a study computes them."""
    clips = ClipBatch([Clip(wave.numpy(), model.sample_rate) for wave in waves.split(1)], model, 16)
    clips.choose_targets(targets)
    saved = Saved(torch.from_numpy(np.stack([a.values for a in found])))
    pipeline = Pipeline(clips, saved, make_domain("features"), [parse_mask(spec) for spec in MASKS])
    return np.array(
        [
            [
                [measure(Scores(clips.original[i], *both), None, mask.values, targets[i])[name] for name in METRICS]
                for mask, both in zip(pipeline.masks[i], pipeline.scores[i], strict=True)
            ]
            for i in range(len(clips))
        ]
    )


def plain(inspected: Inspected, found: list[Attribution], targets: list[int]) -> np.ndarray:
    """The same, each metric asking the network about the original and about the masked features, one after another."""
    model, out = inspected.classifier, []
    for i, attribution in enumerate(found):
        features = inspected.analysis.features[i : i + 1]  # type: ignore[attr-defined]
        rows = []
        for spec in MASKS:
            mask = to_mask(attribution, spec)
            values = torch.from_numpy(mask.values)[None, None]
            row = []
            for name in METRICS:
                p = {"original": np.zeros(CLASSES), "kept": np.zeros(CLASSES), "removed": np.zeros(CLASSES)}
                if name in SCORED:
                    part = "removed" if name == "faithfulness" else "kept"
                    weight = values if part == "kept" else 1 - values
                    silence = inspected.analysis.silence  # type: ignore[attr-defined]
                    for which, x in (("original", features), (part, silence + (features - silence) * weight)):
                        with torch.no_grad():
                            p[which] = model.probabilities(model.network(x)).numpy()[0]
                row.append(measure(Scores(p["original"], p["kept"], p["removed"]), None, mask.values, targets[i])[name])
            rows.append(row)
        out.append(rows)
    return np.array(out)


def evaluation(clips: int) -> None:
    """14 masks, 7 metrics."""
    model = network()
    waves = sounds(clips)
    inspected, found, targets = attributions(model, waves)
    fast, mine = seconds(lambda: ours(model, waves, found, targets))
    slow, theirs = seconds(lambda: plain(inspected, found, targets))
    with torch.no_grad():
        x = inspected.analysis.features.repeat(28 * clips, 1, 1, 1)[: 28 * clips + clips]  # type: ignore[attr-defined]
        bare, _ = seconds(lambda: [model.network(part) for part in x.split(16)])
    percent = np.array([100.0 if name.startswith("average") else 1.0 for name in METRICS])
    off = float(np.nanmax(np.abs(mine - theirs) / percent))  # type: ignore[operator]
    print(
        f"evaluation, {clips} clips x 14 masks x 7 metrics: plain / ours {slow / fast:.1f} (bound 3); largest difference {off:.1e}"
    )
    print(f"evaluation: ours / bare passes that are needed {fast / bare:.2f} (bound 1.2)")


def mel_inversion(power: torch.Tensor, bank: torch.Tensor, phase: torch.Tensor, length: int) -> torch.Tensor:
    """A sound from mel power and the clip's own phase: least squares for each frame, as audiointerp inverts."""
    linear = torch.linalg.lstsq(bank, power, driver="gelsd").solution.clamp_min(0)
    window = torch.hann_window(1024)
    return torch.istft(torch.polar(linear.sqrt(), phase), 1024, 320, window=window, length=length)


def rendering() -> None:
    """The 28 sounds of 14 masks, against mel inversion of each."""
    model, waves = network(), sounds(1)
    _, found, _ = attributions(model, waves)
    masks = [to_mask(found[0], spec) for spec in MASKS]
    clip = Clip(waves.numpy(), 32000)

    def by_masks() -> np.ndarray:
        kept = render_clips(clip, np.stack([m.values for m in masks]), masks[0].grid, 0, clip.frames)
        return np.stack([kept, clip.samples - kept])

    bank = model.frontend.bank.T if model.frontend.bank.shape[0] != 64 else model.frontend.bank
    window = torch.hann_window(1024)

    def by_inversion(some: list[Mask]) -> list[torch.Tensor]:
        out = []
        for mask in some:
            for keep in (True, False):
                spec = torch.stft(waves, 1024, 320, window=window, return_complex=True)[0]
                mel = bank @ spec.abs().square()
                db = 10 * mel.clamp_min(1e-10).log10()
                part = torch.from_numpy(mask.values if keep else 1 - mask.values)[:, : db.shape[1]]
                masked = (db + 100) * part - 100
                out.append(mel_inversion(10 ** (masked / 10), bank, spec.angle(), waves.shape[-1]))
        return out

    by_masks()
    fast = min(seconds(by_masks)[0] for _ in range(5))
    slow = min(seconds(lambda: by_inversion(masks[:4]))[0] for _ in range(3)) * len(masks) / 4
    print(f"rendering 28 sounds: mel inversion / ours {slow / fast:.0f} (bound 30); ours {fast:.2f} s")


def lime(samples: int) -> None:
    """LIME on superpixels: batches against one sample at a time, whose time is that of a few."""
    model, waves = network(), sounds(1)
    inspected = Inspected(model, make_domain("superpixels", {"of": "features"}), waves)
    target = torch.zeros(1, dtype=torch.int64)
    segments = inspected.analysis.segments()  # type: ignore[attr-defined]
    n = int(segments.max()) + 1

    def one_by_one() -> None:
        rng = torch.Generator().manual_seed(0)
        rows = torch.rand(min(samples, ALONE), n, generator=rng) < 0.5
        features = inspected.analysis.synthesise(inspected.ones())
        silence = inspected.analysis.synthesise(0 * inspected.ones())
        for row in rows:
            with torch.no_grad():
                x = torch.where(row[segments][:, None], features, silence)
                model.probabilities(model.network(x)).numpy()

    for label, settings, precision in (
        ("", {}, torch.float32),
        (", stopping at 10 %", {"tolerance": 0.1}, torch.float32),
        (", bfloat16", {}, torch.bfloat16),
    ):
        inspected.precision = precision
        problem = Problem(inspected, target, batch_size=32)
        fast, _ = seconds(lambda p=problem, s=settings: attribute(p, "lime", {"samples": samples, **s}))
        inspected.precision = torch.float32
        slow, _ = seconds(one_by_one)
        slow *= samples / min(samples, ALONE)
        with torch.no_grad():
            x = inspected.analysis.synthesise(inspected.ones()).repeat(32, 1, 1, 1)
            bare = min(seconds(lambda x=x: model.network(x))[0] for _ in range(2)) / 32 * samples
        print(
            f"LIME with {samples} samples{label}: plain / ours {slow / fast:.2f} (bound 2), ours / bare passes {fast / bare:.2f} "
            "(bound 1.2)"
        )


def main() -> None:
    """Print all ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fast", action="store_true", help="fewer clips and samples")
    fast = parser.parse_args().fast
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    evaluation(1 if fast else 2)
    rendering()
    lime(100 if fast else 1000)


if __name__ == "__main__":
    main()
