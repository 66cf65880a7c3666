"""`otoscope atlas`."""

from __future__ import annotations

from typing import Any

import click

from otoscope.cli.columns import echo_json, echo_table, one_line
from otoscope.cli.options import json_option, log


@click.command()
@click.argument("model")
@click.option("--data", default="folder", show_default=True, metavar="NAME", help="Data set, see 'otoscope data'.")
@click.option("--root", required=True, type=click.Path(), help="Folder of the data set.")
@click.option(
    "--layer", "layers", multiple=True, help="Layer of the network; repeatable. By default those that it declares."
)
@click.option("--weights", type=click.Path(), help="Weights to load: safetensors or a torch state_dict.")
@click.option(
    "--clips", default=400, show_default=True, type=click.IntRange(1), help="Most clips, spread over the data set."
)
@click.option("--out", default="atlas", show_default=True, metavar="DIR", help="Output folder.")
@click.option(
    "--notes", type=click.Path(), metavar="DIR", help="Recorded notes for the stimuli: the data set 'instruments'."
)
@click.option(
    "--twin", metavar="MODEL", help="Another training of the network, to show each feature's closest one there."
)
@click.option("--seed", default=0, show_default=True, help="Random seed.")
@json_option
def atlas(
    model: str, data: str, root: str, layers: tuple[str, ...], weights: str | None, clips: int, out: str, notes: str | None,
    twin: str | None, seed: int, as_json: bool,
) -> None:  # fmt: skip
    """Name every feature of MODEL's layers by measurement, and hear each in the clips that draw it.

    DIR gets atlas.html, atlas.json and sounds/. After a crash, the same command computes only what is missing.
    """
    from otoscope.auralisation import make_atlas
    from otoscope.datasets import Notes, load_dataset
    from otoscope.datasets.records import spread
    from otoscope.explanation.request import resolve_model

    found = resolve_model(model, weights, "cpu")
    chosen = spread(load_dataset(data, root).examples, clips)
    other = resolve_model(twin, None, "cpu") if twin else None
    played = Notes(notes) if notes else None
    made = make_atlas(found, chosen, out, layers, seed, log, notes=played, twin=other)
    rows = [_row(layer) for layer in made["layers"]]
    if as_json:
        echo_json({"folder": out, "layers": rows})
        return
    echo_table(list(rows[0]), [[str(value) for value in row.values()] for row in rows])
    click.echo(one_line(f"open {out}/atlas.html in a browser"))


def _row(layer: dict[str, Any]) -> dict[str, Any]:
    """Numbers of one layer."""
    from otoscope.auralisation.naming import NO_RESPONSE, is_named

    features = layer["features"]
    named = [f for f in features if is_named(f["name"])]
    return {
        "layer": layer["name"], "features": len(features), "named": len(named),
        "stable": sum(f["stable"] for f in named), "dead": sum(f["name"] == NO_RESPONSE for f in features),
        "twins": sum(f["twin"] >= 0 for f in features),
        **({"same in the twin": sum(f["closest"]["same"] for f in named)} if "closest" in features[0] else {}),
    }  # fmt: skip
