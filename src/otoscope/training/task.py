"""Tasks, one for each kind of trained model, and their recipes; `otoscope.training.run` does the rest."""

from __future__ import annotations

import abc
import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import nn

from otoscope.core import registry
from otoscope.core.errors import UnknownNameError
from otoscope.datasets import Dataset
from otoscope.recipes.read import RecipeFiles, read_content
from otoscope.recipes.schema import build_settings
from otoscope.training.settings import RunSettings

if TYPE_CHECKING:
    from otoscope.training.module import TrainingModule

Parts = tuple[Dataset, Dataset | None, Dataset]


class Task(abc.ABC):
    """One run of one kind of model: its recipe, its network, its losses, its scores and its folder.

    An instance builds the model from the recipe. `run` then calls `loaders`, `make_module` and `check`, trains inside `guard`,
    and calls `score` and `save`. To add a kind of model, write a child of this class and register a function that returns it::

        @registry.register("task", "counter", summary="Train a network that counts events.")
        def counter():
            return CounterTask

    Parameters
    ----------
    recipe : RunSettings
        Of the class `recipe_type`.
    data : Dataset
        The whole data set.
    parts : tuple of Dataset
        Training, validation (or None) and test part.
    """

    recipe_type: ClassVar[type[RunSettings]]
    watch: ClassVar[tuple[str, str]] = ("val/accuracy", "max")

    def __init__(self, recipe: Any, data: Dataset, parts: Parts):
        self.recipe, self.data = recipe, data
        self.training, self.validation, self.test = parts

    @property
    @abc.abstractmethod
    def network(self) -> nn.Module:
        """The network whose weights are trained, rounded and counted."""

    @abc.abstractmethod
    def loaders(self) -> tuple[Any, Any]:
        """Batches to train on, and to validate on (or None)."""

    @abc.abstractmethod
    def make_module(self, batches: int) -> TrainingModule:
        """The Lightning module.

        Parameters
        ----------
        batches : int
            Batches an epoch.
        """

    def check(self) -> None:  # noqa: B027  (most tasks have nothing to refuse)
        """Refuse what cannot be trained, before the folder of the run is reserved."""

    def guard(self) -> contextlib.AbstractContextManager[Any]:
        """A context around the training."""
        return contextlib.nullcontext()

    @abc.abstractmethod
    def score(self, device: torch.device) -> dict[str, Any]:
        """Results on the test folds."""

    @abc.abstractmethod
    def save(self, folder: Path, result: dict[str, Any]) -> dict[str, Any]:
        """Write the model folder.

        Parameters
        ----------
        folder : Path
            The model folder; made if needed.
        result : dict
            Of `score`, with ``train_s`` and ``parameters``.

        Returns
        -------
        dict
            What ``results.json`` holds of the result.
        """

    @classmethod
    def is_whole(cls, result: Mapping[str, Any]) -> bool:
        """Whether the results of a finished run are complete."""
        return True

    @classmethod
    def report(cls, result: Mapping[str, Any]) -> list[str]:
        """Lines that the command prints."""
        return [f"folder of the model: {result['folder']}"]


def task_type(name: str) -> type[Task]:
    """The class of a task.

    Raises
    ------
    UnknownNameError
    """
    found: type[Task] = registry.get("task", name).target()
    return found


def task_types() -> dict[str, type[Task]]:
    """Name -> class of every task."""
    return {entry.name: entry.target() for entry in registry.entries("task")}


def load_recipe(path: RecipeFiles, overrides: Sequence[str] = ()) -> Any:
    """Read one recipe, or several on top of one another, and put overrides such as ``optimiser.epochs=3`` on top.

    A recipe may begin with others: ``include: [../data/fsdd.yaml]``. Relative paths are relative to the file that holds them;
    those of overrides and of recipes of the package to the working folder.

    Parameters
    ----------
    path : path, name, or sequence of these
        Files, or recipes of the package by name (``otoscope recipe list``).
    overrides : sequence of str
        ``key=value`` with dotted keys and YAML values.

    Returns
    -------
    Recipe, AutoencoderRecipe or the recipe of another task
        As its ``task`` specifies; by default it trains a classifier.

    Raises
    ------
    OtoscopeError
        If a file is missing or no mapping, a key is unknown (the nearest are offered), a value has another type or lies out
        of range.

    Examples
    --------
    >>> from otoscope.training import load_recipe
    >>> load_recipe(["mn", "esc10"], ["optimiser.epochs=3"]).optimiser.epochs
    3
    """
    tasks = task_types()
    content = read_content(path, overrides, [task.recipe_type for task in tasks.values()])
    task = content.get("task", "classifier")
    if not isinstance(task, str) or task not in tasks:
        raise UnknownNameError("task", str(task), tasks)
    kind = tasks[task].recipe_type
    if "task" not in kind.model_fields:
        content.pop("task", None)
    recipe = build_settings(kind, content)
    recipe.check()
    return recipe.replace(out=recipe.out or f"runs/{recipe.name}")
