"""`otoscope study`."""

from __future__ import annotations

import click

from otoscope.cli.columns import echo_json
from otoscope.cli.options import device_option, json_option, log, split_recipes


@click.command()
@click.argument("recipe")
@click.argument("overrides", nargs=-1, metavar="[RECIPE|KEY=VALUE]...")
@click.option(
    "--dry-run", is_flag=True, help="Check the recipe, print the number of passes and the estimated time, and exit."
)
@click.option(
    "--extend", is_flag=True, help="Extend a study of another recipe in the same folder; rows of both are kept."
)
@device_option
@json_option
def study(recipe: str, overrides: tuple[str, ...], dry_run: bool, extend: bool, device: str, as_json: bool) -> None:
    """Compare explanation methods on many clips.

    RECIPE is a name from 'otoscope recipe list' or a YAML file; further recipes are merged into it, and KEY=VALUE overrides a
    setting. The output folder gets results.parquet, with one row per clip, classifier, method, domain, mask and condition;
    'otoscope table' summarises it. Run the same command again to resume an interrupted study.
    """
    from otoscope.recipes.find import STUDIES
    from otoscope.studies import load_study, run_study

    files, settings = split_recipes(recipe, overrides, STUDIES)
    done = run_study(load_study(files, settings), device, dry_run, extend, log)
    if as_json:
        echo_json(done)
    elif not dry_run:
        click.echo(f"{done['rows']} rows, {done['failed']} failed: {done['folder']}/results.parquet")
