"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click


def names_of(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> list[str] | None:
    """Different names with commas between them."""
    if value is None:
        return None
    names = [name.strip() for name in value.split(",")]
    if not all(names) or len({*names}) < len(names):
        raise click.BadParameter(f"must be different names with commas between them; got {value!r}")
    return names


def words_of(_ctx: click.Context, _parameter: click.Parameter, values: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """``COLUMN=WORD``, several times."""
    found: dict[str, tuple[str, ...]] = {}
    for value in values:
        column, equals, word = value.partition("=")
        if not (column and equals):
            raise click.BadParameter(f"must be COLUMN=WORD; got {value!r}")
        found[column] = (*found.get(column, ()), word)
    return found


def model_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--model, --weights, --labels, --device, --batch-size, --json."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print the results as JSON."),
        click.option(
            "--batch-size", default=16, show_default=True, help="Most clips in one pass; less needs less memory."
        ),
        click.option("--device", default="auto", show_default=True, metavar="auto|cpu|cuda", help="Where to compute."),
        click.option("--weights", type=click.Path(), help="Weights for the model: safetensors or a torch state_dict."),
        click.option(
            "--labels", metavar="A,B,...", callback=names_of, help="Classes in words, for models that take any (CLAP)."
        ),
        click.option(
            "--model",
            default="esc10-mn",
            show_default=True,
            help="A name (otoscope models), a model folder, hf:ID-or-folder or module:callable.",
        ),
    ):
        command = option(command)
    return command


def split_recipes(overrides: Sequence[str]) -> tuple[list[str], list[str]]:
    """Further recipes (YAML files), and ``key=value`` settings, from what follows a recipe on the command line."""
    files = [o for o in overrides if "=" not in o and o.endswith((".yaml", ".yml"))]
    return files, [o for o in overrides if o not in files]
