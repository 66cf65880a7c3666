"""Pieces that the cards of all trained models share."""

from __future__ import annotations

import datetime
import platform
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from otoscope.datasets import Dataset
from otoscope.training.settings import RunSettings


def fill(paragraphs: Sequence[str]) -> str:
    """Paragraphs as Markdown in lines of at most 120 characters; headings and tables stay as they are."""
    return "\n\n".join(p if p[:1] in "#|" else textwrap.fill(p, 120, break_on_hyphens=False) for p in paragraphs) + "\n"


def about_data(data: Dataset, recipe: RunSettings) -> str:
    """The data set, its licence and its test folds."""
    return (
        f"{data.name} ({data.citation or 'no reference'}); test folds: {', '.join(map(str, recipe.data.test))}. Licence of the "
        f"data: {data.licence or 'not recorded'}. The clips are not in this folder."
    )


def about_training(recipe: RunSettings, result: Mapping[str, Any], most: str = "") -> str:
    """How it was trained; ``most`` stands before the number of epochs."""
    settings = recipe.optimiser
    return (
        f"`otoscope train` with the recipe of this name, seed {recipe.seed}: {most}{settings.epochs} epochs of batches of "
        f"{settings.batch_size}, {settings.name}, learning rate {settings.lr:g}, {result['train_s'] / 60:.1f} minutes"
    )


def made_today() -> str:
    """Date, machine and Python version of the results."""
    return f"Made on {datetime.date.today().isoformat()}, {platform.machine()}, Python {platform.python_version()}."


def percent(interval: Sequence[float]) -> str:
    """An interval of shares in %."""
    low, high = (100 * bound for bound in interval)
    return f"95 % interval {low:.1f} to {high:.1f}"
