"""`otoscope train`."""

from __future__ import annotations

import click


@click.command()
@click.argument("recipe", type=click.Path())
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--device", default="auto", show_default=True, metavar="auto|cpu|cuda", help="Where to compute.")
def train(recipe: str, overrides: tuple[str, ...], device: str) -> None:
    """Train a classifier by a RECIPE (YAML); settings can be overridden, e.g. optimiser.epochs=3.

    A run that was stopped goes on where it was when the same command is given again.
    """
    from otoscope.training import load_recipe
    from otoscope.training import train as run

    result = run(load_recipe(recipe, overrides), device)
    click.echo(f"accuracy on the test folds: {100 * result['accuracy']:.2f} % of {result['clips']} clips")
    for label, share in result["per_class"].items():
        click.echo(f"  {label:<20}{100 * share:6.1f} %")
    click.echo(f"model folder: {result['folder']}")
