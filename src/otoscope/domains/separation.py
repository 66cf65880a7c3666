"""Separate a magnitude spectrogram: by NMF, or into harmonic and percussive parts (HPSS); always with a residual."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np

from otoscope.core.runtime import require

MOST = 64
ITERATIONS = 200
HARMONIC_S, PERCUSSIVE_HZ = 0.4, 500.0  # how long the medians are
MARGIN = 2.0
RESIDUAL = "residual"


class Separation(NamedTuple):
    """The components of one clip.

    Parameters
    ----------
    weights : ndarray (row, bin, frame) float32
        Share of each cell that belongs to each component; they sum to one. The last row is the residual.
    names : tuple of str
        Name of each component.
    """

    weights: np.ndarray
    names: tuple[str, ...]


def nmf(magnitude: np.ndarray, hz: np.ndarray, n: int) -> Separation:
    """``n`` components by non-negative matrix factorisation, in order of their spectral centroids, and the residual.

    Parameters
    ----------
    magnitude : ndarray (bin, frame)
        Magnitudes of the STFT, at least 0.
    hz : ndarray (bin,)
        Frequencies of the bins.
    n : int
        Where there are fewer bins, frames or energy than that, the last ones are empty.

    Returns
    -------
    Separation

    Notes
    -----
    Source: lee1999nmf, fevotte2018single for the Wiener masks (power 2). By the Frobenius norm, from NNDSVD: on mixtures of
    two clips it separated them better than the Kullback-Leibler divergence from random starts, in less time. The residual's
    magnitude is what the model lacks.
    """
    models = np.zeros((n, *magnitude.shape), np.float32)
    loudest = float(magnitude.max(initial=0.0))
    k = min(n, *magnitude.shape)
    if loudest > 0:
        spectra, gains = _factors(magnitude / loudest, k)
        models[:k] = spectra.T[:, :, None] * gains[:, None]
        magnitude = magnitude / loudest
    weights = wiener(models, np.maximum(magnitude - models.sum(0), 0))
    energies = np.square(weights[:-1] * magnitude).sum(2)  # (row, bin)
    middles = centroids(energies, hz)
    order = np.argsort(middles, kind="stable")  # NaN, of empty ones, comes last
    names = [f"NMF {i + 1} ({_around(middles[row])})" for i, row in enumerate(order)]
    return Separation(weights[[*order, n]], (*names, RESIDUAL))


def _factors(magnitude: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Spectra ``(bin, k)`` and gains ``(k, frame)``."""
    factorisation = require("sklearn.decomposition", "components", "the domain 'components'", "scikit-learn")
    model = factorisation.NMF(k, init="nndsvda", solver="cd", max_iter=ITERATIONS, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that more iterations would reduce the error a little
        spectra = model.fit_transform(magnitude)
    return spectra.astype(np.float32), model.components_.astype(np.float32)


def hpss(magnitude: np.ndarray, step_hz: float, step_s: float) -> Separation:
    """Harmonic (sustained) and percussive (transient) components, and the residual that is neither.

    Parameters
    ----------
    magnitude : ndarray (bin, frame)
        Magnitudes of the STFT, at least 0.
    step_hz, step_s : float
        Distance of bins and of frames.

    Returns
    -------
    Separation

    Notes
    -----
    Source: fitzgerald2010hpss, with the margin of driedger2014extending in soft masks (power 2): what is not twice as much
    the one as the other falls to the residual.
    """
    ndimage = require("scipy.ndimage", "components", "the domain 'components'", "scipy")
    magnitude = magnitude / (float(magnitude.max(initial=0.0)) or 1.0)
    along_time = ndimage.median_filter(magnitude, (1, _odd(HARMONIC_S / step_s)))
    along_freq = ndimage.median_filter(magnitude, (_odd(PERCUSSIVE_HZ / step_hz), 1))
    weights = np.zeros((3, *magnitude.shape), np.float32)
    for row, own, other in ((0, along_time, along_freq), (1, along_freq, along_time)):
        power = np.square(own)
        _divide(power, power + np.square(MARGIN * other), weights[row])
    weights[2] = np.maximum(1 - weights[:2].sum(0), 0)
    return Separation(weights, ("harmonic", "percussive", RESIDUAL))


def wiener(models: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """Shares ``(row + 1, bin, frame)`` of magnitudes ``(row, bin, frame)`` and of the rest, by power; they sum to one.

    In empty cells the rest has all.
    """
    weights = np.zeros((len(models) + 1, *rest.shape), np.float32)
    total = np.square(models).sum(0) + np.square(rest)
    for row, model in enumerate(models):
        _divide(np.square(model), total, weights[row])
    weights[-1] = np.maximum(1 - weights[:-1].sum(0), 0)
    return weights


def _divide(above: np.ndarray, below: np.ndarray, out: np.ndarray) -> None:
    np.divide(above, below, out=out, where=below > np.finfo(np.float32).tiny, casting="same_kind")


def _odd(size: float) -> int:
    return 2 * max(1, round(size / 2)) + 1


def centroids(energies: np.ndarray, hz: np.ndarray) -> np.ndarray:
    """Mean frequency of each row, weighted by energies ``(row, bin)``; NaN without energy."""
    totals = energies.sum(1, dtype=np.float64)
    found = np.full(len(energies), np.nan)
    np.divide(energies @ hz, totals, out=found, where=totals > 0)
    return found


def _around(hz: float) -> str:
    if np.isnan(hz):
        return "empty"
    return f"around {float(f'{hz:.2g}'):g} Hz" if hz < 1000 else f"around {hz / 1000:.2g} kHz"
