"""Training by a recipe. Waveforms ``(batch, time)``, labels ``(batch, class)``.

A recipe names a task: a kind of trained model. `run` trains all of them; what differs stands in a `otoscope.training.task.Task`.
A new task plugs in as an entry of the registry, of kind ``"task"``, whose target returns its class; no other file changes.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from otoscope.core import registry

if TYPE_CHECKING:
    from otoscope.training.autoencoder.settings import AutoencoderRecipe
    from otoscope.training.classifier.settings import Recipe
    from otoscope.training.run import train
    from otoscope.training.task import load_recipe

__all__ = ["AutoencoderRecipe", "Recipe", "load_recipe", "train"]

_HOMES = {
    "AutoencoderRecipe": "autoencoder.settings",
    "Recipe": "classifier.settings",
    "load_recipe": "task",
    "train": "run",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"otoscope.training.{_HOMES[name]}"), name)


@registry.register("task", "classifier", summary="Train a classifier, from scratch, from weights or with a teacher.")
def _classifier() -> type:
    from otoscope.training.classifier.task import ClassifierTask

    return ClassifierTask


def _autoencoder() -> type:
    from otoscope.training.autoencoder.task import AutoencoderTask

    return AutoencoderTask


registry.add(registry.Entry("task", "pretrain", _autoencoder, "Train an autoencoder to reconstruct its input."))
registry.add(registry.Entry("task", "tune", _autoencoder, "Tune an autoencoder to a frozen classifier."))
