"""`otoscope table`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from otoscope.cli.options import names_of, words_of

if TYPE_CHECKING:
    from otoscope.results import LeaderboardOptions


@click.command()
@click.argument("results", nargs=-1, required=True, type=click.Path(), metavar="RESULTS...")
@click.option(
    "--metrics", callback=names_of, metavar="A,B,...", help="Columns, or all, domain, heard, truth, audiointerp."
)
@click.option("--by", callback=names_of, default="method,domain", show_default=True, help="Columns that make a line.")
@click.option("--condition", callback=names_of, metavar="A,B,...", help="Only these conditions.")
@click.option("--classifier", callback=names_of, metavar="A,B,...", help="Only these classifiers.")
@click.option(
    "--pool", callback=names_of, metavar="condition,classifier", help="Take all conditions, or classifiers, together."
)
@click.option("--only", multiple=True, callback=words_of, metavar="COLUMN=WORD", help="Only these rows; repeatable.")
@click.option("--sort", default="", metavar="METRIC|seconds|name", help="Order of lines; by default the first metric.")
@click.option("--choose", default="rank", show_default=True, metavar="rank|score|METRIC", help="How masks are chosen.")
@click.option("--seed", type=int, help="Draws the clips that choose masks; else every second of a panel.")
@click.option("--same-clips", is_flag=True, help="Choose masks on the clips that are reported, as audiointerp does.")
@click.option("--pivot", is_flag=True, help="Masks as lines, methods as columns; with --by method,domain,mask.")
@click.option("--format", "forms", callback=names_of, metavar="md,latex,csv,html", help="What to write or print.")
@click.option("--out", type=click.Path(), metavar="DIR", help="Write the table into this folder.")
@click.option(
    "--listen", is_flag=True, help="Add best, worst and most disputed clips to hear; without --out, beside RESULTS."
)
@click.option("--device", default="auto", show_default=True, metavar="auto|cpu|cuda", help="Where --listen computes.")
@click.option("--json", "as_json", is_flag=True, help="Print the table as JSON.")
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
    """Which explanation can be trusted: a table of RESULTS, the folder of a study or Parquet files.

    Each method in its domain gets the mask that did best on one half of its panel's clips; the numbers are of the other half,
    with intervals, tests against the best, and failures. With --out, the folder gets table.md, table.tex, table.csv, table.html
    and, where the study asked whether explanations depend on the network, sanity.csv.
    """
    from otoscope.cli.columns import echo_json, echo_text
    from otoscope.report.leaderboard import Output, tabulate

    options = leaderboard_options(click.get_current_context().params)
    output = Output(out, tuple(forms or ()), pivot, listen, device)
    done = tabulate(results, options, output, lambda line: click.echo(f"otoscope: {line}", err=True))
    if as_json:
        echo_json({**done.board.to_dict(), "files": done.paths})
        return
    echo_text(done.text)
    for form, path in done.paths.items():
        click.echo(f"{form}: {path}")


def leaderboard_options(params: Mapping[str, Any]) -> LeaderboardOptions:
    """The options of the command as those of a leaderboard."""
    from otoscope.results import LeaderboardOptions

    named = {column: tuple(params[column]) for column in ("condition", "classifier") if params[column]}
    metrics, by, pool = (tuple(params[name] or ()) for name in ("metrics", "by", "pool"))
    only = {**params["only"], **named}
    return LeaderboardOptions(
        metrics, by, only, pool, params["sort"], params["choose"], params["seed"], params["same_clips"]
    )
