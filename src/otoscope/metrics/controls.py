"""Control masks that are independent of the classifier. An explanation should beat them.

They keep as much as a given mask does: the same number of cells where it is binary, else as many as its sum, rounded;
at least one where the mask keeps anything.
"""

from __future__ import annotations

import numpy as np

from otoscope.core.errors import NonFiniteError, ParameterError, ShapeError
from otoscope.masks.functions import topk


def all_ones(mask: np.ndarray) -> np.ndarray:
    """The mask of the same shape that keeps everything."""
    return np.ones_like(np.asarray(mask, np.float32))


def random_mask(mask: np.ndarray, seed: int = 0) -> np.ndarray:
    """A binary mask of the same area, of cells chosen at random, ``(freq, frame)`` float32; as in `controls`."""
    mask = _mask(mask)
    return topk(np.random.default_rng(seed).permutation(mask.size).reshape(mask.shape), _area(mask)).astype(np.float32)


def energy_mask(mask: np.ndarray, energy: np.ndarray) -> np.ndarray:
    """A binary mask of the same area, of the cells with the most energy, ``(freq, frame)`` float32; as in `controls`."""
    mask = _mask(mask)
    if np.shape(energy) != mask.shape:
        raise ShapeError(f"mask and energies must have one shape; got {mask.shape} and {np.shape(energy)}")
    if not np.isfinite(energy).all():
        raise NonFiniteError("energies hold NaN or infinity, so no cells are the loudest")
    return topk(np.asarray(energy, np.float64), _area(mask)).astype(np.float32)


def controls(mask: np.ndarray, energy: np.ndarray, seed: int = 0) -> dict[str, np.ndarray]:
    """All controls of one mask.

    Parameters
    ----------
    mask : ndarray (freq, frame) in [0, 1]
        Binary or soft, of any grid.
    energy : ndarray (freq, frame)
        Of the clip's cells, or their amplitude: only the order counts.
    seed : int
        Of the random mask.

    Returns
    -------
    dict of ndarray (freq, frame), float32
        ``ones`` (everything), ``random`` and ``energy`` (of the mask's area).

    Raises
    ------
    ShapeError, ParameterError, NonFiniteError
        If the mask is invalid, or the energies do not fit it.

    Examples
    --------
    >>> found = controls(np.array([[1.0, 0.0]]), energy=np.array([[0.1, 0.5]]))
    >>> found["energy"].tolist()
    [[0.0, 1.0]]
    """
    return {"ones": all_ones(mask), "random": random_mask(mask, seed), "energy": energy_mask(mask, energy)}


def _mask(mask: np.ndarray) -> np.ndarray:
    mask = np.asarray(mask, np.float64)
    if not (mask.size and mask.min() >= 0 and mask.max() <= 1):
        raise ParameterError("a control is made for a mask with cells, whose values lie in [0, 1]")
    return mask


def _area(mask: np.ndarray) -> float:
    """Share of the cells that the control keeps, in whole cells."""
    return max(round(float(mask.sum())), int(mask.any())) / mask.size
