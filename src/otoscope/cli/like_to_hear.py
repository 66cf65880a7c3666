"""`otoscope like-to-hear`."""

from __future__ import annotations

import click

from otoscope.cli.columns import echo_json
from otoscope.cli.options import device_option, json_option, log, split_recipes


@click.command("like-to-hear")
@click.argument("recipe")
@click.argument("overrides", nargs=-1, metavar="[RECIPE|KEY=VALUE]...")
@device_option
@json_option
def like_to_hear(recipe: str, overrides: tuple[str, ...], device: str, as_json: bool) -> None:
    """Tune autoencoders to frozen classifiers and compare what they keep.

    RECIPE is a name from 'otoscope recipe list' or a YAML file; further recipes are merged into it, and KEY=VALUE overrides a
    setting. The output folder gets results.json, tables.md, plots and listening/index.html. Run the same command again to
    resume an interrupted study.
    """
    from otoscope.core import registry
    from otoscope.recipes.find import LIKE_TO_HEAR
    from otoscope.studies import like_to_hear as run
    from otoscope.studies import load_like_to_hear

    files, settings = split_recipes(recipe, overrides, LIKE_TO_HEAR)
    results = run(load_like_to_hear(files, settings), device, log)
    written = registry.get("view", "like-to-hear").target(results, results["folder"])
    if as_json:
        echo_json(results)
        return
    click.echo(written["summary"])
    for name in ("tables", "listening"):
        click.echo(f"{name}: {written[name]}")
