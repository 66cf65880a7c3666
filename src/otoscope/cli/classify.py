"""`otoscope classify`."""

from __future__ import annotations

import sys
from typing import Any

import click

from otoscope.cli.columns import echo_json, echo_table, one_line
from otoscope.cli.options import model_options


@click.command()
@click.argument("audio", nargs=-1, required=True, metavar="AUDIO...")
@model_options
@click.option("--top-k", default=5, show_default=True, type=click.IntRange(1), help="Number of labels.")
def classify(
    audio: tuple[str, ...],
    model: str,
    weights: str | None,
    labels: list[str] | None,
    options: dict[str, Any],
    device: str,
    batch_size: int,
    as_json: bool,
    top_k: int,
) -> None:
    """Print the most probable labels of audio files.

    With --json, prints a list of {label, score} for a single AUDIO, or one such list per file (empty if the file failed).
    """
    from tqdm import tqdm

    from otoscope.core.errors import OtoscopeError
    from otoscope.explanation import classify as classify_file
    from otoscope.explanation.request import resolve_model

    classifier = resolve_model(model, weights, device, labels, options)
    found: list[tuple[str, list[dict[str, Any]]]] = []
    failed = []
    for file in tqdm(audio, "classifying", delay=2, leave=False, unit="file", disable=None):
        try:
            found.append((file, classify_file(file, classifier, top_k=top_k, batch_size=batch_size)))
        except OtoscopeError as error:
            found.append((file, []))
            failed.append(file)
            click.echo(f"otoscope: {one_line(file)}: {one_line(error)}", err=True)
    if as_json:
        lists = [labels for _, labels in found]
        echo_json(lists[0] if len(audio) == 1 else lists)
    elif len(failed) < len(audio):
        echo_table(("file", "score", "label"), [(f, f"{x['score']:.3f}", x["label"]) for f, ls in found for x in ls])
    sys.exit(0 if not failed else 1 if len(failed) < len(audio) else 2)
