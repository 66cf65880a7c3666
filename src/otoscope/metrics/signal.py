"""How close one sound is to another."""

from __future__ import annotations

import numpy as np


def si_sdr_db(estimate: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Scale-invariant signal-to-distortion ratio: how much of the estimate is a scaled copy of the reference.

    Parameters
    ----------
    estimate, reference : ndarray (..., time)

    Returns
    -------
    ndarray (...), dB
        NaN where the reference is silent, minus infinity where the estimate holds nothing of it, plus infinity for a copy.

    Notes
    -----
    Source: leroux2019sdr, eq. 3; means are not taken out.
    """
    estimate, reference = np.asarray(estimate, np.float64), np.asarray(reference, np.float64)
    energy = (reference**2).sum(-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = (estimate * reference).sum(-1) / energy
        wanted = scale[..., None] * reference
        ratio = (wanted**2).sum(-1) / ((estimate - wanted) ** 2).sum(-1)
        return np.asarray(np.where(energy > 0, 10 * np.log10(ratio), np.nan))
