"""Files as version 0.1 wrote them; tests read them with the present version. This script ran once, with that version.

    python make.py [FOLDER]

Everything follows from code and built-in models. Folders of the machine are cut out of the records: sounds lie beside them.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile
import torch

import otoscope
from otoscope.cli.main import cli
from otoscope.datasets.scenes import demo_scene

RATE = 8000
SHAPE = "{channels: 8, multipliers: [1, 1], factors: [1], num_blocks: [1], patch_size: 4, resnet_groups: 4, sample_rate: 8000}"
DATA = 'name: "esc50,esc10=true", root: corpus, validation: [3], train: [2], test: [1], seconds: 0.25'
RECIPES = {
    "classifier.yaml": f"""
name: tiny
seed: 1
data: {{{DATA}}}
model: {{architecture: "vgg5,channels=8"}}
optimiser: {{epochs: 12, batch_size: 4, lr: 0.01, warmup_epochs: 0}}
augment: {{roll_s: 0.1, time_mask: 3, frequency_mask: 8}}
loggers: []
out: classifier
""",
    "pretrain.yaml": f"""
task: pretrain
name: close
autoencoder: {{settings: {SHAPE}}}
optimiser: {{epochs: 3, batch_size: 4, lr: 0.003, warmup_epochs: 0}}
loggers: []
""",
    "tune.yaml": f"""
task: tune
name: tuned
autoencoder: {{settings: {SHAPE}}}
optimiser: {{epochs: 2, batch_size: 4, lr: 0.003, warmup_epochs: 0, keep: best}}
loggers: []
""",
    "like-to-hear.yaml": f"""
name: tiny
seed: 1
threads: 1
batch_size: 4
out: like-to-hear
data: {{{DATA}}}
classifiers: {{ears: {{model: classifier/model, title: Ears}}}}
tune:
  control: [pretrain.yaml]
  recipe: [tune.yaml]
  to: {{ears: [control, random]}}
  starts: {{control: {{title: pre-trained}}, random: {{title: random weights}}}}
frequencies: {{edges_hz: [0, 1000, 3000], cutoffs_hz: [2000]}}
""",
    "study.yaml": """
name: tiny
title: A tiny study
seed: 3
threads: 1
chunk: 8
target: label
out: study
data:
  name: "scenes,clips=4,seconds=1,sample_rate=8000,snr_db=5,folds=1,kinds=dog_bark+rain"
  root: scenes
  seconds: 1.0
  names: {dog_bark: dog}
classifiers:
  mn: {model: esc10-mn, title: MN}
domains: ["mel,bands=8,ms=100"]
methods:
  gradient: {}
  random: {}
  oracle: {method: "oracle:ratio"}
masks: [positive, "topk:0.2"]
conditions:
  clean: {title: Clean}
  noisy: {contaminate: "white,snr_db=10", title: Noisy}
measures: {curve_steps: 2, controls: true}
sanity: {clips: 1, seeds: 2, stages: 2}
""",
}


def command(*arguments: str) -> None:
    """The command line, in this process."""
    cli.main([*arguments], standalone_mode=False)


def corpus(root: Path) -> None:
    """ESC-50's layout: tones and noises of a quarter of a second in three folds."""
    (root / "meta").mkdir(parents=True)
    (root / "audio").mkdir()
    rows, rng = ["filename,fold,target,category,esc10,src_file,take"], np.random.default_rng(0)
    for fold in (1, 2, 3):
        for i in range(4):
            kind = i % 2
            sound = (
                np.sin(2 * np.pi * rng.uniform(500, 1500) * np.arange(2000) / RATE) if kind else rng.normal(size=2000)
            )
            soundfile.write(root / "audio" / f"{fold}-{i}.wav", 0.1 * sound, RATE)
            rows.append(f"{fold}-{i}.wav,{fold},{10 + kind},{'tone' if kind else 'noise'},True,{fold}{i},A")
    (root / "meta" / "esc50.csv").write_text("\n".join(rows) + "\n")


def explanation(folder: Path, sound: Path, **settings) -> None:
    """The folder of an explanation; its record names the sound by its own file `original.wav`."""
    otoscope.explain(str(sound), "esc10-mn", seed=3, device="cpu", **settings).save(folder, report=False)
    record = json.loads((folder / "explanation.json").read_text())
    record["file"] = "original.wav"
    (folder / "explanation.json").write_text(json.dumps(record, indent=1) + "\n")


def copy(source: Path, target: Path, *names: str) -> None:
    """These files or folders of a folder."""
    target.mkdir(parents=True, exist_ok=True)
    for name in names:
        if (source / name).is_dir():
            shutil.copytree(source / name, target / name)
        else:
            shutil.copy(source / name, target / name)


def expected(out: Path) -> dict:
    """What the models answered to the sound when they were written: logits, and the first samples of the reconstruction.

    The classifier gets the samples as if they were at its own rate.
    """
    sound, _ = soundfile.read(out / "explanation" / "original.wav", dtype="float32")
    classifier = otoscope.load_classifier(out / "classifier-run" / "model")
    autoencoder = otoscope.load_autoencoder(out / "autoencoder-run" / "model")
    waveform = torch.from_numpy(sound)[None, :4000]  # at 8 kHz, as the autoencoder works
    with torch.no_grad():
        logits, made = classifier(torch.from_numpy(sound)[None]), autoencoder(waveform)
    return {
        "classifier": {"name": classifier.name, "labels": list(classifier.labels), "sample_rate": classifier.sample_rate,
                       "sha256": classifier.digest(), "logits": logits[0].tolist()},
        "autoencoder": {"sample_rate": autoencoder.sample_rate, "samples": made[0, :16].tolist(),
                        "rms": float(made.square().mean().sqrt())},
    }  # fmt: skip


def make(out: Path) -> None:
    """All of them."""
    torch.set_num_threads(1)
    scene = demo_scene().clip
    samples = np.asarray(scene.samples)[0, : scene.sample_rate]
    steps = scene.sample_rate // RATE
    sound = samples.reshape(-1, steps).mean(1)  # crude, but independent of any resampler
    soundfile.write("sound.wav", sound, RATE, "FLOAT")
    explanation(
        out / "explanation", Path("sound.wav"), method="lime,samples=32", domain="mel,bands=16", mask="topk:0.3"
    )
    explanation(out / "explanation-like-to-hear", Path("sound.wav"), method="like-to-hear")
    corpus(Path("corpus"))
    for name, text in RECIPES.items():
        Path(name).write_text(text.lstrip())
    command("train", "classifier.yaml", "--device", "cpu")
    copy(Path("classifier"), out / "classifier-run", "recipe.json", "model")
    command("like-to-hear", "like-to-hear.yaml", "--device", "cpu")
    study = Path("like-to-hear")
    copy(study / "autoencoders" / "ears--control", out / "autoencoder-run", "recipe.json", "model")
    copy(study, out / "like-to-hear", "recipe.json", "results.json", "tables.md")
    copy(study / "listening", out / "like-to-hear" / "listening", "listening.json")
    command("study", "study.yaml", "--device", "cpu")
    copy(
        Path("study"),
        out / "study",
        "recipe.json",
        "study.json",
        "results.parquet",
        "sanity.json",
        "parts.json",
        "parts",
    )
    command("table", "study", "--pool", "condition", "--out", "table", "--format", "md,csv")
    copy(Path("table"), out / "study" / "table", "table.md", "table.csv")
    for name in ("classifier.yaml", "pretrain.yaml", "tune.yaml", "like-to-hear.yaml", "study.yaml"):
        copy(Path(), out / "recipes", name)
    (out / "expected.json").write_text(json.dumps(expected(out), indent=1) + "\n")
    for record in out.rglob("*.json"):  # no folder of the machine
        record.write_text(record.read_text().replace(f"{Path.cwd()}/", ""))


def main() -> None:
    """Write into a folder, by default that of this script."""
    out = (Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent).resolve()
    with tempfile.TemporaryDirectory() as room:
        os.chdir(Path(room).resolve())
        make(out)
        os.chdir(out)


if __name__ == "__main__":
    main()
