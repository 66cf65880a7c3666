"""Ground truth of the cells of a grid if the parts of the sound are known: ideal masks and active frames.

Energies are ``(freq, frame)``, at least 0, of the true source and of all the rest, such as the squared
``amplitude()`` of a domain's analysis of each stem. The ideal masks are also the upper bound of what a mask can do.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from otoscope.core.errors import ParameterError, ShapeError

FLOOR_DB = -60.0
COVERED = 0.9
EXACT_S = 1e-9  # times of events are no more exact than this


def ideal_ratio_mask(source_energy: np.ndarray, rest_energy: np.ndarray) -> np.ndarray:
    """Share of each cell's energy that is the source's.

    Parameters
    ----------
    source_energy, rest_energy : ndarray (freq, frame)
        Energy of the source and of everything else in each cell, at least 0.

    Returns
    -------
    ndarray (freq, frame) in [0, 1]
        0 in empty cells.

    Raises
    ------
    ShapeError, ParameterError
        If the energies differ in shape, or one is negative, NaN or infinite.

    Notes
    -----
    Source: wang2005ideal, with the ratio in place of the threshold.

    Examples
    --------
    >>> ideal_ratio_mask(np.array([[3.0, 0.0]]), np.array([[1.0, 1.0]])).tolist()
    [[0.75, 0.0]]
    """
    source, rest = _energies(source_energy, rest_energy)
    whole = source + rest
    return np.divide(source, whole, out=np.zeros_like(whole), where=whole > 0)


def ideal_binary_mask(
    source_energy: np.ndarray, rest_energy: np.ndarray, threshold_db: float = 0.0, floor_db: float = FLOOR_DB
) -> np.ndarray:
    """Cells in which the source is stronger than all the rest.

    Parameters
    ----------
    source_energy, rest_energy : ndarray (freq, frame)
        Energy of the source and of everything else in each cell, at least 0.
    threshold_db : float, dB
        How much stronger it must be.
    floor_db : float, dB
        Cells with less energy than this, relative to the strongest cell, are 0: near silence, noise of the recording
        dominates.

    Returns
    -------
    ndarray (freq, frame) of 0 and 1

    Raises
    ------
    ShapeError, ParameterError
        If the energies differ in shape, or one is negative, NaN or infinite.

    Notes
    -----
    Source: wang2005ideal, there without a floor.

    Examples
    --------
    >>> ideal_binary_mask(np.array([[3.0, 0.0]]), np.array([[1.0, 1.0]])).tolist()
    [[1.0, 0.0]]
    """
    source, rest = _energies(source_energy, rest_energy)
    whole = source + rest
    floor = 10 ** (floor_db / 10) * (whole.max() if whole.size else 0.0)
    return ((source > 10 ** (threshold_db / 10) * rest) & (whole >= floor)).astype(np.float64)


def _energies(source: np.ndarray, rest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    first, second = np.asarray(source, np.float64), np.asarray(rest, np.float64)
    if first.shape != second.shape:
        raise ShapeError(f"energies of source and rest must have one shape; got {first.shape} and {second.shape}")
    for what, values in (("source", first), ("rest", second)):
        if not (np.isfinite(values).all() and (values >= 0).all()):
            raise ParameterError(f"energies must be finite and at least 0; those of the {what} are not")
    return first, second


def over_time(values: np.ndarray) -> np.ndarray:
    """An attribution or mask ``(freq, frame)`` reduced to time, ``(frame,)``: the sum over frequency."""
    values = np.asarray(values, np.float64)
    if values.ndim != 2:
        raise ShapeError(f"attributions and masks are (freq, frame); got shape {values.shape}")
    return values.sum(0)


def frame_edges(times: np.ndarray, duration: float) -> np.ndarray:
    """Edges ``(frame + 1,)`` in seconds of the frames with these centres: midway between them, and the clip's ends."""
    times = np.asarray(times, np.float64)
    if times.ndim != 1 or not len(times) or not (np.diff(times) > 0).all() or not duration > 0:
        raise ParameterError("frames need centres that rise, and a duration above 0 s")
    return np.concatenate([[0.0], (times[1:] + times[:-1]) / 2, [float(duration)]])


def active_frames(
    times: np.ndarray, duration: float, events: Sequence[tuple[float, float]], covered: float = COVERED
) -> np.ndarray:
    """Which frames lie inside events.

    Parameters
    ----------
    times : ndarray (frame,), s
        Centres, as in a `Grid`.
    duration : float, s
        Of the clip.
    events : sequence of (float, float), s
        Start and stop of each; they may overlap.
    covered : float in [0, 1)
        A frame is active when events cover more than this share of it, or when it holds more than this share of an event that
        is shorter than the frame, such as a click. What lies outside the clip is not part of an event.

    Returns
    -------
    ndarray (frame,)
        1 inside, 0 where no event is, NaN for frames that are neither, such as those of a click across two frames; they are
        ignored.

    Raises
    ------
    ParameterError
        If an event stops before it starts, or times and shares are out of range.

    Notes
    -----
    Source: bolanos2025benchmarking, whose segments of 100 ms are inside when more than 90 ms of them are; the rule for short
    events is ours.
    """
    if not 0 <= covered < 1:
        raise ParameterError(f"covered must be a share of a frame in [0, 1); got {covered!r}")
    edges = frame_edges(times, duration)
    widths = np.diff(edges)
    inside, holds = np.zeros(len(widths)), np.zeros(len(widths), bool)
    for start, stop in _merged(events):
        part = np.clip(np.minimum(edges[1:], stop) - np.maximum(edges[:-1], start), 0, None)
        length = min(stop, edges[-1]) - max(start, edges[0])
        inside += part
        holds |= (length > 0) & (part > covered * length + EXACT_S)  # of longer ones, no frame that is not covered
    share = inside / np.maximum(widths, 1e-12)
    return np.where((share > covered + 1e-9) | holds, 1.0, np.where(share > 1e-9, np.nan, 0.0))


def _merged(events: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Events without overlaps."""
    out: list[tuple[float, float]] = []
    for start, stop in sorted((float(a), float(b)) for a, b in events):
        if not (np.isfinite(start) and np.isfinite(stop) and start <= stop):
            raise ParameterError(f"an event must stop after it starts, in seconds; got {start:g} to {stop:g}")
        if out and start <= out[-1][1]:
            out[-1] = (out[-1][0], max(stop, out[-1][1]))
        else:
            out.append((start, stop))
    return out


def near(inside: np.ndarray, tolerance: int | Sequence[int]) -> np.ndarray:
    """Cells that are inside or at most so many cells away from one that is, in each direction, or axis by axis."""
    out = np.asarray(inside) > 0
    reach = np.broadcast_to(tolerance, out.ndim).tolist()
    for axis in range(out.ndim):
        spread = out.copy()
        for step in range(1, min(reach[axis], out.shape[axis] - 1) + 1):
            ahead, behind = [slice(None)] * out.ndim, [slice(None)] * out.ndim
            ahead[axis], behind[axis] = slice(step, None), slice(None, -step)
            spread[tuple(ahead)] |= out[tuple(behind)]
            spread[tuple(behind)] |= out[tuple(ahead)]
        out = spread
    return out
