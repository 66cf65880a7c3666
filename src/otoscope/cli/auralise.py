"""`otoscope auralise`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from otoscope.cli.columns import echo_json, echo_table
from otoscope.cli.options import log, model_options


@click.command()
@click.argument("audio", metavar="AUDIO")
@model_options
@click.option("--layer", help="Layer of the network; by default the one that CAMs use.")
@click.option("--feature", "features", multiple=True, type=int, help="Number of a feature; repeatable.")
@click.option(
    "--top", default=5, show_default=True, type=click.IntRange(1), help="Without --feature: the strongest ones."
)
@click.option(
    "--way", default="deconvolution", show_default=True, help="The method that is asked; see 'otoscope methods'."
)
@click.option(
    "--mode",
    default="mask",
    show_default=True,
    type=click.Choice(["mask", "magnitude"]),
    help="magnitude: also the magnitudes themselves, for networks on an STFT.",
)
@click.option("--peak", is_flag=True, help="Bring the sounds of the mode magnitude to full scale, one by one.")
@click.option("--domain", help="By default 'features', the network's own; see 'otoscope domains'.")
@click.option("--mask", help="By default the way's own; see 'otoscope masks'.")
@click.option("--out", default="auralised", show_default=True, metavar="DIR", help="Output folder.")
@click.option("--seed", default=0, show_default=True, help="Random seed.")
def auralise(
    audio: str, model: str, weights: str | None, labels: list[str] | None, options: dict[str, Any], device: str, batch_size: int,
    as_json: bool, layer: str | None, features: tuple[int, ...], top: int, way: str, mode: str, peak: bool, domain: str | None,
    mask: str | None, out: str, seed: int,
) -> None:  # fmt: skip
    """Hear what features of a layer respond to in AUDIO, and check each sound.

    DIR/<stem>/ gets a folder for each feature with original.wav, kept.wav, removed.wav and report.html, comparison.html, and
    auralisation.json. Strength is the response over that to standard sounds (noise, clicks, a sweep); kept and removed are
    shares of the response that each sound still draws; selectivity is that share over the mean share of the layer's other features.
    """
    from otoscope.auralisation import save_auralisation
    from otoscope.auralisation.auralise import auralise_source
    from otoscope.explanation.explain import open_sound
    from otoscope.explanation.request import make_request, resolve_model

    make_request(way, domain, mask, None, seed, batch_size)  # faults are found before a model is loaded
    source = open_sound(audio)
    classifier = resolve_model(model, weights, device, labels, options)
    how = (way, domain, mask)
    found = auralise_source(source, classifier, layer, list(features) or None, top, how, seed, batch_size)
    folder = Path(out) / (Path(audio).stem.strip(".") or "sound")
    record = save_auralisation(found, folder, mode == "magnitude", peak)
    for note in found.notes:
        log(note)
    if as_json:
        echo_json({"file": audio, "folder": str(folder), **{k: v for k, v in record.items() if k != "responses"}})
        return
    head = ("feature", "strength", "kept", "removed", "selectivity", "folder")
    echo_table(head, [_cells(row, str(folder)) for row in record["features"]])


def _cells(row: dict[str, Any], folder: str) -> list[str]:
    """One line of the table; a feature that does not respond says so."""
    if row["silent"]:
        return [str(row["feature"]), "0", "", "", "", "does not respond"]
    m = row["measures"]
    selectivity = "" if m["selectivity"] is None else f"{m['selectivity']:.2f}"
    numbers = [f"{m[key]:.2f}" for key in ("strength", "kept", "removed")]
    return [str(row["feature"]), *numbers, selectivity, f"{folder}/{row['folder']}"]
