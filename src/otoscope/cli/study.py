"""`otoscope study`."""

from __future__ import annotations

import click


@click.command()
@click.argument("recipe")
@click.argument("overrides", nargs=-1, metavar="[RECIPE|KEY=VALUE]...")
@click.option("--dry-run", is_flag=True, help="Check the recipe, print passes and an estimate of time, and stop.")
@click.option("--extend", is_flag=True, help="Go on in the folder of another recipe; rows that both have are kept.")
@click.option("--device", default="auto", show_default=True, metavar="auto|cpu|cuda", help="Where to compute.")
@click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")
def study(recipe: str, overrides: tuple[str, ...], dry_run: bool, extend: bool, device: str, as_json: bool) -> None:
    """Explain many clips in many ways and measure every explanation, by a RECIPE: a name (otoscope recipe list) or a YAML file.

    The results folder gets results.parquet, one row for each clip, classifier, method, domain, mask and condition; otoscope
    table makes tables and pages of it. Run the same command again to resume an interrupted study.
    """
    from otoscope.cli.columns import echo_json
    from otoscope.cli.options import split_recipes
    from otoscope.recipes.find import STUDIES
    from otoscope.studies import load_study, run_study

    files, settings = split_recipes(recipe, overrides, STUDIES)
    done = run_study(
        load_study(files, settings), device, dry_run, extend,
        lambda line: click.echo(f"otoscope: {line}", err=True),
    )  # fmt: skip
    if as_json:
        echo_json(done)
    elif not dry_run:
        click.echo(f"{done['rows']} rows, {done['failed']} of them failures: {done['folder']}/results.parquet")
