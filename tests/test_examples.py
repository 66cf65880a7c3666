"""Everything that `otoscope` and the rooms export has an example in its docstring, and every example runs.

Examples run with ``np``, ``torch`` and ``otoscope`` at hand, and with the names of the room that exports them, in a folder with
``bark.wav``, ``rain.wav`` and ``study/``. An example that cannot run (it downloads) is marked ``# doctest: +SKIP``.
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

READY = ("core.errors", "audio", "spectral", "surgery")  # rooms of which every export has its example
# Exports without an example yet, of rooms that are not in READY; emptied room by room.
ROOMS = (
    *READY, "masks", "datasets", "domains", "classifiers", "attribution", "autoencoders", "metrics", "explanation",
    "results", "report",
)  # fmt: skip
PENDING: set[str] = {
    "otoscope.Attribution",
    "otoscope.Clip",
    "otoscope.Grid",
    "otoscope.Mask",
    "otoscope.OtoscopeError",
    "otoscope.Scores",
    "otoscope.Target",
    "otoscope.attribution.Problem",
    "otoscope.attribution.Result",
    "otoscope.attribution.as_attributions",
    "otoscope.attribution.attribute",
    "otoscope.attribution.method_name",
    "otoscope.autoencoders.Autoencoder",
    "otoscope.autoencoders.AutoencoderConfig",
    "otoscope.autoencoders.AutoencoderNetwork",
    "otoscope.autoencoders.reconstruct_blocks",
    "otoscope.autoencoders.save_autoencoder",
    "otoscope.classifiers.Checkpoint",
    "otoscope.classifiers.Inspected",
    "otoscope.classifiers.register_checkpoint",
    "otoscope.datasets.Dataset",
    "otoscope.datasets.DatasetError",
    "otoscope.datasets.Example",
    "otoscope.datasets.LabelError",
    "otoscope.datasets.Labels",
    "otoscope.datasets.Scene",
    "otoscope.datasets.Truth",
    "otoscope.datasets.contaminator",
    "otoscope.datasets.decoded",
    "otoscope.datasets.demo_scene",
    "otoscope.datasets.load_dataset",
    "otoscope.datasets.load_esc50",
    "otoscope.datasets.planter",
    "otoscope.datasets.read_folder",
    "otoscope.datasets.read_fsdd",
    "otoscope.datasets.read_instruments",
    "otoscope.datasets.read_medley_solos_db",
    "otoscope.datasets.read_mixtures",
    "otoscope.datasets.read_speech_commands",
    "otoscope.datasets.read_urbansound8k",
    "otoscope.datasets.stems_of",
    "otoscope.datasets.truth_of",
    "otoscope.datasets.waveform",
    "otoscope.datasets.write_audacity",
    "otoscope.domains.Analysis",
    "otoscope.domains.Domain",
    "otoscope.domains.Rendition",
    "otoscope.domains.bound",
    "otoscope.domains.grid_of",
    "otoscope.domains.make_domain",
    "otoscope.domains.pool_segments",
    "otoscope.domains.render_blocks",
    "otoscope.domains.render_clips",
    "otoscope.domains.rendition_of",
    "otoscope.explanation.Explanation",
    "otoscope.explanation.replay",
    "otoscope.masks.MaskSpec",
    "otoscope.masks.smooth",
    "otoscope.masks.to_mask",
    "otoscope.metrics.Cascade",
    "otoscope.metrics.Curves",
    "otoscope.metrics.GroundTruth",
    "otoscope.metrics.agreement",
    "otoscope.metrics.average_drop",
    "otoscope.metrics.average_drop_speechbrain",
    "otoscope.metrics.average_gain",
    "otoscope.metrics.average_increase",
    "otoscope.metrics.bootstrap",
    "otoscope.metrics.cascade",
    "otoscope.metrics.chance_levels",
    "otoscope.metrics.compare",
    "otoscope.metrics.complexity",
    "otoscope.metrics.controls",
    "otoscope.metrics.curve_passes",
    "otoscope.metrics.curves",
    "otoscope.metrics.faithfulness",
    "otoscope.metrics.holm",
    "otoscope.metrics.ideal_binary_mask",
    "otoscope.metrics.ideal_ratio_mask",
    "otoscope.metrics.input_fidelity",
    "otoscope.metrics.mask_size",
    "otoscope.metrics.measure",
    "otoscope.metrics.measure_truth",
    "otoscope.metrics.noise_sensitivity",
    "otoscope.metrics.seed_agreement",
    "otoscope.metrics.seed_spread",
    "otoscope.metrics.shift_sensitivity",
    "otoscope.metrics.sign_flip",
    "otoscope.metrics.sparseness",
    "otoscope.metrics.wilcoxon",
}


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
    assert without_example() <= PENDING, sorted(without_example() - PENDING)


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
def test_the_example_runs(name, sounds):
    value = EXPORTS[name]
    room = importlib.import_module(name.rpartition(".")[0])
    names = {
        **vars(importlib.import_module(value.__module__)),
        **vars(room),
        "np": np,
        "torch": torch,
        "otoscope": otoscope,
    }
    (example,) = doctest.DocTestFinder(recurse=False).find(value, name, globs=names)
    failed = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS).run(example)
    assert failed.failed == 0
