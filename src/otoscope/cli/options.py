"""Options that several commands share."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from otoscope.cli.columns import one_line

device_option = click.option(
    "--device", default="auto", show_default=True, metavar="auto|cpu|cuda", help="Device to compute on."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def log(line: str) -> None:
    """Print a line of progress to standard error."""
    click.echo(f"otoscope: {line}", err=True)


def names_of(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> list[str] | None:
    """Distinct names, separated by commas."""
    if value is None:
        return None
    names = [name.strip() for name in value.split(",")]
    if not all(names) or len({*names}) < len(names):
        raise click.BadParameter(f"must be distinct names separated by commas; got {value!r}")
    return names


def labels_of(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> list[str] | None:
    """Names of classes, separated by commas; a name that holds one stands in double quotes; ``@FILE`` reads them from a file."""
    from otoscope.classifiers.labels import label_names, read_labels

    if value is None:
        return None
    if value.startswith("@"):
        return label_names(read_labels(value[1:]))
    (names,) = csv.reader([value], skipinitialspace=True)
    return label_names([name.strip() for name in names])


def settings_of(_ctx: click.Context, _parameter: click.Parameter, values: Sequence[str]) -> dict[str, Any]:
    """``KEY=VALUE``, repeatable; numbers, true and false are read as such."""
    found: dict[str, Any] = {}
    for value in values:
        key, equals, text = value.partition("=")
        if not (key and equals):
            raise click.BadParameter(f"must be KEY=VALUE; got {value!r}")
        try:
            found[key] = {"true": True, "false": False}.get(text.casefold(), text)
            found[key] = float(text) if "." in text else int(text)
        except ValueError:
            continue
    return found


def words_of(_ctx: click.Context, _parameter: click.Parameter, values: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """``COLUMN=TEXT``, repeatable."""
    found: dict[str, tuple[str, ...]] = {}
    for value in values:
        column, equals, word = value.partition("=")
        if not (column and equals):
            raise click.BadParameter(f"must be COLUMN=TEXT; got {value!r}")
        found[column] = (*found.get(column, ()), word)
    return found


def model_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--model, --option, --weights, --labels, --device, --batch-size, --json."""
    for option in (
        json_option,
        click.option("--batch-size", default=16, show_default=True, help="Clips per forward pass."),
        device_option,
        click.option("--weights", type=click.Path(), help="Weights to load: safetensors or a torch state_dict."),
        click.option(
            "--labels",
            metavar="A,B,...|@FILE",
            callback=labels_of,
            help='Class names, such as dog,"speech, male" (commas in quotes), or @labels.json, .csv or .txt.',
        ),
        click.option(
            "--option",
            "options",
            multiple=True,
            callback=settings_of,
            metavar="KEY=VALUE",
            help="For a model file: sample_rate=HZ (needed), outputs=probabilities, window_s=SECONDS, ...",
        ),
        click.option(
            "--model",
            default="esc10-mn",
            show_default=True,
            help="A name from 'otoscope models', a model folder or file, hf:ID-or-folder or module:callable.",
        ),
    ):
        command = option(command)
    return command


def folds_of(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> tuple[int | str, ...]:
    """Names of folds, separated by commas; whole numbers are read as such."""
    names = [name.strip() for name in (value or "").split(",") if name.strip()]
    return tuple(int(name) if name.isdecimal() else name for name in names)


def clip_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--data, --root, --validation, --test."""
    for option in (
        click.option("--test", callback=folds_of, metavar="FOLD,...", help="Folds that are kept apart for one test."),
        click.option("--validation", callback=folds_of, metavar="FOLD,...", help="Folds to evaluate on at any time."),
        click.option("--root", required=True, type=click.Path(), help="Folder of the data set."),
        click.option(
            "--data", default="folder", show_default=True, metavar="NAME", help="Data set, see 'otoscope data'; all its "
            "folds but those for validation and test are training clips.",
        ),
    ):  # fmt: skip
        command = option(command)
    return command


def split_recipes(
    recipe: str, overrides: Sequence[str], folders: Sequence[str] | None = None
) -> tuple[list[Path], list[str]]:
    """Files of a recipe and of those merged into it, and ``key=value`` settings, from the command line."""
    from otoscope.recipes.find import LIBRARY, TRAINING, find_recipe

    files = []
    for name in (recipe, *(o for o in overrides if "=" not in o)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            file = find_recipe(name, TRAINING if folders is None else folders)
        if file.is_relative_to(LIBRARY) and name.endswith((".yaml", ".yml")):
            new = file.relative_to(LIBRARY).with_suffix("").as_posix()
            click.echo(f"otoscope: {one_line(name)} is in the package now; its name is {new}", err=True)
        files.append(file)
    return files, [o for o in overrides if "=" in o]
