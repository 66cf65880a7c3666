"""The plots of a like-to-hear study, by matplotlib."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from otoscope.core.files import atomic_write, make_folder
from otoscope.core.runtime import require

LINES = {"control": "-", "random": "--"}
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")


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
