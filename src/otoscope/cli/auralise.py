"""`otoscope auralise`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from tqdm import tqdm

from otoscope.cli.columns import echo_json, echo_table, one_line
from otoscope.cli.options import log, model_options


@click.command()
@click.argument("audio", metavar="AUDIO")
@model_options
@click.option("--layer", help="Layer of the network; by default the one that CAMs use.")
@click.option("--feature", "features", multiple=True, type=int, help="Number of a feature; repeatable.")
@click.option(
    "--top", default=5, show_default=True, type=click.IntRange(1), help="Without --feature: the strongest ones."
)
@click.option("--all", "every", is_flag=True, help="Every feature: kept sounds and features.csv, without reports.")
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
    as_json: bool, layer: str | None, features: tuple[int, ...], top: int, every: bool, way: str, mode: str, peak: bool,
    domain: str | None, mask: str | None, out: str, seed: int,
) -> None:  # fmt: skip
    """Hear what features of a layer respond to in AUDIO, and check each sound.

    DIR/<stem>/ gets a folder for each feature with original.wav, kept.wav, removed.wav and report.html, comparison.html, and
    auralisation.json. Strength is the response over that to standard sounds (noise, clicks, a sweep); kept and removed are
    shares of the response that each sound still draws; selectivity is that share over the mean share of the layer's other features.
    With --all, DIR/<stem>/LAYER/ gets NUMBER.wav for each feature and features.csv.
    """
    from otoscope.auralisation import save_auralisation
    from otoscope.auralisation.auralise import Way, auralise_source
    from otoscope.explanation.explain import open_sound
    from otoscope.explanation.request import make_request, resolve_model

    top_given = click.get_current_context().get_parameter_source("top") is ParameterSource.COMMANDLINE
    if every and (features or top_given or mode == "magnitude" or peak):
        raise click.UsageError(
            "--all goes with none of --feature, --top, --mode magnitude and --peak; leave one of them out"
        )
    make_request(way, domain, mask, None, seed, batch_size)  # faults are found before a model is loaded
    source = open_sound(audio)
    classifier = resolve_model(model, weights, device, labels, options)
    how = Way(way, domain, mask)
    folder = Path(out) / (Path(audio).stem.strip(".") or "sound")
    if every:
        _every(source, classifier, layer, how, folder, seed, batch_size, as_json)
        return
    found = auralise_source(source, classifier, layer, list(features) or None, top, how, seed, batch_size)
    record = save_auralisation(found, folder, mode == "magnitude", peak)
    for note in found.notes:
        log(note)
    if as_json:
        echo_json({"file": audio, "folder": str(folder), **{k: v for k, v in record.items() if k != "responses"}})
        return
    head = ("feature", "strength", "kept", "removed", "selectivity", "folder")
    echo_table(head, [_cells(row, str(folder)) for row in record["features"]])


def _every(
    source: Any, classifier: Any, layer: str | None, how: Any, folder: Path, seed: int, batch_size: int, as_json: bool
) -> None:
    """Sounds of all features of a layer."""
    import numpy as np

    from otoscope.auralisation.auralise import layer_of, notes_on
    from otoscope.auralisation.layer_sounds import save_layer_sounds
    from otoscope.auralisation.save import layer_folder
    from otoscope.classifiers.layer_features import layer_features

    name = layer_of(classifier, layer)
    features, folder = layer_features(classifier, name), folder / layer_folder(name)
    with tqdm(total=len(features.labels), desc="hearing", unit="feature", delay=2, leave=False) as bar:
        rows = save_layer_sounds(features, source, folder, how, seed, batch_size, lambda _one: bar.update())
    notes = notes_on(features, source, np.array([row.get("strength", 0.0) for row in rows]))
    for note in notes:
        log(note)
    if as_json:
        echo_json({"file": source.source, "folder": str(folder), "layer": name, "notes": notes, "features": rows})
        return
    heard = [row for row in rows if "file" in row]
    click.echo(one_line(f"{len(heard)} of {len(rows)} features respond; sounds and features.csv are in {folder}"))


def _cells(row: dict[str, Any], folder: str) -> list[str]:
    """One line of the table; a feature that does not respond says so."""
    if row["silent"]:
        return [str(row["feature"]), "0", "", "", "", "does not respond"]
    m = row["measures"]
    selectivity = "" if m["selectivity"] is None else f"{m['selectivity']:.2f}"
    numbers = [f"{m[key]:.2f}" for key in ("strength", "kept", "removed")]
    return [str(row["feature"]), *numbers, selectivity, f"{folder}/{row['folder']}"]
