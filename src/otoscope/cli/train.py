"""`otoscope train`."""

from __future__ import annotations

import click


@click.command()
@click.argument("recipe", type=click.Path())
@click.argument("overrides", nargs=-1, metavar="[RECIPE.yaml|KEY=VALUE]...")
@click.option("--device", default="auto", show_default=True, metavar="auto|cpu|cuda", help="Where to compute.")
def train(recipe: str, overrides: tuple[str, ...], device: str) -> None:
    """Train a classifier or an autoencoder by a RECIPE (YAML).

    Further recipes are put on top, such as recipes/data/fsdd.yaml; settings can be overridden, e.g. optimiser.epochs=3.

    A run that was stopped goes on where it was when the same command is given again.
    """
    from otoscope.cli.options import split_recipes
    from otoscope.training import load_recipe
    from otoscope.training import train as run

    files, settings = split_recipes(overrides)
    result = run(load_recipe([recipe, *files], settings), device)
    if not result:  # one of several processes; the first one speaks
        return
    if "mse" in result:
        ratio = result["si_sdr_db"]
        click.echo(f"mean squared error on the test folds: {result['mse']:.3g} ({result['clips']} clips)")
        click.echo("SI-SDR: " + ("undefined" if ratio is None else f"{ratio:.2f} dB"))
        if "accuracy" in result:
            low, high = (100 * bound for bound in result["interval"])
            click.echo(f"on the reconstructions the classifier is right on {100 * result['accuracy']:.2f} %")
            click.echo(f"  95 % interval {low:.1f} to {high:.1f}; right is the {result['right_is']}")
            if result["right_is"] == "label":
                click.echo(f"  on the originals {100 * result['accuracy_original']:.2f} %")
        click.echo(f"folder of the autoencoder: {result['folder']}")
        return
    if "folds" in result:
        for fold, accuracy in result["folds"].items():
            click.echo(f"  fold {fold:<15}{100 * accuracy:6.1f} %")
        click.echo(f"accuracy over all folds: {100 * result['accuracy']:.2f} ± {100 * result['std']:.2f} %")
    else:
        low, high = (100 * bound for bound in result["interval"])
        click.echo(
            f"accuracy on the test folds: {100 * result['accuracy']:.2f} % of {result['clips']} clips "
            f"(95 % interval {low:.1f} to {high:.1f})"
        )
        for label, share in result["per_class"].items():
            click.echo(f"  {label:<20}" + (f"{100 * share:6.1f} %" if share is not None else "     -"))
    click.echo(f"model folder: {result['folder']}")
