"""Training recipes: read, checked one setting at a time and all together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from otoscope.core.errors import UnknownNameError
from otoscope.recipes.read import RecipeFiles, read_content
from otoscope.recipes.schema import build_settings
from otoscope.training.task import task_types


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
        As its ``task`` says; without one it trains a classifier.

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
