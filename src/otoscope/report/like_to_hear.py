"""A like-to-hear study as tables, plots and a listening page; nothing is computed here."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
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
PAIRS = {
    "within": "within networks",
    "between": "between networks",
    "between_same_start": "between networks, same starting point",
}


@registry.register("view", "like-to-hear", summary="Tables, plots and listening page of a like-to-hear study.")
def write_like_to_hear(results: Mapping[str, Any], folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Write ``tables.md``, ``plots/`` and ``listening/index.html`` into a study's folder.

    Returns
    -------
    dict
        ``summary`` (a few lines to print), ``tables``, ``listening`` and ``plots`` (paths).
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
    ablations = len(main_classifiers(results)) < len(results["classifiers"])
    return [
        "## Cross matrix",
        f"Accuracy in % on {results['clips']} clips ({results['data']}), with 95 % intervals (Wilson). Rows are sounds, columns "
        "classifiers; bold is each classifier on what was tuned to it.",
        cross_table(results),
        *([cross_table(results, ablations=True)] if ablations else []),
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
    return markdown_table(["Sound", *_titles(results, names)], rows)


def _titles(results: Mapping[str, Any], names: Iterable[str]) -> list[str]:
    return [results["classifiers"][name]["title"] for name in names]


def _tuned_to(results: Mapping[str, Any], name: str) -> list[str]:
    """The autoencoders that were tuned to a classifier."""
    return [key for key, entry in results["autoencoders"].items() if entry["classifier"] == name]


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
    chosen = range(1, len(centres), 3)
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
        [
            f"{number}. {title_of(results, found['sounds'][i])}",
            *(f"{found['matrix'][i][j]:.2f}" if j != i else "" for j in chosen),
        ]
        for number, i in enumerate(chosen, start=1)
    ]
    said = "; ".join(
        f"{name}: {found[key]:.3f} ({n} pair{'s' if n > 1 else ''})"
        for (key, name), n in zip(PAIRS.items(), found["pairs"], strict=True)
        if found[key] is not None
    )
    lead = f"Normalised mutual information of log spectrograms, mean over clips: {said}."
    return f"{lead}\n\n{markdown_table(['', *range(1, len(rows) + 1)], rows)}"


def frequency_tables(results: Mapping[str, Any]) -> list[str]:
    """One table for each kind of filter."""
    found = results["frequencies"]
    heard = found["classifiers"].values()
    everything = ["everything", *(_both(entry, 0) for entry in heard)]
    out = []
    for kind, said in KINDS.items():
        rows = [
            [_range(condition), *(_both(entry, k) for entry in heard)]
            for k, condition in enumerate(found["conditions"])
            if condition["kind"] == kind
        ]
        if rows:
            out.append(markdown_table([said, *_titles(results, found["classifiers"])], [everything, *rows]))
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
        own = _tuned_to(results, name)[:1]
        cells = [_share(results["cross"][sound][name]) for sound in ("original", "control", *own)]
        ratios = [results["autoencoders"][key]["si_sdr_db"]["mean"] for key in own]
        cells += ["undefined" if ratio is None else f"{ratio:.1f}" for ratio in ratios] or ["", ""]
        rows.append([entry["title"], f"{entry['parameters']:,}", *cells])
    head = ["Network", "Parameters", "Original", "MSE alone", "Tuned to it", "SI-SDR of that in dB"]
    return markdown_table(head, rows)


def _summary(results: Mapping[str, Any]) -> str:
    """A few lines to print: the main classifiers on original, control and their own."""
    lines = []
    for name in main_classifiers(results):
        own = {key: _start(results["autoencoders"][key]["start"]) for key in _tuned_to(results, name)}
        parts = {"original": "original", "control": "MSE alone", **own}
        said = ", ".join(f"{title} {100 * results['cross'][k][name]['accuracy']:.1f} %" for k, title in parts.items())
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
    paths = []
    for name, draw in {"levels": _levels, "classes": _classes, "frequencies": _frequencies, "cross": _cross}.items():
        path = folder / f"{name}.png"
        with atomic_write(path) as part, part.open("wb") as file:
            draw(results).savefig(file, format="png", dpi=100)
        paths.append(str(path))
    return paths


def _figure(width: float, height: float, rows: int = 1, columns: int = 1, **more: Any) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **more)


def main_classifiers(results: Mapping[str, Any]) -> list[str]:
    """Names of the classifiers that are not ablations."""
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
    tuned, main = {k: t for k, t in results["autoencoders"].items() if t["classifier"]}, main_classifiers(results)
    keys = [k for k, t in tuned.items() if t["classifier"] in main and t["start"] != "random"] or list(tuned)
    figure, axes = _figure(4 * len(keys) + 1, 4, 1, len(keys), sharey=True)
    hz = band_centres(results)
    titles = _titles(results, (tuned[key]["classifier"] for key in keys))
    for ax, key, title in zip(axes[0], keys, titles, strict=True):
        found = results["bands"]["sounds"][key]["control"]["by_class"]
        picture = ax.imshow(np.array(list(found.values())), aspect="auto", cmap="RdBu_r", vmin=-20, vmax=20)
        ax.set_yticks(range(len(found)), list(found))
        ticks = range(1, len(hz), 6)
        ax.set_xticks(ticks, [f"{hz[t]:.0f}" for t in ticks])
        ax.set_xlabel("Hz")
        ax.set_title(title, fontsize=10)
    figure.colorbar(picture, ax=list(axes[0]), label="dB relative to the MSE-only control")
    return figure


def _frequencies(results: Mapping[str, Any]) -> Any:
    """Accuracy under moving cut-offs, on originals and on what was tuned to each classifier."""
    found = results["frequencies"]
    figure, axes = _figure(10, 4, 1, 2, sharey=True)
    for ax, kind, side in zip(axes[0], ("below", "above"), ("high_hz", "low_hz"), strict=True):
        hz = {k: c[side] for k, c in enumerate(found["conditions"]) if c["kind"] == kind}
        for i, (name, entry) in enumerate(found["classifiers"].items()):
            for sound, style in (("original", "-"), ("reconstruction", "--")):
                if sound in entry and hz:
                    values = [100 * entry[sound][k]["accuracy"] for k in hz]
                    about = {
                        "color": COLOURS[i % len(COLOURS)],
                        "label": f"{results['classifiers'][name]['title']}, {sound}",
                    }
                    ax.semilogx(list(hz.values()), values, style, marker=".", **about)
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
        colour = "white" if values[i, j] < 60 else "black"
        ax.text(j, i, f"{values[i, j]:.0f}", ha="center", va="center", fontsize=8, color=colour)
    ax.set_xticks(range(len(names)), _titles(results, names), rotation=60, ha="right", fontsize=8)
    ax.set_yticks(range(len(sounds)), sounds, fontsize=8)
    ax.set_xlabel("classifier")
    ax.set_ylabel("sound")
    figure.colorbar(picture, ax=ax, label="accuracy in %")
    return figure
