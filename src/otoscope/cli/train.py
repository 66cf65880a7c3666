"""`otoscope train`."""

from __future__ import annotations

import click

from otoscope.cli.options import device_option, split_recipes


@click.command()
@click.argument("recipe")
@click.argument("overrides", nargs=-1, metavar="[RECIPE|KEY=VALUE]...")
@device_option
def train(recipe: str, overrides: tuple[str, ...], device: str) -> None:
    """Train a classifier or an autoencoder from a RECIPE: a name from 'otoscope recipe list' or a YAML file.

    Further recipes are merged into it, e.g. fsdd for its data; KEY=VALUE overrides a setting, e.g. optimiser.epochs=3.

    Run the same command again to resume an interrupted run.
    """
    from otoscope.training.run import train as run
    from otoscope.training.task import load_recipe, task_type

    files, settings = split_recipes(recipe, overrides)
    wanted = load_recipe(files, settings)
    result = run(wanted, device)
    if result:  # empty in all processes but the first
        click.echo("\n".join(task_type(wanted.task).report(result)))
