"""How a generated sound differs from the original, cell by cell."""

from __future__ import annotations

import numpy as np

from otoscope.masks import MaskSpec

MOST_DB = 30.0
SILENT = 1e-5  # of the loudest cell: -100 dB
LEVEL = MaskSpec("level", {})  # the mask of a generated sound: how loud each cell is relative to the original


def describe(original: np.ndarray, kept: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The change of level of each cell, and the share of it that is kept.

    Parameters
    ----------
    original, kept : ndarray (freq, frame)
        Amplitudes, at least 0. A cell 100 dB below the loudest of both is silent.

    Returns
    -------
    change : ndarray (freq, frame), dB in [-30, 30], float32
        0 where both are silent.
    share : ndarray (freq, frame) in [0, 1], float32
        ``kept / original``; 0 where the original is silent and so holds nothing to keep.
    """
    loudest = max(float(original.max(initial=0.0)), float(kept.max(initial=0.0)))
    floor = max(SILENT * loudest, 1e-30)
    before, after = np.maximum(original.astype(np.float64), floor), np.maximum(kept.astype(np.float64), floor)
    change = np.clip(20 * np.log10(after / before), -MOST_DB, MOST_DB)
    share = np.where(original > floor, np.clip(kept / before, 0.0, 1.0), 0.0)
    return change.astype(np.float32), share.astype(np.float32)
