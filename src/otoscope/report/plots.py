"""Pictures by matplotlib."""

from __future__ import annotations

from typing import Any

import numpy as np

from otoscope.core import registry
from otoscope.core.runtime import require
from otoscope.explanation.explanation import PARTS, Explanation
from otoscope.report.pages.explanation_contents import Page, build_page
from otoscope.report.picture import CEIL_DB, FLOOR_DB


@registry.register(
    "view", "plot", summary="Spectrograms of the three sounds, attribution and mask, as a matplotlib figure."
)
def plot(explanation: Explanation) -> Any:
    """A matplotlib figure of five panels.

    Returns
    -------
    matplotlib.figure.Figure
        Made without pyplot: nothing is shown, no global state is changed.

    Raises
    ------
    MissingExtraError
    """
    require("matplotlib", "plot", "Explanation.plot")
    from matplotlib.figure import Figure

    page = build_page(explanation)
    figure = Figure(figsize=(9, 11), layout="constrained")
    axes = figure.subplots(5, 1, sharex=True, sharey=not page.rows)
    extent = (0.0, page.duration, 0.0, page.top_hz / 1000)
    for ax, part, sound in zip(axes, PARTS, page.sounds, strict=False):
        db = FLOOR_DB + sound.spectrogram / 255 * (CEIL_DB - FLOOR_DB)
        picture = ax.imshow(db, origin="lower", aspect="auto", extent=extent, cmap="magma", vmin=FLOOR_DB, vmax=CEIL_DB)
        p = page.heard[part]
        ax.set_title(f"{part}: {page.target} {p:.3f} as heard", loc="left", fontsize=10)
    figure.colorbar(picture, ax=list(axes[:3]), label="dB")
    most = float(np.abs(page.attribution).max()) or 1.0
    for ax, values, title, style in (
        (
            axes[3],
            page.attribution,
            "change in dB" if page.captions.unit else "attribution",
            {"cmap": "RdBu_r", "vmin": -most, "vmax": most},
        ),
        (axes[4], page.mask, "mask", {"cmap": "gray", "vmin": 0.0, "vmax": 1.0}),
    ):
        mesh = ax.pcolormesh(*_cells(page, values), shading="nearest", **style)
        ax.set_title(title, loc="left", fontsize=10)
        figure.colorbar(mesh, ax=ax)
    for ax in axes[:3] if page.rows else axes:
        ax.set_ylabel("kHz")
        ax.set_ylim(0, page.top_hz / 1000)
    for ax in axes[3:] if page.rows else ():
        ax.set_yticks(range(len(page.rows)), page.rows, fontsize=8)
    axes[-1].set_xlabel("seconds")
    axes[-1].set_xlim(0, page.duration)
    return figure


def _cells(page: Page, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Seconds, kHz (or the numbers of named rows) and values; what is one alone is drawn over the whole height or width."""
    times, places = page.times, np.arange(len(page.rows)) if page.rows else page.frequencies / 1000
    if len(places) == 1:
        places, values = np.array([0.0, page.top_hz / 1000]), np.repeat(values, 2, axis=0)
    if len(times) == 1:
        times, values = np.array([0.0, page.duration]), np.repeat(values, 2, axis=1)
    return times, places, values
