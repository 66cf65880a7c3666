"""Levels and mixing: pure functions of ``samples (channel, time)`` or ``(time,)``, full scale 1."""

from __future__ import annotations

import math

import numpy as np

from otoscope.core.errors import NonFiniteError, ShapeError


def rms(samples: np.ndarray) -> float:
    """Root mean square; 0 for an empty array.

    Parameters
    ----------
    samples : ndarray, any shape
        Full scale is 1.

    Returns
    -------
    float >= 0, linear

    Examples
    --------
    >>> rms(np.array([0.5, -0.5, 0.5, -0.5]))
    0.5
    """
    if not np.size(samples):
        return 0.0
    return math.sqrt(float(np.mean(np.square(samples, dtype=np.float64))))


def rms_db(samples: np.ndarray) -> float:
    """Level in dB re full scale (a constant 1 has 0 dB); -inf for silence.

    Parameters
    ----------
    samples : ndarray (channel, time) or (time,)
        Full scale is 1.

    Returns
    -------
    float, dB

    Examples
    --------
    >>> round(rms_db(np.full((1, 8), 0.1)), 6)
    -20.0
    """
    level = rms(samples)
    return 20.0 * math.log10(level) if level > 0.0 else -math.inf


def peak(samples: np.ndarray) -> float:
    """Largest absolute sample; 0 for an empty array.

    Parameters
    ----------
    samples : ndarray, any shape
        Full scale is 1.

    Returns
    -------
    float, full scale is 1

    Examples
    --------
    >>> peak(np.array([[0.5, -0.75]]))
    0.75
    """
    return float(np.max(np.abs(samples), initial=0.0))


def is_silent(samples: np.ndarray, threshold_db: float = -90.0) -> bool:
    """Whether the RMS level lies below ``threshold_db`` (dB re full scale).

    Parameters
    ----------
    samples : ndarray (channel, time) or (time,)
        Full scale is 1.
    threshold_db : float, dB
        Level re full scale below which a sound counts as silent.

    Returns
    -------
    bool

    Examples
    --------
    >>> is_silent(np.zeros((1, 8))), is_silent(np.full((1, 8), 0.1))
    (True, False)
    """
    return rms_db(samples) < threshold_db


def level_gain(samples: np.ndarray, reference_rms: float) -> float:
    """The factor that gives ``samples`` the RMS ``reference_rms``; 1 for silence.

    Parameters
    ----------
    samples : ndarray (channel, time) or (time,)
        Full scale is 1.
    reference_rms : float >= 0
        Linear, full scale is 1.

    Returns
    -------
    float >= 0

    Examples
    --------
    >>> level_gain(np.full((1, 8), 0.5), 0.25)
    0.5
    """
    level = rms(samples)
    gain = reference_rms / level if level > 0.0 else 1.0
    return gain if math.isfinite(gain) else 1.0


def mix(a: np.ndarray, b: np.ndarray, snr_db: float) -> np.ndarray:
    """``a`` plus ``b``, which is scaled so that ``a`` lies ``snr_db`` above it.

    If either is silent, the ratio is undefined and ``b`` is added unchanged.

    Parameters
    ----------
    a, b : ndarray (channel, time) or (time,)
        Of one shape.
    snr_db : float, dB
        RMS level of ``a`` over that of ``b`` in the mix.

    Returns
    -------
    ndarray, the shape of ``a``, float32

    Raises
    ------
    ShapeError, NonFiniteError

    Examples
    --------
    >>> mix(np.full((1, 2), 0.5), np.full((1, 2), 0.1), snr_db=20.0)
    array([[0.55, 0.55]], dtype=float32)
    """
    if np.shape(a) != np.shape(b):
        raise ShapeError(f"two sounds of shapes {np.shape(a)} and {np.shape(b)} cannot be mixed; cut or pad one to fit")
    if not math.isfinite(snr_db):
        raise NonFiniteError(f"snr_db must be a finite number of dB; got {snr_db}")
    level = rms(a)
    gain = level_gain(b, level * 10.0 ** (-snr_db / 20.0)) if level > 0.0 else 1.0
    return (np.asarray(a, dtype=np.float64) + gain * np.asarray(b, dtype=np.float64)).astype(np.float32)
