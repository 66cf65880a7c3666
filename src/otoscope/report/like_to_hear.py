"""A like-to-hear study as tables, plots and a listening page; nothing is computed here."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from otoscope.core import registry
from otoscope.core.errors import MissingExtraError
from otoscope.core.files import atomic_write, make_folder, write_text
from otoscope.core.runtime import require
from otoscope.report.text_tables import markdown_table

CONTROLS = {"original": "original", "resampled": "resampled there and back", "control": "autoencoder, MSE alone"}
LINES = {"control": "-", "random": "--"}
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
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


# --- plots ----------------------------------------------------------------------------------------------------------


def write_plots(results: Mapping[str, Any], folder: Path) -> list[str]:
    """Write all plots as PNG files; their paths.

    Raises
    ------
    MissingExtraError
        Without matplotlib.
    """
    require("matplotlib", "plot", "the plots of a study")
    make_folder(folder)
    made = {
        "levels": _levels(results),
        "classes": _classes(results),
        "frequencies": _frequencies(results),
        "cross": _cross(results),
    }
    paths = []
    for name, figure in made.items():
        path = folder / f"{name}.png"
        with atomic_write(path) as part, part.open("wb") as file:
            figure.savefig(file, format="png", dpi=100)
        paths.append(str(path))
    return paths


def _figure(width: float, height: float, rows: int = 1, columns: int = 1, **more: Any) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **more)


def main_classifiers(results: Mapping[str, Any]) -> list[str]:
    """Names of the classifiers that are no ablations."""
    return [name for name, entry in results["classifiers"].items() if entry["group"] == "main"]


def band_centres(results: Mapping[str, Any]) -> np.ndarray:
    """Middles of the third octaves, Hz."""
    edges = np.array(results["bands"]["edges_hz"])
    return np.asarray(np.sqrt(edges[:-1] * edges[1:]))


def _levels(results: Mapping[str, Any]) -> Any:
    """Levels by third octave relative to the original and to the control."""
    figure, axes = _figure(9, 7, 2, 1, sharex=True)
    main, hz = main_classifiers(results), band_centres(results)
    for ax, against in zip(axes[:, 0], ("original", "control"), strict=True):
        for key, entry in results["bands"]["sounds"].items():
            about = results["autoencoders"][key]
            if key == "control":
                if against == "original":
                    ax.semilogx(hz, entry[against]["all"], color="black", label="MSE alone")
                continue
            if about["classifier"] not in main:
                continue
            name = results["classifiers"][about["classifier"]]["title"]
            start = {"control": "pre-trained", "random": "random"}.get(about["start"], about["start"])
            colour = COLOURS[main.index(about["classifier"]) % len(COLOURS)]
            style = LINES.get(about["start"], ":")
            ax.semilogx(hz, entry[against]["all"], style, color=colour, label=f"{name}, {start}")
        ax.axhline(0, color="grey", linewidth=0.8)
        ax.set_ylabel(f"dB relative to the {against}")
        ax.grid(alpha=0.3)
    axes[0, 0].legend(fontsize=8, ncols=2)
    axes[1, 0].set_xlabel("Hz (third octaves)")
    return figure


def _classes(results: Mapping[str, Any]) -> Any:
    """Levels by class and third octave of what was tuned from the control, relative to the control."""
    keys = [
        k
        for k, t in results["autoencoders"].items()
        if t["classifier"] in main_classifiers(results) and t["start"] != "random"
    ]
    keys = keys or [k for k, t in results["autoencoders"].items() if t["classifier"]]
    figure, axes = _figure(4 * len(keys) + 1, 4, 1, len(keys), sharey=True)
    hz = band_centres(results)
    for ax, key in zip(axes[0], keys, strict=True):
        found = results["bands"]["sounds"][key]["control"]["by_class"]
        picture = ax.imshow(np.array(list(found.values())), aspect="auto", cmap="RdBu_r", vmin=-20, vmax=20)
        ax.set_yticks(range(len(found)), list(found))
        ticks = range(1, len(hz), 6)
        ax.set_xticks(ticks, [f"{hz[t]:.0f}" for t in ticks])
        ax.set_xlabel("Hz")
        ax.set_title(results["classifiers"][results["autoencoders"][key]["classifier"]]["title"], fontsize=10)
    figure.colorbar(picture, ax=list(axes[0]), label="dB relative to the MSE-only control")
    return figure


def _frequencies(results: Mapping[str, Any]) -> Any:
    """Accuracy under moving cut-offs, on originals and on what was tuned to each classifier."""
    found = results["frequencies"]
    figure, axes = _figure(10, 4, 1, 2, sharey=True)
    for ax, kind, side in zip(axes[0], ("below", "above"), ("high_hz", "low_hz"), strict=True):
        chosen = [(k, c[side]) for k, c in enumerate(found["conditions"]) if c["kind"] == kind]
        for i, (name, entry) in enumerate(found["classifiers"].items()):
            for sound, style in (("original", "-"), ("reconstruction", "--")):
                if sound in entry and chosen:
                    values = [100 * entry[sound][k]["accuracy"] for k, _ in chosen]
                    label = f"{results['classifiers'][name]['title']}, {sound}"
                    ax.semilogx(
                        [hz for _, hz in chosen],
                        values,
                        style,
                        color=COLOURS[i % len(COLOURS)],
                        marker=".",
                        label=label,
                    )
        ax.set_xlabel(f"{'low' if kind == 'below' else 'high'}-pass cut-off in Hz")
        ax.grid(alpha=0.3)
        ax.set_ylim(0, 101)
    axes[0, 0].set_ylabel("accuracy in %")
    axes[0, 0].legend(fontsize=8)
    return figure


def _cross(results: Mapping[str, Any]) -> Any:
    """Accuracies of all classifiers on all sounds."""
    names, sounds = list(results["classifiers"]), [s for s in results["cross"] if s != "resampled"]
    values = np.array([[100 * results["cross"][s][n]["accuracy"] for n in names] for s in sounds])
    figure, axes = _figure(0.7 * len(names) + 4, 0.4 * len(sounds) + 3)
    ax = axes[0, 0]
    picture = ax.imshow(values, cmap="viridis", vmin=0, vmax=100, aspect="auto")
    for i, j in np.ndindex(*values.shape):
        ax.text(
            j,
            i,
            f"{values[i, j]:.0f}",
            ha="center",
            va="center",
            fontsize=8,
            color="white" if values[i, j] < 60 else "black",
        )
    ax.set_xticks(
        range(len(names)), [results["classifiers"][n]["title"] for n in names], rotation=60, ha="right", fontsize=8
    )
    ax.set_yticks(range(len(sounds)), sounds, fontsize=8)
    ax.set_xlabel("classifier")
    ax.set_ylabel("sound")
    figure.colorbar(picture, ax=ax, label="accuracy in %")
    return figure
