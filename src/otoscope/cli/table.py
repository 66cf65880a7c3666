"""`otoscope table`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from otoscope.cli.columns import echo_json, echo_text
from otoscope.cli.options import device_option, json_option, log, names_of, words_of

if TYPE_CHECKING:
    from otoscope.results import LeaderboardOptions


@click.command()
@click.argument("results", nargs=-1, required=True, type=click.Path(), metavar="RESULTS...")
@click.option(
    "--metrics", callback=names_of, metavar="A,B,...", help="Columns, all, domain, heard, truth, audiointerp."
)
@click.option("--by", callback=names_of, default="method,domain", show_default=True, help="Columns of a line.")
@click.option("--condition", callback=names_of, metavar="A,B,...", help="Only these conditions.")
@click.option("--classifier", callback=names_of, metavar="A,B,...", help="Only these classifiers.")
@click.option("--pool", callback=names_of, metavar="condition,classifier", help="Pool all conditions or classifiers.")
@click.option("--only", multiple=True, callback=words_of, metavar="COLUMN=TEXT", help="Only these rows; repeatable.")
@click.option("--sort", default="", metavar="METRIC|seconds|name", help="Order of lines; the first metric by default.")
@click.option("--choose", default="rank", show_default=True, metavar="rank|score|METRIC", help="How to choose masks.")
@click.option("--seed", type=int, help="Draw the clips for choosing masks at random; every second one by default.")
@click.option("--same-clips", is_flag=True, help="Choose masks on the reported clips (optimistic).")
@click.option("--pivot", is_flag=True, help="Masks as lines, methods as columns; needs --by method,domain,mask.")
@click.option("--format", "forms", callback=names_of, metavar="md,latex,csv,html", help="Formats to write or print.")
@click.option("--out", type=click.Path(), metavar="DIR", help="Output folder.")
@click.option("--listen", is_flag=True, help="Write a page of example clips, next to RESULTS without --out.")
@device_option
@json_option
def table(
    results: tuple[str, ...],
    pivot: bool,
    forms: list[str] | None,
    out: str | None,
    listen: bool,
    device: str,
    as_json: bool,
    **_: Any,
) -> None:
    """Print a leaderboard of explanation methods from RESULTS: folders of studies or Parquet files.

    For each method and domain, the mask is chosen on one half of the panel's clips; the other half is reported, with
    confidence intervals, tests against the best, and failures. With --out, the folder gets table.md, table.tex, table.csv,
    table.html and, if the study ran sanity checks, sanity.csv.
    """
    from otoscope.report.leaderboard import Output, tabulate

    options = leaderboard_options(click.get_current_context().params)
    output = Output(out, tuple(forms or ()), pivot, listen, device)
    done = tabulate(results, options, output, log)
    if as_json:
        echo_json({**done.board.to_dict(), "files": done.paths})
        return
    echo_text(done.text)
    for form, path in done.paths.items():
        click.echo(f"{form}: {path}")


def leaderboard_options(params: Mapping[str, Any]) -> LeaderboardOptions:
    """Leaderboard options from the command's parameters."""
    from otoscope.results import LeaderboardOptions

    named = {column: tuple(params[column]) for column in ("condition", "classifier") if params[column]}
    metrics, by, pool = (tuple(params[name] or ()) for name in ("metrics", "by", "pool"))
    only = {**params["only"], **named}
    return LeaderboardOptions(
        metrics, by, only, pool, params["sort"], params["choose"], params["seed"], params["same_clips"]
    )
