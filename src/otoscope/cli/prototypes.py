"""`otoscope prototypes`: of networks that decide by them, and of any other classifier."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from otoscope.cli.columns import echo_json, echo_table, one_line
from otoscope.cli.options import clip_options, json_option, log

if TYPE_CHECKING:
    from otoscope.classifiers.base import Classifier
    from otoscope.prototypes import EncodedClips

MODEL = click.argument("model")
WEIGHTS = click.option("--weights", type=click.Path(), help="Weights to load instead of those of the model.")
OUT = click.option("--out", required=True, metavar="DIR", type=click.Path(), help="Output folder.")


@click.group()
def prototypes() -> None:
    """Prototypes of a network that decides by them (apnet), and of any other classifier.

    MODEL is a model folder or a name from 'otoscope models'. Edit the prototypes of an apnet by hand with 'otoscope studio'; find
    those of any other classifier with 'fit'.
    """


def _load(model: str, weights: str | None) -> Classifier:
    from otoscope.explanation.request import resolve_model
    from otoscope.prototypes import prototype_network

    found = resolve_model(model, weights, "cpu").eval()
    prototype_network(found)
    return found


def _encode(model: Classifier, data: str, root: str, validation: Any, test: Any) -> dict[str, EncodedClips]:
    from otoscope.datasets import load_dataset
    from otoscope.prototypes import encode_clips

    parts = load_dataset(data, root).parts(validation, test)
    log(f"encoding {sum(map(len, parts.values()))} clips")
    return {name: encode_clips(model, part) for name, part in parts.items()}


@prototypes.command("list")
@MODEL
@WEIGHTS
@json_option
def list_them(model: str, weights: str | None, as_json: bool) -> None:
    """List the prototypes of MODEL and what they vote for."""
    from otoscope.prototypes import list_prototypes, owners, prototype_network

    found = _load(model, weights)
    votes = prototype_network(found).out.weight.detach()
    rows: list[dict[str, Any]] = [
        {"id": p.id, "name": p.name, "votes_for": found.labels[owner], "vote": float(votes[owner, i]), "clip": p.clip}
        for i, (p, owner) in enumerate(zip(list_prototypes(found), owners(found), strict=True))
    ]
    if as_json:
        echo_json(rows)
    else:
        head = ("id", "name", "votes for", "vote", "made of")
        echo_table(head, [[r["id"], r["name"], r["votes_for"], f"{r['vote']:.2f}", r["clip"]] for r in rows])


@prototypes.command()
@MODEL
@WEIGHTS
@clip_options
@OUT
@json_option
def sounds(
    model: str, weights: str | None, data: str, root: str, validation: Any, test: Any, out: str, as_json: bool
) -> None:
    """Write each prototype of MODEL as two sounds, decoded and real, and say what the network makes of them."""
    from otoscope.prototypes import write_prototype_sounds

    found = _load(model, weights)
    rows = write_prototype_sounds(found, _encode(found, data, root, validation, test)["training"], out)
    if as_json:
        echo_json(rows)
        return
    head = ("id", "name", "votes for", "decoded heard as", "real heard as", "nearest clip")
    echo_table(head, [[r["id"], r["name"], r["votes_for"], *_heard(r), r["clip"]] for r in rows])
    for form in ("decoded", "real"):
        right = sum(r["heard"][form]["label"] == r["votes_for"] for r in rows)
        click.echo(
            one_line(f"{form}: {right} of {len(rows)} sounds are given the class that their prototype votes for")
        )
    click.echo(one_line(f"sounds: {Path(out)}"))


def _heard(row: dict[str, Any]) -> list[str]:
    return [f"{row['heard'][form]['label']} ({100 * row['heard'][form]['p']:.1f} %)" for form in ("decoded", "real")]


@prototypes.command()
@MODEL
@WEIGHTS
@clip_options
@OUT
@click.option("--share", type=click.FloatRange(0, 1, max_open=True), help="Share of the prototypes to save.")
@click.option("--threshold", type=float, help="Largest mean squared difference of prototypes that are merged.")
@click.option("--channels", default=0, type=click.IntRange(0), help="Channels of the latent map to drop.")
@click.option("--compat", is_flag=True, help="Choose as the authors' program does, with its faults.")
@click.option("--epochs", default=5, show_default=True, type=click.IntRange(0, 1000), help="Of the tuning; 0 for none.")
@json_option
def refine(
    model: str, weights: str | None, data: str, root: str, validation: Any, test: Any, out: str, share: float | None,
    threshold: float | None, channels: int, compat: bool, epochs: int, as_json: bool,
) -> None:  # fmt: skip
    """Merge prototypes of MODEL that are alike, drop channels, tune, and write the model folder DIR.

    Without --share or --threshold, the threshold is the paper's. Accuracy is printed for every part of the clips.
    """
    from otoscope.datasets import load_dataset
    from otoscope.prototypes import TuneSettings, refine_in_steps

    found, parts = _load(model, weights), load_dataset(data, root).parts(validation, test)
    tuning = TuneSettings(epochs=epochs) if epochs else None
    steps = refine_in_steps(found, parts, threshold, share, channels, compat, tuning, log)
    steps[-1].classifier.save_pretrained(out)
    if as_json:
        echo_json([{"step": s.name, **s.sizes(), "accuracy": s.accuracy} for s in steps])
        return
    head = ("", "prototypes", "channels", "parameters", *(f"{part} accuracy" for part in parts))
    body = [
        [s.name, *(f"{n:,}" for n in s.sizes().values()), *(f"{100 * s.accuracy[part]:.1f} %" for part in parts)]
        for s in steps
    ]
    echo_table(head, body)
    click.echo(one_line(f"model folder: {out}"))


@prototypes.command()
@MODEL
@WEIGHTS
@clip_options
@OUT
@click.option("--layer", help="Layer of the network; by default the one that CAMs use.")
@click.option(
    "--class", "classes", multiple=True, metavar="NAME", help="Decide between these classes only; repeatable."
)
@click.option("--per-class", default=3, show_default=True, type=click.IntRange(1, 100), help="Most prototypes a class.")
@click.option(
    "--parts",
    default="time",
    show_default=True,
    type=click.Choice(["clip", "time", "frequency", "both"]),
    help="Which part of a clip becomes a prototype.",
)
@click.option(
    "--hear/--no-hear", default=True, help="Replace stretches that the classifier does not recognise by themselves."
)
@click.option("--seed", default=0, show_default=True, help="Random seed.")
@json_option
def fit(
    model: str, weights: str | None, data: str, root: str, validation: Any, test: Any, out: str, layer: str | None,
    classes: tuple[str, ...], per_class: int, parts: str, hear: bool, seed: int, as_json: bool,
) -> None:  # fmt: skip
    """Find prototypes of any frozen classifier MODEL: stretches of clips that vote as it decides.

    DIR gets prototypes.json and a WAV file for each prototype; explain with --method prototypes,folder=DIR. The numbers are
    measured on the test clips if there are some, else on the validation or training clips.
    """
    from otoscope.datasets import load_dataset
    from otoscope.explanation.request import resolve_model
    from otoscope.prototypes import (
        FitSettings,
        agreement,
        coverage,
        fit_prototypes,
        heard_deletion,
        heard_purity,
        record_clips,
    )

    found = resolve_model(model, weights, "cpu").eval()
    clips = load_dataset(data, root).parts(validation, test)
    settings = FitSettings(per_class, parts, hear=hear, seed=seed)  # type: ignore[arg-type]
    log(f"fitting prototypes to {len(clips['training'])} clips")
    fitted = fit_prototypes(found, clips["training"], layer, settings, classes)
    fitted.save(out)
    part = next(name for name in ("test", "validation", "training") if name in clips)
    log(f"measuring on {len(clips[part])} clips of the {part} part")
    held = record_clips(found, clips[part], layer)
    measures = {
        "agreement": agreement(fitted, held),
        "coverage": coverage(fitted, held),
        "heard purity": heard_purity(fitted, found),
        "heard deletion": heard_deletion(fitted, found, held),
        "heard deletion, random place": heard_deletion(fitted, found, held, "random"),
    }
    if as_json:
        values = {name: {"value": m.value, "of": len(m.known), "items": m.items} for name, m in measures.items()}
        echo_json({"folder": out, "prototypes": len(fitted), "measured_on": part, "measures": values})
        return
    echo_table(("", "mean", "of"), [[n, f"{m.value:.3f}", f"{len(m.known)} {m.items}"] for n, m in measures.items()])
    click.echo(one_line(f"{len(fitted)} prototypes, measured on the {part} clips; folder: {out}"))


@prototypes.command()
@MODEL
@click.argument("session", type=click.Path())
@WEIGHTS
@clip_options
@OUT
def replay(
    model: str, session: str, weights: str | None, data: str, root: str, validation: Any, test: Any, out: str
) -> None:
    """Make the edits of SESSION, a folder that the studio wrote, on MODEL again, and write the model folder DIR.

    The same edits on the same clips give the same weights; anything else is an error.
    """
    from otoscope.prototypes import replay as replay_session

    found = _load(model, weights)
    clips = _encode(found, data, root, validation, test)["training"]
    made = replay_session(found, clips, session, log)
    made.save_pretrained(out)
    click.echo(one_line(f"the weights are those of the session; model folder: {out}"))
