"""Train by a recipe: one look at the test folds, a model folder; or that for every fold."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
import statistics
from pathlib import Path
from typing import Any

import torch

from otoscope.classifiers.architecture import build
from otoscope.classifiers.base import Classifier
from otoscope.classifiers.load import load_classifier
from otoscope.classifiers.weights import load_body
from otoscope.core import registry
from otoscope.core.errors import ParameterError
from otoscope.core.files import make_folder, write_text
from otoscope.core.runtime import require, resolve_device
from otoscope.datasets import Dataset, load_dataset
from otoscope.recipes.runs import ensure_same_recipe, made_here, out_folder, read_json, reserve, round_half
from otoscope.training.autoencoder_run import train_autoencoder
from otoscope.training.autoencoder_settings import AutoencoderRecipe
from otoscope.training.card import model_card
from otoscope.training.data import Clips, cued_class, divide, with_test_fold
from otoscope.training.fit import fit, make_trainer
from otoscope.training.score import evaluate, score_cue
from otoscope.training.settings import Recipe


def train(recipe: Recipe | AutoencoderRecipe, device: str = "auto") -> dict[str, Any]:
    """Train what a recipe asks for: see `train_classifier` and `otoscope.training.autoencoder_run.train_autoencoder`."""
    if isinstance(recipe, AutoencoderRecipe):
        return train_autoencoder(recipe, device)
    return train_classifier(recipe, device)


def train_classifier(recipe: Recipe, device: str = "auto") -> dict[str, Any]:
    """Train a classifier, score it on the test folds, write a model folder; or that once for each fold.

    A run that was stopped, even by ``kill -9``, goes on from the end of its last whole epoch and ends with the same
    weights. A run that is done is not repeated: its results are read. A folder that holds a run of another recipe is
    refused.

    Parameters
    ----------
    recipe : Recipe
    device : {"auto", "cpu", "cuda"}

    Returns
    -------
    dict
        ``accuracy``, ``interval``, ``per_class``, ``confusion``, ``folder`` and the settings; with ``folds: all``
        ``accuracy`` is the mean, with ``std`` and the ``folds``.

    Raises
    ------
    OtoscopeError
        If data, teacher or folder are not usable, or the loss is not finite.
    """
    lightning = require("lightning", "train", "otoscope train")
    out = out_folder(recipe)
    ensure_same_recipe(out, recipe)
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    data = load_dataset(recipe.data.name, recipe.data.root)
    if recipe.folds == "all":
        return _every_fold(lightning, recipe, data, out, device)
    return _once(lightning, recipe, data, out, device)


def _every_fold(lightning: Any, recipe: Recipe, data: Dataset, out: Path, device: str) -> dict[str, Any]:
    """Each fold is the test fold once; mean and standard deviation of the accuracies."""
    if recipe.trainer.get("devices", 1) not in (1, "1", "auto") or recipe.trainer.get("num_nodes", 1) != 1:
        raise ParameterError(
            "folds=all trains one fold after the other in one process; with several devices give each fold a command of its "
            "own: data.test=FOLD out=FOLDER"
        )
    own = {
        fold: dataclasses.replace(
            recipe, data=with_test_fold(recipe.data, fold), folds="", out=str(out / f"fold-{_file_name(fold)}")
        )
        for fold in data.fold_names()
    }
    for one in own.values():
        divide(data, one.data)  # all of them, before hours are spent on the first
    found = {fold: _once(lightning, one, data, Path(one.out), device) for fold, one in own.items()}
    values = [result["accuracy"] for result in found.values()]
    summary = {
        "accuracy": statistics.fmean(values),
        "std": statistics.stdev(values) if len(values) > 1 else 0.0,
        "clips": sum(result["clips"] for result in found.values()),
        "folds": {str(fold): result["accuracy"] for fold, result in found.items()},
        "train_s": sum(result["train_s"] for result in found.values()),
        "parameters": next(iter(found.values()))["parameters"],
        "recipe": recipe.shareable(),
    }
    reserve(out, recipe)
    write_text(out / "results.json", json.dumps(summary, indent=1) + "\n")
    return {**summary, "folder": str(out)}


def _file_name(fold: int | str) -> str:
    """A fold's name as a file can be called."""
    return re.sub(r"[^\w.-]", "_", str(fold)).strip(".") or "_"


def _once(lightning: Any, recipe: Recipe, data: Dataset, out: Path, device: str) -> dict[str, Any]:
    ensure_same_recipe(out, recipe)
    done = out / "model" / "results.json"
    if done.is_file():
        return {**read_json(done), "folder": str(out / "model")}
    lightning.seed_everything(recipe.seed, verbose=False)
    training, validation, test = divide(data, recipe.data)
    classifier = make_classifier(recipe, data)
    teacher = _teacher(recipe)
    Clips(
        training, classifier.sample_rate, recipe.data, cued=cued_class(data, recipe.data)
    )  # refuses what cannot be mixed
    chosen = resolve_device(device)
    make_folder(out)
    batches = max(1, len(training) // recipe.optimiser.batch_size)
    trainer = make_trainer(lightning, recipe, out, chosen, min(10, batches), validation is not None)
    reserve(out, recipe)  # only now that all of it can run
    train_s = fit(trainer, recipe, classifier, teacher, (training, validation), out)
    if not trainer.is_global_zero:
        return {}
    if recipe.half:
        round_half(classifier.network)
    result = evaluate(classifier.to(chosen), test, recipe.data, pool=training)
    if recipe.data.plant:
        result["plant"] = score_cue(classifier, test, recipe.data)
    result["train_s"], result["parameters"] = train_s, sum(p.numel() for p in classifier.network.parameters())
    _write(out, classifier.to("cpu"), recipe, result, data)
    return {**result, "folder": str(out / "model")}


def _teacher(recipe: Recipe) -> Classifier | None:
    settings = recipe.teacher
    if not settings.model:
        return None
    if recipe.augment.mixup_on == "features" and recipe.augment.mixup_probability > 0:
        raise ParameterError("a teacher hears waveforms: with teacher.model, set augment.mixup_on=waveform")
    return load_classifier(settings.model, settings.weights, list(settings.labels) or None)


def make_classifier(recipe: Recipe, data: Dataset) -> Classifier:
    """The network that is to be trained: random weights, or a body that starts from another task's.

    Raises
    ------
    OtoscopeError
        For an unknown architecture, or a start of another one.
    """
    entry, settings = architecture_of(recipe)
    info = {"licence": recipe.licence, "trained_on": f"{data.name}, all but fold {_said(recipe.data.test)}"}
    model = build(entry.name, data.labels, settings=settings, name=recipe.name, info=info)
    if recipe.model.start:
        start = load_classifier(recipe.model.start, recipe.model.weights)
        head = _unlike(model, start) if start.labels == model.labels else model.head
        load_body(model.network, start.network.state_dict(), head, f"of {recipe.model.start}")
        model.info["started_from"] = f"{recipe.model.start} ({start.info.get('licence', 'licence not recorded')})"
    return model


def _unlike(model: Classifier, start: Classifier) -> tuple[str, ...]:
    """Parts of the head that a start of the same classes cannot bring along: features of another size (``bn0`` of PANNs)."""
    own, other = model.network.state_dict(), start.network.state_dict()
    return tuple(
        part
        for part in model.head
        if any(k.startswith(part) and k in other and other[k].shape != v.shape for k, v in own.items())
    )


def architecture_of(recipe: Recipe) -> tuple[registry.Entry, dict[str, Any]]:
    """The architecture and its settings: those that suit the data, those of the recipe on top, and as many frames as a
    clip has where the network sees a fixed number."""
    name, *own = recipe.model.architecture.split(",")
    suited = recipe.data.settings.get(name.strip(), "")
    spec = ",".join([name, *([suited] if suited else []), *own])
    entry, settings = registry.parse("architecture", spec)
    if "frames" in settings and "frames=" not in spec.replace(" ", ""):
        settings["frames"] = max(1, int(recipe.data.seconds * settings["sample_rate"] / settings["hop"]))
        settings = entry.settings(settings)
    return entry, settings


def _said(folds: tuple[Any, ...]) -> str:
    return ", ".join(map(str, folds))


def _write(out: Path, classifier: Classifier, recipe: Recipe, result: dict[str, Any], data: Dataset) -> None:
    """The model folder; its results come last, as the sign that all is there."""
    folder = classifier.save_pretrained(out / "model", model_card(classifier, recipe, result, data), half=recipe.half)
    rows = result.pop("predictions")
    table = io.StringIO()
    writer = csv.DictWriter(table, list(rows[0]) if rows else ["file"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(folder / "predictions.csv", table.getvalue())
    write_text(
        folder / "results.json", json.dumps({**result, "recipe": recipe.shareable(), **made_here()}, indent=1) + "\n"
    )
