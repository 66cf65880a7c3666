"""A like-to-hear study as tables, plots and a listening page; nothing is computed here."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from otoscope.core import registry
from otoscope.core.errors import MissingExtraError
from otoscope.core.files import write_text
from otoscope.report.like_to_hear_plots import band_centres, main_classifiers, write_plots
from otoscope.report.text_tables import markdown_table

CONTROLS = {"original": "original", "resampled": "resampled there and back", "control": "autoencoder, MSE alone"}
KINDS = {"only": "band alone", "without": "band removed", "below": "low-passed", "above": "high-passed"}


@registry.register("view", "like-to-hear", summary="Tables, plots and listening page of a like-to-hear study.")
def write_like_to_hear(results: Mapping[str, Any], folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Write ``tables.md``, ``plots/`` and ``listening/index.html`` into a study's folder.

    Parameters
    ----------
    results : mapping
        What the study gives.
    folder : path
        The output folder of the study.

    Returns
    -------
    dict
        ``summary`` (a few lines to print), ``tables``, ``listening`` and ``plots`` (paths).

    Raises
    ------
    WriteError
    """
    out = Path(folder)
    tables = write_text(out / "tables.md", "\n\n".join(sections(results)) + "\n")
    page = registry.get("view", "listening").target(out / "listening", results["listening"])
    try:
        plots, said = write_plots(results, out / "plots"), ""
    except MissingExtraError as error:
        plots, said = [], f"\nno plots: {error}"
    return {"summary": _summary(results) + said, "tables": str(tables), "listening": str(page), "plots": plots}


def sections(results: Mapping[str, Any]) -> list[str]:
    """The tables, each under a heading."""
    return [
        "## Cross matrix",
        f"Accuracy in % on {results['clips']} clips ({results['data']}), with 95 % intervals (Wilson). Rows are sounds, columns "
        "classifiers; bold is each classifier on what was tuned to it.",
        cross_table(results),
        *(
            [cross_table(results, ablations=True)]
            if len(main_classifiers(results)) < len(results["classifiers"])
            else []
        ),
        "## What changes",
        "Mean over clips, with 95 % intervals (bootstrap over clips), of the clips that have any sound to compare; levels by "
        "third octave are of the mean power of all clips together.",
        change_table(results),
        level_table(results, "original"),
        level_table(results, "control"),
        "## How alike",
        likeness_table(results),
        "## Which frequencies matter",
        f"Accuracy in % on {results['clips']} clips; in brackets on what was tuned to the classifier. At 80 clips an interval "
        "reaches about ten points to each side; each one's is in `results.json`.",
        *frequency_tables(results),
        "## Ablations",
        ablation_table(results),
    ]


def title_of(results: Mapping[str, Any], sound: str) -> str:
    """A sound in words."""
    if sound in CONTROLS:
        return CONTROLS[sound]
    entry = results["autoencoders"][sound]
    return f"tuned to {results['classifiers'][entry['classifier']]['title']}, from {_start(entry['start'])}"


def _start(start: str) -> str:
    return {"control": "the MSE one", "random": "random weights"}.get(start, start)


def cross_table(results: Mapping[str, Any], ablations: bool = False) -> str:
    """All sounds against the main classifiers; or every ablation against the sounds that nothing and all were tuned to."""
    main = main_classifiers(results)
    names = [name for name in results["classifiers"] if (name in main) != ablations]
    rows = []
    for sound in results["cross"]:
        tuned = results["autoencoders"].get(sound, {}).get("classifier", "")
        cells = [_share(results["cross"][sound][name], bold=name == tuned) for name in names]
        rows.append([title_of(results, sound), *cells])
    return markdown_table(["Sound", *(results["classifiers"][n]["title"] for n in names)], rows)


def _share(found: Mapping[str, Any], bold: bool = False) -> str:
    low, high = (100 * bound for bound in found["interval"])
    value = f"{100 * found['accuracy']:.1f}"
    return f"{f'**{value}**' if bold else value} ({low:.0f}–{high:.0f})"


def change_table(results: Mapping[str, Any]) -> str:
    """How close each reconstruction is to the original."""
    rows = []
    for key, entry in results["autoencoders"].items():
        ratio = entry["si_sdr_db"]
        said = "undefined" if ratio["mean"] is None else _of_clips(ratio, results["clips"])
        minutes = "" if entry["train_s"] is None else f"{entry['train_s'] / 60:.1f}"
        rows.append([title_of(results, key), said, f"{entry['mse']:.2g}", str(entry["epoch"] or ""), minutes])
    return markdown_table(["Autoencoder", "SI-SDR in dB", "MSE", "Epoch kept", "Minutes"], rows)


def _of_clips(found: Mapping[str, Any], clips: int) -> str:
    """A mean with its interval, and of how many clips it is, where not of all."""
    some = f", {found['n']} of {clips} clips" if found["n"] < clips else ""
    return f"{found['mean']:.1f} ({found['low']:.1f} to {found['high']:.1f}{some})"


def level_table(results: Mapping[str, Any], against: str) -> str:
    """Levels of every third band, in dB relative to the original or the control."""
    centres = band_centres(results)
    chosen = list(range(len(centres)))[1::3]
    rows = []
    for key, entry in results["bands"]["sounds"].items():
        if key == against or results["autoencoders"][key]["classifier"] not in ("", *main_classifiers(results)):
            continue
        rows.append([title_of(results, key), *(f"{entry[against]['all'][b]:+.1f}" for b in chosen)])
    reference = "the original" if against == "original" else "the MSE-only control"
    return markdown_table([f"dB relative to {reference}, at Hz", *(f"{centres[b]:.0f}" for b in chosen)], rows)


def likeness_table(results: Mapping[str, Any]) -> str:
    """Normalised mutual information of all pairs of sounds of the main classifiers."""
    found, main = results["likeness"], main_classifiers(results)
    chosen = [
        i
        for i, sound in enumerate(found["sounds"])
        if sound != "resampled" and results["autoencoders"].get(sound, {}).get("classifier", "") in ("", *main)
    ]
    rows = [
        [title_of(results, found["sounds"][i]), *(f"{found['matrix'][i][j]:.2f}" if j != i else "" for j in chosen)]
        for i in chosen
    ]
    numbers = [str(n + 1) for n in range(len(chosen))]
    for number, row in zip(numbers, rows, strict=True):
        row[0] = f"{number}. {row[0]}"
    said = [
        f"{name}: {found[key]:.3f} ({n} pair{'s' if n > 1 else ''})"
        for name, key, n in zip(
            ("within networks", "between networks", "between networks, same starting point"),
            ("within", "between", "between_same_start"),
            found["pairs"],
            strict=True,
        )
        if found[key] is not None
    ]
    return (
        "Normalised mutual information of log spectrograms, mean over clips: "
        + "; ".join(said)
        + ".\n\n"
        + markdown_table(["", *numbers], rows)
    )


def frequency_tables(results: Mapping[str, Any]) -> list[str]:
    """One table for each kind of filter."""
    found = results["frequencies"]
    names = list(found["classifiers"])
    out = []
    for kind, said in KINDS.items():
        rows = []
        for k, condition in enumerate(found["conditions"]):
            if condition["kind"] == kind:
                rows.append([_range(condition), *(_both(found["classifiers"][name], k) for name in names)])
        if rows:
            everything = ["everything", *(_both(found["classifiers"][name], 0) for name in names)]
            out.append(
                markdown_table([said, *(results["classifiers"][n]["title"] for n in names)], [everything, *rows])
            )
    return out


def _range(condition: Mapping[str, Any]) -> str:
    low, high = condition["low_hz"], condition["high_hz"]
    if condition["kind"] == "below":
        return f"below {high:g} Hz"
    return f"above {low:g} Hz" if condition["kind"] == "above" else f"{low:g}–{high:g} Hz"


def _both(found: Mapping[str, Any], k: int) -> str:
    said = f"{100 * found['original'][k]['accuracy']:.1f}"
    return said + (f" ({100 * found['reconstruction'][k]['accuracy']:.1f})" if "reconstruction" in found else "")


def ablation_table(results: Mapping[str, Any]) -> str:
    """Every classifier on the original, on the control and on what was tuned to it."""
    rows = []
    for name, entry in results["classifiers"].items():
        own = [k for k, t in results["autoencoders"].items() if t["classifier"] == name]
        cells = [_share(results["cross"][sound][name]) for sound in ("original", "control")]
        tuned = [_share(results["cross"][k][name]) for k in own[:1]]
        ratio = [_ratio(results["autoencoders"][k]["si_sdr_db"]["mean"]) for k in own[:1]]
        rows.append(
            [
                entry["title"],
                f"{entry['parameters']:,}",
                *cells,
                *(tuned or [""]),
                *(ratio or [""]),
            ]
        )
    return markdown_table(
        ["Network", "Parameters", "Original", "MSE alone", "Tuned to it", "SI-SDR of that in dB"], rows
    )


def _ratio(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.1f}"


def _summary(results: Mapping[str, Any]) -> str:
    """A few lines to print: the main classifiers on original, control and their own."""
    lines = []
    for name in main_classifiers(results):
        own = [k for k, t in results["autoencoders"].items() if t["classifier"] == name]
        parts = [
            ("original", "original"),
            ("control", "MSE alone"),
            *((k, _start(results["autoencoders"][k]["start"])) for k in own),
        ]
        said = ", ".join(f"{title} {100 * results['cross'][k][name]['accuracy']:.1f} %" for k, title in parts)
        lines.append(f"{results['classifiers'][name]['title']}: {said}")
    return "\n".join(lines)
