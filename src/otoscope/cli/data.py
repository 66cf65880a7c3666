"""`otoscope data`: list, fetch and check data sets."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import click

from otoscope.cli.columns import described, echo_json, echo_table, one_line
from otoscope.cli.options import json_option

SHOWN = 5
DIR = click.option("--dir", "folder", required=True, type=click.Path(), help="Folder of the data set.")


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def data(ctx: click.Context, as_json: bool) -> None:
    """List the data sets, download one or check one.

    Data sets are given as NAME or NAME,setting=value, e.g. esc50,esc10=true.
    """
    if ctx.invoked_subcommand is not None:
        return
    from otoscope.core import registry

    entries = registry.entries("dataset")
    if as_json:
        echo_json([e.row() for e in entries])
    else:
        head = ("name", "classes", "clips", "Hz", "download", "description [settings and defaults] (licence)")
        echo_table(head, [_row(e) for e in entries])


def _row(entry: Any) -> list[str]:
    facts = entry.facts
    return [
        entry.name,
        *(str(facts.get(key) or "any") for key in ("classes", "clips", "sample_rate")),
        "yes" if facts.get("needs_download") and facts.get("hosted") else "no",
        f"{described(entry)} ({facts.get('licence') or 'licence unknown'})",
    ]


@data.command()
@click.argument("name")
@DIR
@click.option("--mirror", default="", metavar="URL", help="Base URL to download the files from.")
def get(name: str, folder: str, mirror: str) -> None:
    """Download the data set NAME; an interrupted download is resumed."""
    from otoscope.datasets.get import get_dataset

    fetched = get_dataset(name, folder, mirror)
    what = f"downloaded {', '.join(fetched.files)}" if fetched.files else "already complete"
    click.echo(one_line(f"{fetched.data.name}: {len(fetched.data)} clips in {fetched.folder} ({what})"))
    click.echo(one_line(f"licence: {fetched.data.licence}"))


@data.command()
@click.argument("name")
@DIR
@click.option("--quick", is_flag=True, help="Check file names only.")
@json_option
@click.pass_context
def check(ctx: click.Context, name: str, folder: str, quick: bool, as_json: bool) -> None:
    """Report missing, extra, damaged and resampled files of the data set NAME; exit code 1 if there are any."""
    from otoscope.datasets.check import KINDS, check_dataset

    report = check_dataset(name, folder, quick)
    if as_json:
        echo_json(report.as_dict())
    else:
        state = "problems" if report.findings else "ok"
        click.echo(one_line(f"{report.name}: {report.clips} clips in {report.folder}: {state}"))
        for kind, group in groupby(report.findings, key=lambda f: f.kind):
            found = list(group)
            click.echo(f"{kind}: {KINDS[kind]} ({len(found)})")
            for finding in found[:SHOWN]:
                click.echo(one_line(f"  {finding.what}: {finding.why}"))
            if len(found) > SHOWN:
                click.echo(f"  and {len(found) - SHOWN} more; --json lists all")
        for note in report.notes:
            click.echo(one_line(f"note: {note}"))
    ctx.exit(1 if report.findings else 0)
