"""`otoscope recipe`."""

from __future__ import annotations

import click


@click.group()
def recipe() -> None:
    """List the recipes of the package, show one, or print what a recipe may hold."""


@recipe.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print the names and what they are as JSON.")
def list_recipes(as_json: bool) -> None:
    """List the recipes of the package.

    Their names are given to otoscope train, study and like-to-hear; the last part is enough where it is unique.
    """
    from otoscope.cli.columns import echo_json, echo_table
    from otoscope.recipes.find import about, recipe_names

    rows = [(name, about(name)) for name in recipe_names()]
    if as_json:
        echo_json(dict(rows))
    else:
        echo_table(("RECIPE", "WHAT IT IS"), rows)


@recipe.command()
@click.argument("name")
def show(name: str) -> None:
    """Print the recipe NAME, to read it or as a start for one's own.

    What it includes by a relative path belongs to the package; a recipe of one's own can include it by name.
    """
    from otoscope.cli.columns import echo_text
    from otoscope.recipes.find import find_recipe

    echo_text(find_recipe(name).read_text(encoding="utf-8"))


@recipe.command()
@click.argument("kind")
def schema(kind: str) -> None:
    """Print the JSON schema of recipes of a KIND.

    Kinds are train (a classifier), pretrain and tune (an autoencoder), further tasks by name, study, and like-to-hear.
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
