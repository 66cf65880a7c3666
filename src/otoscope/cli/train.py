"""`otoscope train`."""

from __future__ import annotations

import click


@click.command()
@click.argument("recipe")
@click.argument("overrides", nargs=-1, metavar="[RECIPE|KEY=VALUE]...")
@click.option("--device", default="auto", show_default=True, metavar="auto|cpu|cuda", help="Where to compute.")
def train(recipe: str, overrides: tuple[str, ...], device: str) -> None:
    """Train a classifier or an autoencoder by a RECIPE: a name (otoscope recipe list) or a YAML file.

    Further recipes are put on top, such as fsdd for its data; settings can be overridden, e.g. optimiser.epochs=3.

    Run the same command again to resume an interrupted run.
    """
    from otoscope.cli.options import split_recipes
    from otoscope.training.run import train as run
    from otoscope.training.task import load_recipe, task_type

    files, settings = split_recipes(recipe, overrides)
    wanted = load_recipe(files, settings)
    result = run(wanted, device)
    if result:  # else it is one of several processes, and the first one reports
        click.echo("\n".join(task_type(wanted.task).report(result)))
