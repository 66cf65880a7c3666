"""What is known to be true of one clip, all truth metrics of one explanation, and what chance would get."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from otoscope.core import registry
from otoscope.core.errors import ShapeError, UnknownNameError
from otoscope.core.records import Grid
from otoscope.metrics.oracle import active_frames, ideal_binary_mask, ideal_ratio_mask, near, over_time
from otoscope.metrics.truth import TOLERANCE


@dataclass(frozen=True, eq=False)
class Known:
    """What is known of one clip; what is not is None.

    Parameters
    ----------
    source_energy, rest_energy : ndarray (freq, frame), optional
        Energy of the true source and of all the rest in each cell of the grid.
    source, mixture : ndarray (..., time), optional
        The true source, and what was explained.
    events : sequence of (float, float), s, optional
        When the source sounds.
    """

    source_energy: np.ndarray | None = None
    rest_energy: np.ndarray | None = None
    source: np.ndarray | None = None
    mixture: np.ndarray | None = None
    events: Sequence[tuple[float, float]] | None = None

    def cells(self, grid: Grid) -> dict[str, np.ndarray]:
        """The truth of each cell and frame, by the names that truth metrics take."""
        out: dict[str, np.ndarray] = {}
        if self.source_energy is not None and self.rest_energy is not None:
            source, rest = np.asarray(self.source_energy, np.float64), np.asarray(self.rest_energy, np.float64)
            if source.shape != grid.shape:
                raise ShapeError(f"the source's energies have shape {source.shape}, but the grid has {grid.shape}")
            out = {
                "inside": ideal_binary_mask(source, rest),
                "share": ideal_ratio_mask(source, rest),
                "energy": source + rest,
            }
        if self.events is not None:
            out["active"] = active_frames(grid.times, grid.duration, self.events)
        return out


def measure_truth(
    known: Known,
    grid: Grid,
    values: np.ndarray | None = None,
    mask: np.ndarray | None = None,
    kept: np.ndarray | None = None,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, float]:
    """Every registered truth metric of one explanation.

    Parameters
    ----------
    known : Known
    grid : Grid
    values, mask : ndarray (freq, frame), optional
        The attribution and the mask.
    kept : ndarray (..., time), optional
        The kept sound.
    settings : mapping of str to mapping, optional
        Metric -> its settings where they differ from their defaults.

    Returns
    -------
    dict
        Name -> value; NaN where something it needs is not known, or it says nothing.

    Raises
    ------
    ShapeError, ParameterError, UnknownNameError
        If something does not fit the grid, or a setting is unknown.
    """
    found = [e for e in registry.entries("metric") if e.facts["of"] == "truth"]
    for name in settings or {}:
        if name not in [e.name for e in found]:
            raise UnknownNameError("truth metric", name, [e.name for e in found])
    have: dict[str, Any] = {"kept": kept, "source": known.source, "mixture": known.mixture, **known.cells(grid)}
    for name, given in (("values", values), ("mask", mask)):
        if given is not None:
            if np.shape(given) != grid.shape:
                raise ShapeError(f"{name}: the shape is {np.shape(given)}, but the grid's is {grid.shape}")
            have |= {name: given, f"{name}_over_time": over_time(given)}
    out = {}
    for entry in found:
        chosen = entry.settings((settings or {}).get(entry.name))
        needs = [n for n in inspect.signature(entry.target).parameters if n not in chosen]
        whole = all(have.get(n) is not None for n in needs)
        out[entry.name] = float(entry.target(**{n: have[n] for n in needs}, **chosen)) if whole else math.nan
    return out


def chance_levels(known: Known, grid: Grid) -> dict[str, float]:
    """What an explanation that knows nothing gets: attributions in random order, or a mask that keeps a share of everything.

    Parameters
    ----------
    known : Known
    grid : Grid

    Returns
    -------
    dict
        Name of the truth metric -> its level; metrics whose level cannot be known from the truth alone are left out, as
        `recall` and `f1`, which depend on the mask's size.
    """
    cells = known.cells(grid)
    out = {"si_sdr_improvement_db": 0.0} if known.source is not None else {}
    if "inside" in cells and cells["inside"].any():
        inside, energy = cells["inside"], cells["energy"]
        out |= {"precision": float((inside * energy).sum() / energy.sum()), "roc_auc": 0.5}
        out |= {name: float(inside.mean()) for name in ("relevance_mass", "average_precision")}
        out["relevance_mass_energy"] = float(cells["share"].mean())
        out["pointing_game"] = float(near(inside, TOLERANCE).mean())
    active = cells.get("active", np.zeros(0))
    if (active == 1).any():
        out |= {"time_roc_auc": 0.5, "time_iou": float(active[~np.isnan(active)].mean())}
    return out
