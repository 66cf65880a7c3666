"""`otoscope recipe`."""

from __future__ import annotations

import click

from otoscope.cli.options import json_option


@click.group()
def recipe() -> None:
    """List the built-in recipes, show one, or print the JSON schema of a kind."""


@recipe.command("list")
@json_option
def list_recipes(as_json: bool) -> None:
    """List the built-in recipes.

    Pass their names to otoscope train, study and like-to-hear; the last part of a name is enough if it is unique.
    """
    from otoscope.cli.columns import echo_json, echo_table
    from otoscope.recipes.find import about, recipe_names

    rows = [(name, about(name)) for name in recipe_names()]
    if as_json:
        echo_json(dict(rows))
    else:
        echo_table(("recipe", "description"), rows)


@recipe.command()
@click.argument("name")
def show(name: str) -> None:
    """Print the recipe NAME, for example as a template for your own.

    Its relative includes refer to files of the package; your own recipe can include these by name.
    """
    from otoscope.cli.columns import echo_text
    from otoscope.recipes.find import find_recipe

    echo_text(find_recipe(name).read_text(encoding="utf-8"))


@recipe.command()
@click.argument("kind")
def schema(kind: str) -> None:
    """Print the JSON schema of a KIND of recipe.

    Kinds: train (a classifier), pretrain and tune (an autoencoder), any other training task, study, like-to-hear.
    """
    from otoscope.cli.columns import echo_json
    from otoscope.core.errors import UnknownNameError
    from otoscope.recipes.schema import Settings
    from otoscope.studies import LikeToHearRecipe, StudyRecipe
    from otoscope.training.task import task_types

    tasks = {name: task.recipe_type for name, task in task_types().items()}
    kinds: dict[str, type[Settings]] = {
        "train": tasks["classifier"], **tasks, "study": StudyRecipe, "like-to-hear": LikeToHearRecipe
    }  # fmt: skip
    if kind not in kinds:
        raise UnknownNameError("kind of recipe", kind, kinds)
    echo_json(kinds[kind].model_json_schema())
