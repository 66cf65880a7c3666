"""How well an explanation matches the truth, if stems or times of events are known.

Attributions ``values``, masks and truths are ``(freq, frame)``; ``inside`` is 1 in cells that truly belong to the source
(`otoscope.metrics.oracle.ideal_binary_mask`), ``share`` is the source's share of each cell (`ideal_ratio_mask`).
Every function returns NaN where it is undefined. Each metric's ``chance`` describes the score of an uninformed
attribution; `otoscope.metrics.ground_truth.chance_levels` computes it for a truth.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Annotated

import numpy as np

from otoscope.core.errors import NonFiniteError, ParameterError, ShapeError
from otoscope.core.registry import Argument, Range, register
from otoscope.metrics.oracle import near
from otoscope.metrics.ranks import midranks
from otoscope.metrics.signal import si_sdr_db

LIMIT_DB = 30.0
TOLERANCE = 1
LEVEL_SHARE = 0.5
_truth = partial(register, "metric", family="truth", of="truth", higher_is_better=True)


@_truth(
    "si_sdr_improvement_db", short="SI-SDRi", title="SI-SDR improvement", unit="dB", low=-2 * LIMIT_DB,
    high=2 * LIMIT_DB, source="leroux2019sdr", chance="0 dB for a mask that keeps a share of everything",
    means="How much closer the kept sound is to the true source than the mixture was.",
)  # fmt: skip
def si_sdr_improvement_db(
    kept: np.ndarray, mixture: np.ndarray, source: np.ndarray, limit_db: Annotated[float, Range(1.0, 200.0)] = LIMIT_DB
) -> float:
    """SI-SDR of the kept sound towards the true source, less that of the mixture.

    Parameters
    ----------
    kept, mixture, source : ndarray (..., time)
        Of one shape; several channels are taken as one long sound.
    limit_db : float, dB
        SI-SDR beyond this, up or down, counts as this. Each SI-SDR is brought into ``[-limit_db, limit_db]``: a
        copy would have infinitely much, and a kept sound that holds nothing of the source, as silence, infinitely
        little.

    Returns
    -------
    float, dB
        NaN where the source is silent, or the mixture is the source already.

    Notes
    -----
    Source: leroux2019sdr, eq. 3; the limit is ours, so that means over clips exist.
    """
    kept, mixture, source = (np.asarray(x, np.float64).ravel() for x in (kept, mixture, source))
    before, after = float(si_sdr_db(mixture, source)), float(si_sdr_db(kept, source))
    if math.isnan(before) or math.isnan(after) or before == math.inf:
        return math.nan
    return float(np.clip(after, -limit_db, limit_db) - np.clip(before, -limit_db, limit_db))


@_truth(
    "precision", short="Precision", unit="", low=0.0, high=1.0, source="wang2005ideal",
    chance="share of the sound's energy that lies in the source's cells",
    means="Share of the kept energy that lies where the source truly is.",
)  # fmt: skip
def precision(mask: np.ndarray, inside: np.ndarray, energy: np.ndarray) -> float:
    """How much of the energy that a mask keeps lies in the cells of the ideal mask.

    Parameters
    ----------
    mask, inside : ndarray (freq, frame) in [0, 1]
        ``inside`` is the ideal mask; with an ideal ratio mask it is the share of the kept energy that is the source's.
    energy : ndarray (freq, frame)
        Of source and rest together.

    Returns
    -------
    float in [0, 1]
        NaN where the mask keeps no energy, or the ideal mask none.

    Notes
    -----
    Source: wang2005ideal for the ideal mask.
    """
    hit, kept, true = _weighed(mask, inside, energy)
    return hit / kept if kept > 0 and true > 0 else math.nan


@_truth(
    "recall", short="Recall", unit="", low=0.0, high=1.0, source="wang2005ideal", chance="the mask's size",
    means="Share of the energy where the source truly is that the mask keeps.",
)  # fmt: skip
def recall(mask: np.ndarray, inside: np.ndarray, energy: np.ndarray) -> float:
    """How much of the energy in the cells of the ideal mask a mask keeps.

    Parameters
    ----------
    mask, inside, energy : ndarray (freq, frame)
        As in `precision`.

    Returns
    -------
    float in [0, 1]
        NaN where the ideal mask holds no energy.

    Notes
    -----
    Source: wang2005ideal for the ideal mask.
    """
    hit, _, true = _weighed(mask, inside, energy)
    return hit / true if true > 0 else math.nan


@_truth(
    "f1", short="F1", title="F1", unit="", low=0.0, high=1.0, source="wang2005ideal",
    chance="of a mask that keeps everything: 2 s / (1 + s), s the share of the energy in the source's cells",
    means="Harmonic mean of precision and recall.",
)  # fmt: skip
def f1(mask: np.ndarray, inside: np.ndarray, energy: np.ndarray) -> float:
    """Harmonic mean of `precision` and `recall`.

    Parameters
    ----------
    mask, inside, energy : ndarray (freq, frame)
        As in `precision`.

    Returns
    -------
    float in [0, 1]
        0 for a mask that keeps nothing; NaN where the ideal mask holds no energy.

    Notes
    -----
    Source: wang2005ideal for the ideal mask.
    """
    hit, kept, true = _weighed(mask, inside, energy)
    return 2 * hit / (kept + true) if true > 0 else math.nan


def _weighed(mask: np.ndarray, inside: np.ndarray, energy: np.ndarray) -> tuple[float, float, float]:
    """Energy that is kept and inside, kept, and inside."""
    mask, inside, energy = _together(mask, inside, energy)
    for what, values in (("mask", mask), ("ideal mask", inside), ("energy", energy)):
        if not (values >= 0).all():
            raise ParameterError(f"the {what} must hold numbers of at least 0")
    return float((mask * inside * energy).sum()), float((mask * energy).sum()), float((inside * energy).sum())


@_truth(
    "relevance_mass", short="Mass", unit="", low=0.0, high=1.0, source="arras2022clevr",
    chance="share of the cells that are the source's",
    means="Share of the positive attribution that lies in cells of the true source.",
)  # fmt: skip
def relevance_mass(values: np.ndarray, inside: np.ndarray) -> float:
    """Share of the positive attribution inside the true cells.

    Parameters
    ----------
    values : ndarray (freq, frame)
        Attribution of each cell.
    inside : ndarray (freq, frame) in [0, 1]
        1 in cells that belong to the true source.

    Returns
    -------
    float in [0, 1]
        NaN where nothing is positive, or nothing is inside.

    Notes
    -----
    Source: arras2022clevr, relevance mass accuracy, of the positive part.
    """
    values, inside = _together(values, inside)
    part = np.maximum(values, 0)
    part = part / part.max() if part.size and part.max() > 0 else part
    total = float(part.sum())
    return float((part * inside).sum()) / total if total > 0 and inside.any() else math.nan


@_truth(
    "relevance_mass_energy", short="Mass (E)", title="Relevance mass by energy", unit="", low=0.0, high=1.0,
    source="arras2022clevr", chance="mean over the cells of the source's share",
    means="As relevance mass, each cell counting by the share of its energy that is the source's.",
)  # fmt: skip
def relevance_mass_energy(values: np.ndarray, share: np.ndarray) -> float:
    """Share of the positive attribution that falls to the source, where each cell is the source's by its share of energy.

    Parameters
    ----------
    values : ndarray (freq, frame)
        Attribution of each cell.
    share : ndarray (freq, frame) in [0, 1]
        The ideal ratio mask.

    Returns
    -------
    float in [0, 1]
        NaN where nothing is positive, or nothing is the source's.

    Notes
    -----
    Source: arras2022clevr; the weights are ours.
    """
    return relevance_mass(values, share)


@_truth(
    "pointing_game", short="Pointing", unit="", low=0.0, high=1.0, source="zhang2018excitation",
    chance="share of the cells that are the source's or adjacent",
    means="1 where the cell of highest attribution is the true source's, or adjacent.",
)  # fmt: skip
def pointing_game(
    values: np.ndarray,
    inside: np.ndarray,
    tolerance: Annotated[int, Range(0, 1000)] = TOLERANCE,
    bands: Annotated[bool, Argument()] = True,
) -> float:
    """Whether the largest cell is inside.

    Parameters
    ----------
    values, inside : ndarray (freq, frame)
        Attribution of each cell, and 1 in cells that belong to the true source.
    tolerance : int
        Largest distance in cells that still counts, in frequency and in time.
    bands : bool
        Whether the rows are bands of frequency. Rows of components have no neighbours: the tolerance then
        applies in time alone.

    Returns
    -------
    float in [0, 1]
        Where several cells are largest, the share of them that hits; NaN where nothing is inside.

    Notes
    -----
    Source: zhang2018excitation, with cells for pixels.
    """
    values, inside = _together(values, inside)
    if not inside.any():
        return math.nan
    return float(near(inside, (tolerance if bands else 0, tolerance))[values == values.max()].mean())


@_truth(
    "roc_auc", short="ROC", title="ROC-AUC", unit="", low=0.0, high=1.0, source="davis2006relationship", chance="0.5",
    means="How often a cell of the true source has a higher attribution than one that is not.",
)  # fmt: skip
def roc_auc(values: np.ndarray, inside: np.ndarray) -> float:
    """Area under the receiver operating characteristic of attributions against the truth.

    Parameters
    ----------
    values, inside : ndarray
        Of one shape; cells whose truth is NaN are ignored.

    Returns
    -------
    float in [0, 1]
        Ties count half; NaN where all or none is inside.

    Notes
    -----
    Source: davis2006relationship; computed from ranks.
    """
    scores, true = _known(values, inside)
    n_in, n_out = int(true.sum()), int((~true).sum())
    if not n_in or not n_out:
        return math.nan
    return float((midranks(scores)[true].sum() - n_in * (n_in + 1) / 2) / (n_in * n_out))


@_truth(
    "average_precision", short="AP", unit="", low=0.0, high=1.0, source="davis2006relationship",
    chance="of a random order: about the share of the cells that are the source's, more where cells are few",
    means="Precision of the cells of highest attribution, averaged over how many of the true ones they hold.",
)  # fmt: skip
def average_precision(values: np.ndarray, inside: np.ndarray) -> float:
    """Area under the precision-recall steps of attributions against the truth.

    Parameters
    ----------
    values, inside : ndarray
        Of one shape; cells whose truth is NaN are ignored.

    Returns
    -------
    float in [0, 1]
        Equal values enter together; NaN where nothing is inside.

    Notes
    -----
    Source: davis2006relationship; steps without interpolation.
    """
    scores, true = _known(values, inside)
    if not true.any():
        return math.nan
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.diff(scores[order]) != 0, True)  # of each run of equal values
    hits, seen = np.cumsum(true[order])[last], np.flatnonzero(last) + 1
    return float((hits / seen * np.diff(hits, prepend=0)).sum() / true.sum())


@_truth(
    "time_roc_auc", short="ROC (time)", title="ROC-AUC over time",
    unit="", low=0.0, high=1.0, source="bolanos2025benchmarking", chance="0.5",
    means="How often a frame inside an event has a higher attribution than one outside.",
)  # fmt: skip
def time_roc_auc(values_over_time: np.ndarray, active: np.ndarray) -> float:
    """Area under the receiver operating characteristic of an attribution's sum over frequency against events.

    Parameters
    ----------
    values_over_time : ndarray (frame,)
        Attribution summed over frequency.
    active : ndarray (frame,)
        From `otoscope.metrics.oracle.active_frames`; frames with NaN are ignored.

    Returns
    -------
    float in [0, 1]
        NaN where all or none of the frames are inside.

    Notes
    -----
    Source: bolanos2025benchmarking, with the domain's frames for segments of 100 ms.
    """
    return roc_auc(values_over_time, active)


@_truth(
    "time_iou", short="IoU (time)", title="IoU over time", unit="", low=0.0, high=1.0,
    source="bolanos2025benchmarking", chance="share of the frames inside events, for a mask that keeps everything",
    means="Frames that the mask shows and events share, of those that either has.",
)  # fmt: skip
def time_iou(
    mask_over_time: np.ndarray, active: np.ndarray, level: Annotated[float, Range(0.0, 1.0)] = LEVEL_SHARE
) -> float:
    """Intersection over union, in time, of what a mask shows and of events.

    Parameters
    ----------
    mask_over_time : ndarray (frame,)
        At least 0; a mask's sum over frequency.
    active : ndarray (frame,)
        From `otoscope.metrics.oracle.active_frames`; frames with NaN are ignored.
    level : float in [0, 1]
        Share of the largest frame from which a frame counts as shown. A frame is shown from this share of the
        largest frame on.

    Returns
    -------
    float in [0, 1]
        0 for an empty mask; NaN where no frame is inside an event.

    Notes
    -----
    Source: bolanos2025benchmarking for the truth; the level is ours.
    """
    shown, true = _known(mask_over_time, active)
    if not true.any():
        return math.nan
    high = float(shown.max())
    kept = (shown > 0) & (shown >= level * high)
    return float((kept & true).sum() / (kept | true).sum())


def _together(*arrays: np.ndarray) -> list[np.ndarray]:
    out = [np.asarray(a, np.float64) for a in arrays]
    if len({a.shape for a in out}) > 1 or not out[0].size:
        raise ShapeError(f"explanation and truth must have one shape and hold cells; got {[a.shape for a in out]}")
    if not np.isfinite(out[0]).all():
        raise NonFiniteError("an explanation that is compared with the truth holds NaN or infinity")
    return out


def _known(values: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values and truth, ``(n,)``, of what is known."""
    values, truth = _together(values, truth)
    known = ~np.isnan(truth)
    return values[known], truth[known] > 0
