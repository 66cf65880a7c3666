"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click


def model_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--model, --weights, --device, --batch-size, --json."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print the results as JSON."),
        click.option(
            "--batch-size", default=16, show_default=True, help="Most clips in one pass; less needs less memory."
        ),
        click.option("--device", default="auto", show_default=True, metavar="auto|cpu|cuda", help="Where to compute."),
        click.option("--weights", type=click.Path(), help="Weights for the model: safetensors or a torch state_dict."),
        click.option(
            "--model", default="esc10-mn", show_default=True, help="A name (otoscope models) or a model folder."
        ),
    ):
        command = option(command)
    return command
