"""Train by a recipe: one look at the test folds, a model folder; or that for every fold."""

from __future__ import annotations

import json
import re
import statistics
from pathlib import Path
from typing import Any

import torch

from otoscope.core.errors import OtoscopeError, ParameterError
from otoscope.core.files import make_folder, write_text
from otoscope.core.runtime import require, resolve_device
from otoscope.datasets import Dataset, load_dataset
from otoscope.recipes.runs import ensure_same_recipe, made_here, out_folder, read_json, reserve
from otoscope.training.data import divide
from otoscope.training.fit import fit_module, make_trainer, round_half
from otoscope.training.settings import RunSettings
from otoscope.training.task import task_type


def train(recipe: Any, device: str = "auto") -> dict[str, Any]:
    """Train by a recipe, score on the test folds and write the run's folder, once or for each fold.

    An interrupted run, even after ``kill -9``, resumes from its last complete epoch and ends with the same weights. A finished
    run is not repeated: its results are read. A folder that holds a run of another recipe is refused.

    Parameters
    ----------
    recipe : Recipe, AutoencoderRecipe or the recipe of another task
        See `load_recipe`.
    device : {"auto", "cpu", "cuda"}
        Where to train.

    Returns
    -------
    dict
        What ``results.json`` holds, with ``train_s`` in s, ``parameters`` (their number) and ``folder``. A classifier has
        ``accuracy``, ``interval``, ``per_class`` and ``confusion``, and with ``folds: all`` the mean accuracy with ``std`` and
        ``folds``; an autoencoder ``mse`` and ``si_sdr_db``, and a tuned one the accuracies of `score_reconstructions`.

    Raises
    ------
    OtoscopeError
        If data, models or folder are not usable, or the loss is not finite.

    Examples
    --------
    >>> from otoscope.training import load_recipe
    >>> scenes = "data.name='scenes,clips=8,seconds=0.5,sample_rate=32000,folds=2,kinds=dog_bark+rain'"
    >>> recipe = load_recipe("vgg5", [scenes, "data.root=few", "data.test=1", "data.validation=[]", "data.seconds=0.5",
    ...                               "data.crop_s=0", "optimiser.epochs=1", "trainer.enable_progress_bar=false", "out=run"])
    >>> train(recipe, "cpu")["clips"]
    4
    """
    require("lightning", "train", "otoscope train")
    out = out_folder(recipe)
    ensure_same_recipe(out, recipe)
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    if getattr(recipe, "folds", "") == "all":
        return _every_fold(recipe, out, device)
    return _once(recipe, out, device)


def _every_fold(recipe: Any, out: Path, device: str) -> dict[str, Any]:
    """Each fold is the test fold once; mean and standard deviation of the accuracies."""
    data = load_dataset(recipe.data.name, recipe.data.root)
    if recipe.trainer.get("devices", 1) not in (1, "1", "auto") or recipe.trainer.get("num_nodes", 1) != 1:
        raise ParameterError(
            "folds=all trains one fold after the other in one process; with several devices give each fold a command of its "
            "own: data.test=FOLD out=FOLDER"
        )
    own = {
        fold: recipe.replace(
            data=recipe.data.replace(test=(fold,), train=()), folds="", out=str(out / f"fold-{_file_name(fold)}")
        )
        for fold in data.fold_names()
    }
    for one in own.values():
        divide(data, one.data)  # all of them, before hours are spent on the first
    found = {fold: _once(one, Path(one.out), device, data) for fold, one in own.items()}
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
    """A fold's name as a file name."""
    return re.sub(r"[^\w.-]", "_", str(fold)).strip(".") or "_"


def _once(recipe: RunSettings, out: Path, device: str, data: Dataset | None = None) -> dict[str, Any]:
    """One run, from its data to its folder; the results of a finished one are read."""
    import lightning

    kind, folder = task_type(recipe.task), out / "model"  # type: ignore[attr-defined]  # each recipe has one
    ensure_same_recipe(out, recipe)
    if (folder / "results.json").is_file():
        done = read_json(folder / "results.json")
        if not kind.is_whole(done):
            raise OtoscopeError(
                f"{folder / 'results.json'} is damaged; delete the folder {folder} to score the run again"
            )
        return {**done, "folder": str(folder)}
    if data is None:
        data = load_dataset(recipe.data.name, recipe.data.root)
    lightning.seed_everything(recipe.seed, verbose=False)
    task = kind(recipe, data, divide(data, recipe.data))
    chosen = resolve_device(device)
    batches, validation = task.loaders()
    module = task.make_module(len(batches))
    make_folder(out)
    trainer = make_trainer(lightning, recipe, out, chosen, len(batches), validation is not None, kind.watch)
    task.check()
    reserve(out, recipe)  # only now that all of it can run
    with task.guard():
        train_s = fit_module(trainer, recipe.optimiser, module, (batches, validation), out)
    if not trainer.is_global_zero:
        return {}
    if recipe.half:
        round_half(task.network)
    result = task.score(chosen)
    result |= {"train_s": train_s, "parameters": sum(p.numel() for p in task.network.parameters())}
    result = task.save(folder, result)
    content = {**result, "recipe": recipe.shareable(), **made_here()}
    write_text(folder / "results.json", json.dumps(content, indent=1) + "\n")  # last, as the sign that all is there
    return {**result, "folder": str(folder)}
