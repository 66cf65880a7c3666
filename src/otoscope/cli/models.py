"""`otoscope models`: list the classifiers and architectures, or describe one."""

from __future__ import annotations

from typing import Any

import click

from otoscope.cli.columns import described, echo_json, echo_table, one_line
from otoscope.cli.options import json_option

LAYERS = 24


@click.command()
@click.argument("name", required=False)
@json_option
@click.option("--all", "everything", is_flag=True, help="Print all layers and labels of a model.")
def models(name: str | None, as_json: bool, everything: bool) -> None:
    """List the classifiers and architectures, or describe one.

    NAME is anything that --model accepts: a listed name, an architecture with settings such as mn,width=0.4, a model folder,
    hf:ID-or-folder or module:callable.
    """
    from otoscope.classifiers.describe import describe, weights_of
    from otoscope.core import registry

    if name is not None:
        found = describe(name)
        echo_json(found) if as_json else _show(found, everything)
        return
    entries = [*registry.entries("classifier"), *registry.entries("architecture")]
    if as_json:
        echo_json([{**e.row(), "kind": e.kind, "weights": weights_of(e)} for e in entries])
        return
    head = ("name", "Hz", "classes", "weights", "description [settings and defaults]")
    numbers = [[str(e.facts.get(fact, "-")) for fact in ("sample_rate", "classes")] for e in entries]
    echo_table(head, [(e.name, *n, weights_of(e), described(e)) for e, n in zip(entries, numbers, strict=True)])


def _show(found: dict[str, Any], everything: bool) -> None:
    weights, labels = found["weights"], found["labels"]
    settings = ", ".join(f"{k}={v}" for k, v in (found["settings"] or {}).items())
    shown = labels if everything else labels[:LAYERS]
    rows = [
        ("name", found["name"]),
        ("what", found["summary"]),
        ("architecture", f"{found['architecture'] or '-'} [{settings}]"),
        ("parameters", f"{found['parameters']:,}"),
        ("input", f"{found['sample_rate']} Hz, at least {found['minimum_s']:.3g} s"),
        ("front end", found["frontend"]),
        ("classes", "independent (sigmoid)" if found["multilabel"] else "exclusive (softmax)"),
        ("labels", f"{len(labels)}: " + ", ".join(shown) + (", ..." if len(shown) < len(labels) else "")),
        ("CAM layer", found["cam_layer"] or "-"),
        ("weights", " ".join(str(v) for v in (weights["where"], weights["url"], weights["file"]) if v)),
        ("SHA-256", weights["sha256"] or ("-" if weights["url"] is None else "unknown")),
        ("licence", found["licence"] or "not recorded"),
        ("source", found["source"] or "-"),
        *((key, str(value)) for key, value in found["info"].items()),
    ]
    for key, value in rows:
        click.echo(f"{key:<14}{one_line(value)}")
    layers = {k: v for k, v in found["layers"].items() if everything or v}
    names = list(layers) if everything else [k for k in layers if k.count(".") < 2][:LAYERS]
    click.echo(
        f"\n{len(names)} of {len(found['layers'])} layers (--all lists all), with the axes of their output after the batch axis:"
    )
    echo_table(("layer", "axes"), [(k, layers[k] or "-") for k in names])
