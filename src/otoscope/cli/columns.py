"""Plain-text tables and JSON."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Sequence
from typing import Any

import click


def echo_json(value: Any) -> None:
    """Print strict JSON (no NaN)."""
    click.echo(json.dumps(value, indent=2, allow_nan=False))


def one_line(text: object) -> str:
    """Text on one line: newlines, control characters and what the terminal cannot encode are escaped."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in str(text))
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return shown.encode(encoding, "backslashreplace").decode(encoding)


def echo_text(text: str) -> None:
    """Print text of several lines; characters that the terminal cannot encode are escaped."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    click.echo(text.rstrip("\n").encode(encoding, "backslashreplace").decode(encoding))


def described(entry: Any) -> str:
    """Description of something registered, with its settings and defaults in brackets."""
    settings = ", ".join(f"{p.name}={p.default}" for p in entry.parameters)
    return entry.summary + (f" [{settings}]" if settings else "")


def echo_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print aligned columns; the last one is wrapped to the terminal's width."""
    head, rows = [one_line(cell) for cell in head], [[one_line(cell) for cell in row] for row in rows]
    widths = [max(len(r[i]) for r in [head, *rows]) for i in range(len(head) - 1)]
    indent = sum(widths) + 2 * len(widths)
    room = max(24, shutil.get_terminal_size((100, 24)).columns - indent)
    for row in [head, *rows]:
        start = "".join(f"{cell:<{w}}  " for cell, w in zip(row, widths, strict=False))
        lines = textwrap.wrap(row[-1], room, break_long_words=False, break_on_hyphens=False) or [""]
        click.echo((start + lines[0]).rstrip())
        for line in lines[1:]:
            click.echo(" " * indent + line)
