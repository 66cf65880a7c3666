"""Training recipes: read, checked one setting at a time and all together."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Sequence
from typing import Any

from otoscope.core.errors import ParameterError, UnknownNameError
from otoscope.recipes.read import build_settings, read_content
from otoscope.training.autoencoder_settings import AutoencoderRecipe
from otoscope.training.settings import Recipe, RunSettings

TASKS: dict[str, type[RunSettings]] = {"classifier": Recipe, "pretrain": AutoencoderRecipe, "tune": AutoencoderRecipe}
# What a recipe's `task` can be, and the settings that it then has.


def load_recipe(path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]], overrides: Sequence[str] = ()) -> Any:
    """Read one recipe, or several on top of one another, and put overrides such as ``optimiser.epochs=3`` on top.

    A recipe may begin with others: ``include: [../data/fsdd.yaml]``. Relative paths are relative to the file that says
    them; those of overrides to the working folder.

    Parameters
    ----------
    path : path or sequence of paths
    overrides : sequence of str
        ``key=value`` with dotted keys and YAML values.

    Returns
    -------
    Recipe or AutoencoderRecipe
        As its ``task`` says; without one it trains a classifier.

    Raises
    ------
    OtoscopeError
        If a file is missing or no mapping, a key is unknown (the nearest are offered), a value has another type or lies out
        of range.
    """
    content = read_content(path, overrides)
    task = content.get("task", "classifier")
    if not isinstance(task, str) or task not in TASKS:
        raise UnknownNameError("task", str(task), TASKS)
    if TASKS[task] is Recipe:
        content.pop("task", None)
    recipe: RunSettings = build_settings(TASKS[task], content)
    _agree(recipe)
    return dataclasses.replace(recipe, out=recipe.out or f"runs/{recipe.name}")


def _agree(recipe: RunSettings) -> None:
    """Settings that are right alone but not together."""
    settings = recipe.optimiser
    if settings.average_from > settings.epochs:
        raise ParameterError(f"optimiser.average_from={settings.average_from} lies beyond epochs={settings.epochs}")
    if settings.average_from and settings.keep == "best":
        raise ParameterError("optimiser.average_from and keep: best are two ways to choose the weights; give one")
    if (settings.early_stopping or settings.keep == "best") and not recipe.data.validation:
        raise ParameterError("optimiser.early_stopping and keep: best need a validation fold; give data.validation")
    if bool(recipe.data.plant) != bool(recipe.data.plant_class):
        raise ParameterError("data.plant and data.plant_class go together: the cue, and the class whose clips get it")
    if recipe.data.plant_share and not recipe.data.plant:
        raise ParameterError("data.plant_share is the share of clips that get the cue; name the cue with data.plant")
    if not re.fullmatch(r"[\w][\w .-]*", recipe.name):
        raise ParameterError(f"name must be a file's name of letters, digits, '-', '_' and '.'; got {recipe.name!r}")
    if "\0" in recipe.out:
        raise ParameterError("out must be a folder's name; it holds a NUL character")
    if isinstance(recipe, AutoencoderRecipe):
        _agree_autoencoder(recipe)


def _agree_autoencoder(recipe: AutoencoderRecipe) -> None:
    loss = recipe.loss
    if recipe.data.plant:
        raise ParameterError("data.plant goes with classifiers alone; an autoencoder learns no class")
    if recipe.data.crop_s and recipe.task == "tune":
        raise ParameterError("a label holds for a whole clip: data.crop_s goes with task: pretrain alone")
    if recipe.task == "tune" and not recipe.classifier.model:
        raise ParameterError("task: tune needs a classifier to tune to; give classifier.model")
    if recipe.task == "tune" and loss.classifier <= 0:
        raise ParameterError("task: tune without the classifier's loss is no tuning; give loss.classifier above 0")
    if recipe.task == "pretrain" and recipe.classifier.model:
        raise ParameterError("task: pretrain asks no classifier; leave classifier.model out, or use task: tune")
