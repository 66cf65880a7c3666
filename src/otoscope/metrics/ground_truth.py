"""Ground truth of one clip, truth metrics of one explanation, and chance levels."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from otoscope.core.errors import ShapeError
from otoscope.core.records import Grid
from otoscope.metrics.measure import metrics_with_settings
from otoscope.metrics.oracle import active_frames, ideal_binary_mask, ideal_ratio_mask, near, over_time
from otoscope.metrics.truth import TOLERANCE, si_sdr_improvement_db


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """Ground truth of one clip; None if unknown.

    Parameters
    ----------
    source_energy, rest_energy : ndarray (freq, frame), optional
        Energy of the true source and of all the rest in each cell of the grid.
    source, mixture : ndarray (..., time), optional
        The true source, and what was explained.
    events : sequence of (float, float), s, optional
        When the source sounds.

    Notes
    -----
    The truth of the last grid is cached, so the arrays must not be changed afterwards.

    Examples
    --------
    >>> grid = otoscope.Grid(np.array([100.0, 300.0]), np.array([0.5]), "hz", "stft", 1.0, 400.0)
    >>> known = GroundTruth(np.array([[3.0], [0.0]]), np.array([[1.0], [1.0]]))
    >>> known.cells(grid)["inside"].tolist()
    [[1.0], [0.0]]
    """

    source_energy: np.ndarray | None = None
    rest_energy: np.ndarray | None = None
    source: np.ndarray | None = None
    mixture: np.ndarray | None = None
    events: Sequence[tuple[float, float]] | None = None
    _last: dict[tuple[Any, ...], dict[str, np.ndarray]] = field(default_factory=dict, init=False, repr=False)

    def cells(self, grid: Grid) -> dict[str, np.ndarray]:
        """The truth of each cell and frame, by the names that truth metrics take; read-only, and computed once a grid."""
        key = (grid.shape, grid.duration, grid.times.tobytes())
        if key not in self._last:
            found = self._cells(grid)
            for values in found.values():
                values.setflags(write=False)
            self._last.clear()
            self._last[key] = found
        return dict(self._last[key])

    def _cells(self, grid: Grid) -> dict[str, np.ndarray]:
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
        if self.events is not None and len(grid.times) > 1:  # one frame holds every event, whatever it shows
            out["active"] = active_frames(grid.times, grid.duration, self.events)
        return out


def has_bands(grid: Grid) -> bool:
    """Whether the rows of a grid are bands of frequency, so that adjacent rows are neighbours."""
    return grid.scale in ("hz", "mel")


def measure_truth(
    known: GroundTruth,
    grid: Grid,
    values: np.ndarray | None = None,
    mask: np.ndarray | None = None,
    kept: np.ndarray | None = None,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, float]:
    """Every registered truth metric of one explanation.

    Parameters
    ----------
    known : GroundTruth
        Ground truth of the clip.
    grid : Grid
        The cells.
    values, mask : ndarray (freq, frame), optional
        The attribution and the mask.
    kept : ndarray (..., time), optional
        The kept sound.
    settings : mapping of str to mapping, optional
        Metric -> its settings where they differ from their defaults.

    Returns
    -------
    dict
        Name -> value; NaN if something it needs is unknown, or it is undefined.

    Raises
    ------
    ShapeError, ParameterError, UnknownNameError
        If something does not fit the grid, or a setting is unknown.

    Examples
    --------
    >>> grid = otoscope.Grid(np.array([100.0, 300.0]), np.array([0.5]), "hz", "stft", 1.0, 400.0)
    >>> known = GroundTruth(np.array([[3.0], [0.0]]), np.array([[1.0], [1.0]]))
    >>> measure_truth(known, grid, values=np.array([[0.5], [0.1]]))["roc_auc"]
    1.0
    """
    metrics = metrics_with_settings(("truth",), settings, "truth metric")
    have: dict[str, Any] = {"kept": kept, "source": known.source, "mixture": known.mixture, "bands": has_bands(grid)}
    have |= known.cells(grid)
    for name, given in (("values", values), ("mask", mask)):
        if given is not None:
            if np.shape(given) != grid.shape:
                raise ShapeError(f"{name}: the shape is {np.shape(given)}, but the grid's is {grid.shape}")
            have |= {name: given, f"{name}_over_time": over_time(given)}
    out = {}
    for entry, chosen in metrics:
        needs = [n for n in inspect.signature(entry.target).parameters if n not in chosen]
        whole = all(have.get(n) is not None for n in needs)
        out[entry.name] = float(entry.target(**{n: have[n] for n in needs}, **chosen)) if whole else math.nan
    return out


def chance_levels(known: GroundTruth, grid: Grid) -> dict[str, float]:
    """Scores of an uninformed explanation: attributions in random order, or a mask that keeps a share of everything.

    Parameters
    ----------
    known : GroundTruth
        Ground truth of the clip.
    grid : Grid
        The cells.

    Returns
    -------
    dict
        Name of the truth metric -> its level, with the metrics' own defaults. Left out are metrics that are undefined on
        this clip, and `recall` and `f1`, which depend on the mask's size.

    Examples
    --------
    >>> grid = otoscope.Grid(np.array([100.0, 300.0]), np.array([0.5]), "hz", "stft", 1.0, 400.0)
    >>> known = GroundTruth(np.array([[3.0], [0.0]]), np.array([[1.0], [1.0]]))
    >>> chance_levels(known, grid)["relevance_mass"]
    0.5
    """
    cells = known.cells(grid)
    out: dict[str, float] = {}
    if known.source is not None and known.mixture is not None:
        kept_all = si_sdr_improvement_db(known.mixture, known.mixture, known.source)  # 0 dB, where it is defined
        out |= {} if math.isnan(kept_all) else {"si_sdr_improvement_db": kept_all}
    if "inside" in cells and cells["inside"].any():
        inside, energy = cells["inside"], cells["energy"]
        out["precision"] = float((inside * energy).sum() / energy.sum())
        out["relevance_mass"] = float(inside.mean())
        out["average_precision"] = _average_precision_of_chance(inside)
        out["pointing_game"] = float(near(inside, (TOLERANCE if has_bands(grid) else 0, TOLERANCE)).mean())
        if not inside.all():
            out["roc_auc"] = 0.5
    if "share" in cells and cells["share"].any():
        out["relevance_mass_energy"] = float(cells["share"].mean())
    active = cells.get("active", np.zeros(0))
    if (active == 1).any():
        out["time_iou"] = float(active[~np.isnan(active)].mean())
        if (active == 0).any():
            out["time_roc_auc"] = 0.5
    return out


def _average_precision_of_chance(inside: np.ndarray) -> float:
    """Mean average precision of all orders: the first of few true cells is seldom late, so it exceeds their share."""
    n, true = inside.size, int(inside.sum())
    others = (true - 1) / max(n - 1, 1)  # share of the other cells that are true
    return others + (1 - others) * float((1 / np.arange(1, n + 1)).sum()) / n
