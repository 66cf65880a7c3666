"""Everything that `otoscope` and the rooms export has an example in its docstring, and every example runs.

Examples run with ``np``, ``torch`` and ``otoscope`` at hand, and with the names of the room that exports them, in a folder with
``bark.wav``, ``rain.wav`` and ``study/``; those about prototypes and the studio also with ``model``, a network of three tones with
two prototypes each, its 18 clips as ``data``, and encoded as ``clips``. An example that cannot run (it downloads) is marked
``# doctest: +SKIP``.
"""

from __future__ import annotations

import doctest
import importlib
import inspect
import types

import numpy as np
import pandas
import pytest
import torch

import otoscope
from otoscope.datasets import Example, load_dataset
from prototype_worlds import tone_network, write_tones

ROOMS = (
    "core.errors", "audio", "spectral", "surgery", "masks", "datasets", "domains", "classifiers", "attribution",
    "autoencoders", "prototypes", "metrics", "explanation", "auralisation",
    "results", "report", "training", "studies", "recipes", "studio", "cli",
)  # fmt: skip


def exports() -> dict[str, object]:
    """``room.name`` -> what is exported: functions and classes; constants and modules need no example."""
    found: dict[str, object] = {f"otoscope.{name}": getattr(otoscope, name) for name in otoscope.__all__}
    for room in ROOMS:
        module = importlib.import_module(f"otoscope.{room}")
        for name in getattr(module, "__all__", ()):
            value = getattr(module, name)
            if inspect.isclass(value) or isinstance(value, types.FunctionType):
                found[f"otoscope.{room}.{name}"] = value
    return found


EXPORTS = exports()
NAMES = sorted({id(value): name for name, value in EXPORTS.items()}.values())  # each thing once


def without_example() -> set[str]:
    return {name for name in NAMES if ">>>" not in (inspect.getdoc(EXPORTS[name]) or "")}


def test_every_export_has_an_example():
    assert not without_example()


@pytest.fixture
def sounds(tmp_path, monkeypatch):
    """Two sounds of half a second and the results of a tiny study, in the working folder."""
    from otoscope.audio import write_wav
    from otoscope.datasets.scenes import render

    for name, kind in (("bark.wav", "dog_bark"), ("rain.wav", "rain")):
        stem = render(kind, duration=0.5, sample_rate=32000, seed=3)
        write_wav(tmp_path / name, [stem.samples[None]], 32000)
    monkeypatch.chdir(tmp_path)
    values = {
        "method": ["lime", "lime", "gradient", "gradient"],
        "kept": [0.9, 0.8, 0.6, 0.5],
        "removed": [0.1, 0.2, 0.3, 0.4],
    }
    same = {"condition": "clean", "classifier": "mn", "domain": "mel", "mask": "positive", "status": "ok"}
    (tmp_path / "study").mkdir()
    pandas.DataFrame({"clip": ["a.wav", "b.wav"] * 2, **values, **same}).to_parquet(
        tmp_path / "study" / "results.parquet"
    )


@pytest.mark.parametrize("name", [n for n in NAMES if n not in without_example()])
def test_the_example_runs(name, sounds, tmp_path):
    value = EXPORTS[name]
    room = importlib.import_module(name.rpartition(".")[0])
    names = {
        **vars(importlib.import_module(value.__module__)),
        **vars(room),
        "np": np,
        "torch": torch,
        "otoscope": otoscope,
    }
    if room.__name__ in ("otoscope.prototypes", "otoscope.studio"):
        names["model"], names["clips"] = tone_network(write_tones(tmp_path / "tones"))
        names["data"] = load_dataset("folder", tmp_path / "tones")
    if room.__name__ == "otoscope.auralisation" or name == "otoscope.auralise":
        from otoscope.classifiers import build
        from otoscope.classifiers.layer_features import layer_features

        torch.manual_seed(0)
        names["model"] = build("vgg5", 2, settings={"channels": 8})
        names["data"] = [
            Example(tmp_path / f"{s}.wav", s, fold=1, source=s, index=i) for i, s in enumerate(("bark", "rain"))
        ]
        names |= {"build": build, "layer_features": layer_features, "Clip": otoscope.Clip}
        names["noise"] = 0.1 * np.random.default_rng(0).standard_normal((1, 22050)).astype(np.float32)
    (example,) = doctest.DocTestFinder(recurse=False).find(value, name, globs=names)
    failed = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS).run(example)
    assert failed.failed == 0
