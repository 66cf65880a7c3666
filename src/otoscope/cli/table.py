"""Plain-text tables and JSON."""

from __future__ import annotations

import json
import shutil
import textwrap
from collections.abc import Sequence
from typing import Any

import click


def echo_json(value: Any) -> None:
    """Print as JSON that every parser reads (no NaN)."""
    click.echo(json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False))


def echo_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print aligned columns; the last one is wrapped to the terminal's width."""
    widths = [max(len(str(r[i])) for r in [head, *rows]) for i in range(len(head) - 1)]
    indent = sum(widths) + 2 * len(widths)
    room = max(24, shutil.get_terminal_size((100, 24)).columns - indent)
    for row in [head, *rows]:
        start = "".join(f"{cell!s:<{w}}  " for cell, w in zip(row, widths, strict=False))
        lines = textwrap.wrap(str(row[-1]), room) or [""]
        click.echo((start + lines[0]).rstrip())
        for line in lines[1:]:
            click.echo(" " * indent + line)
