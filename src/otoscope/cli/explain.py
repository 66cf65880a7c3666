"""`otoscope explain`."""

from __future__ import annotations

import sys
from typing import Any

import click

from otoscope.cli.columns import echo_json, echo_table, one_line
from otoscope.cli.options import model_options


@click.command()
@click.argument("audio", nargs=-1, required=True, metavar="AUDIO...")
@model_options
@click.option(
    "--method",
    "methods",
    multiple=True,
    help="NAME or NAME,setting=value; see 'otoscope methods'. Repeat it to compare methods.",
)
@click.option("--autoencoder", metavar="NAME|PATH", help="A tuned autoencoder; implies --method like-to-hear.")
@click.option("--domain", help="NAME or NAME,setting=value, e.g. mel,bands=64; see 'otoscope domains'.")
@click.option("--mask", help="E.g. positive or topk:0.3,smooth_time=0.05; see 'otoscope masks'.")
@click.option(
    "--target",
    "targets",
    multiple=True,
    metavar="LABEL|INDEX",
    help="Class to explain; the most probable one by default. Repeat it for several classes.",
)
@click.option(
    "--out", default="explanations", show_default=True, metavar="DIR", help="Output folder; each file gets a subfolder."
)
@click.option("--overwrite", is_flag=True, help="Replace explanations that were made with other settings.")
@click.option("--seed", default=0, show_default=True, help="Random seed.")
def explain(
    audio: tuple[str, ...],
    model: str,
    weights: str | None,
    labels: list[str] | None,
    options: dict[str, Any],
    device: str,
    batch_size: int,
    as_json: bool,
    methods: tuple[str, ...],
    autoencoder: str | None,
    domain: str | None,
    mask: str | None,
    targets: tuple[str, ...],
    out: str,
    overwrite: bool,
    seed: int,
) -> None:
    """Write the sound that a classifier used, the sound that it ignored, and a report.

    For each AUDIO file (WAV, FLAC, OGG, MP3, M4A, ...), DIR/<stem>/ gets original.wav, kept.wav, removed.wav,
    attribution.npz, explanation.json and report.html. With several methods or targets, each gets a folder of its own in there,
    and comparison.html shows all of them.
    """
    from otoscope.explanation.many import explain_files
    from otoscope.explanation.request import defaults_for, make_request, resolve_model, with_autoencoder

    asked = [(with_autoencoder(m, autoencoder), t) for t in targets or (None,) for m in methods or (None,)]
    for m, t in asked:  # faults are found before a model is loaded
        make_request(m, domain, mask, t, seed, batch_size)
    classifier = resolve_model(model, weights, device, labels, options)
    requests = [make_request(*defaults_for(classifier, m, domain, mask), t, seed, batch_size) for m, t in asked]
    outcomes = list(explain_files(audio, classifier, requests, out, progress=True, overwrite=overwrite))
    rows = [o.row for o in outcomes if o.row is not None]
    failed = [o for o in outcomes if o.error is not None]
    several = ("method",) if len(methods) > 1 else ()
    if as_json:
        echo_json(rows)
    elif rows:
        echo_table(
            ("file", *several, "target", "original", "kept", "removed", "trust", "report"),
            [
                (
                    r["file"],
                    *(r[name] for name in several),
                    r["target"]["label"],
                    *(f"{p:.3f}" for p in (r["score"]["original"], r["heard"]["kept"], r["heard"]["removed"])),
                    r["verdict"]["trust"],
                    r["files"]["report"],
                )
                for r in rows
            ],
        )
    for o in failed:
        click.echo(f"otoscope: {one_line(o.file)}: {one_line(o.error)}", err=True)
    if failed and rows:
        click.echo(f"otoscope: {len(failed)} of {len(outcomes)} files failed", err=True)
    sys.exit(0 if not failed else 1 if rows else 2)
