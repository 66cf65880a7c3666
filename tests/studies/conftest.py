"""A toy copy of ESC-50's layout: tones around 1 kHz against tones around 3 kHz, five folds, 8 kHz."""

import json

import numpy as np
import pytest
import soundfile

from otoscope.studies import load_study, run_study
from study_worlds import RECIPE, rows_of

RATE, SECONDS, PER_FOLD = 8000, 0.5, 4


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    root = tmp_path_factory.mktemp("esc")
    (root / "meta").mkdir()
    (root / "audio").mkdir()
    rows = ["filename,fold,target,category,esc10,src_file,take"]
    rng = np.random.default_rng(0)
    moments = np.arange(round(RATE * SECONDS)) / RATE
    for fold in range(1, 6):
        for i in range(PER_FOLD):
            kind = i % 2
            hz = rng.uniform(950, 1050) + 2000 * kind
            sound = 0.3 * np.sin(2 * np.pi * hz * moments + rng.uniform(0, 6)) + 0.001 * rng.normal(size=len(moments))
            soundfile.write(root / "audio" / f"{fold}-{i}.wav", sound, RATE, subtype="FLOAT")
            rows.append(f"{fold}-{i}.wav,{fold},{10 + kind},{'decoy' if kind else 'tone'},True,{fold}{i},A")
    (root / "meta" / "esc50.csv").write_text("\n".join(rows) + "\n")
    return root


@pytest.fixture(scope="session")
def recipes(tmp_path_factory, corpus):
    """A folder of recipes whose study trains nothing but tiny autoencoders; the listener is the world `band_energy`."""
    folder = tmp_path_factory.mktemp("recipes")
    shape = "{channels: 8, multipliers: [1, 1], factors: [1], num_blocks: [1], patch_size: 4, sample_rate: 8000}"
    (folder / "pretrain.yaml").write_text(f"""
task: pretrain
name: control
autoencoder: {{settings: {shape}}}
optimiser: {{epochs: 2, batch_size: 4, lr: 0.003, warmup_epochs: 0}}
loggers: []
""")
    (folder / "tune.yaml").write_text(f"""
task: tune
name: tuned
autoencoder: {{settings: {shape}}}
optimiser: {{epochs: 2, batch_size: 4, lr: 0.003, warmup_epochs: 0, keep: best}}
loggers: []
""")
    (folder / "study.yaml").write_text(f"""
name: toy
seed: 1
batch_size: 3
data: {{name: "esc50,esc10=true", root: {corpus}, test: [1], validation: [5], train: [2, 3, 4], seconds: 0.5}}
classifiers:
  ears: {{model: "worlds:band_energy", title: Ears}}
  again: {{model: "worlds:band_energy", group: switched}}
tune:
  to: {{ears: [control, random], again: [random]}}
  starts: {{control: {{title: pre-trained}}, random: {{title: random weights}}}}
frequencies: {{edges_hz: [0, 900, 1100, 2900, 3100], cutoffs_hz: [2000]}}
""")
    return folder


@pytest.fixture(scope="session")
def grid(tmp_path_factory, corpus):
    file = tmp_path_factory.mktemp("grid") / "study.yaml"
    file.write_text(RECIPE.format(corpus=corpus))
    return file


@pytest.fixture(scope="session")
def done(grid, tmp_path_factory):
    out = tmp_path_factory.mktemp("done") / "out"
    lines: list[str] = []
    recipe = load_study(grid, [f"out={out}"])
    about = run_study(recipe, "cpu", log=lines.append)
    return recipe, out, about, lines


@pytest.fixture(scope="session")
def mixed(grid, corpus, tmp_path_factory):
    """A study of mixtures of the toy's tones, with oracles, by an ear that knows them."""
    root = tmp_path_factory.mktemp("mixtures")
    name = f"mixtures,of=esc50:esc10=true,source={corpus},folds=1,pairs=2,snr_db=0+10,seconds=0.5,sample_rate=8000"
    settings = [
        f"data.name={json.dumps(name)}", f"data.root={root}", "data.folds=[]", f"out={root / 'out'}",
        "conditions={zero: {snr_db: 0}, ten: {snr_db: 10}}", "data.alone=0.5", "masks=[positive]", "measures.curve_steps=0",
        "methods.ratio={method: 'oracle:ratio'}", "methods.random={}",
        "methods.binary={method: 'oracle:binary'}", "domains=['mel,bands=32,ms=50', time, 'components,n=2']",
    ]  # fmt: skip
    recipe = load_study(grid, settings)
    recipe = recipe.replace(conditions={k: v for k, v in recipe.conditions.items() if k in ("zero", "ten")})
    return recipe, run_study(recipe, "cpu"), rows_of(root / "out")
