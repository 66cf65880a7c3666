"""`otoscope methods`, `domains`, `masks`: the registry, as tables."""

from __future__ import annotations

from typing import Any

import click

from otoscope.cli.columns import described, echo_json, echo_table
from otoscope.cli.options import json_option

COLUMNS = {
    "method": ("family", "signed", "cost"),
    "domain": ("family", "feeds", "axes"),
    "mask": ("family", "binary"),
}


def _command(name: str, kind: str) -> click.Command:
    @click.command(name, help=f"List the {name} with their facts, settings and defaults.")
    @json_option
    def command(as_json: bool) -> None:
        from otoscope.core import registry

        entries = registry.entries(kind)
        if as_json:
            echo_json([e.row() for e in entries])
            return
        head = ("name", *COLUMNS[kind], "description [settings and defaults]")
        echo_table(
            head, [(e.name, *(_word(e.row().get(c, "-")) for c in COLUMNS[kind]), described(e)) for e in entries]
        )

    return command


def _word(value: Any) -> str:
    return ("no", "yes")[value] if isinstance(value, bool) else str(value)


methods = _command("methods", "method")
domains = _command("domains", "domain")
masks = _command("masks", "mask")
