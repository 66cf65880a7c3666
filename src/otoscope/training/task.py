"""What a kind of trained model has to say of itself; `otoscope.training.run` does the rest."""

from __future__ import annotations

import abc
import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import nn

from otoscope.core import registry
from otoscope.datasets import Dataset
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
        """Lines for the command line."""
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
