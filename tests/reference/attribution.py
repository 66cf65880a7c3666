"""Slow twins of the attribution methods: float64, loops, as near to the papers' formulas as possible."""

from __future__ import annotations

import itertools
import math

import numpy as np


def segment_weight(sample: int, segment: int, rate: int, times: np.ndarray) -> float:
    """How much of a sample belongs to a segment: straight lines between the segments' centres, flat beyond the ends."""
    moment, n = (sample + 0.5) / rate, len(times)
    if n == 1:
        return 1.0
    if moment <= times[0]:
        return float(segment == 0)
    if moment >= times[-1]:
        return float(segment == n - 1)
    left = max(i for i in range(n) if times[i] <= moment)
    share = (moment - times[left]) / (times[left + 1] - times[left])
    return {left: 1 - share, left + 1: share}.get(segment, 0.0)


def linear_by_segment(weights: np.ndarray, clip: np.ndarray, rate: int, times: np.ndarray) -> np.ndarray:
    """``w * x`` of a linear classifier, summed by segment: its input x gradient and its integrated gradients."""
    out = np.zeros(len(times))
    for j in range(len(times)):
        for i in range(len(clip)):
            out[j] += float(weights[i]) * float(clip[i]) * segment_weight(i, j, rate, times)
    return out


def amplitude_by_segment(clip: np.ndarray, rate: int, times: np.ndarray) -> np.ndarray:
    """Root of each segment's energy."""
    return np.array(
        [
            math.sqrt(sum(float(x) ** 2 * segment_weight(i, j, rate, times) for i, x in enumerate(clip)))
            for j in range(len(times))
        ]
    )


def occlude_linear(by_segment: np.ndarray, patches: int) -> np.ndarray:
    """Occlusion of a linear classifier: each patch loses the sum of its segments, shared evenly by them."""
    n = len(by_segment)
    out = np.zeros(n)
    for p in range(patches):
        members = [j for j in range(n) if j * patches // n == p]
        for j in members:
            out[j] = sum(by_segment[m] for m in members) / len(members)
    return out


def grad_cam(maps: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """Sum over channels of the map times its mean gradient, signed, ``(freq, frame)``."""
    channels, height, width = maps.shape
    out = np.zeros((height, width))
    for k in range(channels):
        alpha = sum(float(gradient[k, i, j]) for i in range(height) for j in range(width)) / (height * width)
        for i in range(height):
            for j in range(width):
                out[i, j] += alpha * float(maps[k, i, j])
    return out


def mel(hz: float) -> float:
    """Mel of a frequency."""
    return 1127 * math.log(1 + hz / 700)


def cells_centres(axis: list[float], n: int) -> list[float]:
    """Centres of ``n`` equal groups of an axis' positions."""
    out = []
    for g in range(n):
        place = (g + 0.5) * len(axis) / n - 0.5
        low = min(max(math.floor(place), 0), len(axis) - 2)
        out.append(axis[low] + (min(max(place, 0), len(axis) - 1) - low) * (axis[low + 1] - axis[low]))
    return out


def place_on_grid(cam: np.ndarray, bands_hz: np.ndarray, last_s: float, grid_hz: np.ndarray, grid_s: np.ndarray):
    """Bilinear interpolation of a layer's map to a grid, frequencies on the mel axis."""
    rows = cells_centres([mel(f) for f in bands_hz], cam.shape[0])
    columns = [(j + 0.5) * last_s / cam.shape[1] for j in range(cam.shape[1])]
    at_times = np.array([[np.interp(t, columns, row) for t in grid_s] for row in cam])
    return np.array([np.interp([mel(f) for f in grid_hz], rows, column) for column in at_times.T]).T


def rise_centred(masks: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Covariance of each cell's mask with the score, over the mask's variance."""
    n, height, width = masks.shape
    mean_score = sum(float(s) for s in scores) / n
    out = np.zeros((height, width))
    for i in range(height):
        for j in range(width):
            cell = [float(m[i, j]) for m in masks]
            mean = sum(cell) / n
            covariance = sum((float(s) - mean_score) * (c - mean) for s, c in zip(scores, cell, strict=True)) / n
            out[i, j] = covariance / max(sum((c - mean) ** 2 for c in cell) / n, 1e-8)
    return out


def rise_weighted(masks: np.ndarray, scores: np.ndarray, keep: float) -> np.ndarray:
    """The paper's eq. 6: mean of the masks weighted by their scores, over the chance that a cell is kept."""
    out = np.zeros(masks.shape[1:])
    for mask, score in zip(masks, scores, strict=True):
        out += float(score) * mask.astype(np.float64)
    return out / (keep * len(masks))


def lime(rows: np.ndarray, scores: np.ndarray, width: float, ridge: float) -> tuple[np.ndarray, float]:
    """Weights of units and R squared: weighted least squares in loops, the penalty as extra rows that the intercept lacks."""
    units = rows.shape[1]
    weights, system, right = [], [], []
    for row, score in zip(rows, scores, strict=True):
        present = sum(bool(x) for x in row)
        cosine = present / (math.sqrt(present) * math.sqrt(units)) if present else 0.0
        weights.append(math.sqrt(math.exp(-((1 - cosine) ** 2) / width**2)))
        system.append([math.sqrt(weights[-1]) * float(x) for x in (1, *row)])
        right.append(math.sqrt(weights[-1]) * float(score))
    for unit in range(units):
        system.append([0.0, *(math.sqrt(ridge) * (u == unit) for u in range(units))])
        right.append(0.0)
    found = np.linalg.lstsq(np.array(system), np.array(right), rcond=None)[0]
    mean = sum(w * float(s) for w, s in zip(weights, scores, strict=True)) / sum(weights)
    left = spread = 0.0
    for w, row, score in zip(weights, rows, scores, strict=True):
        fitted = found[0] + sum(float(b) * float(x) for b, x in zip(found[1:], row, strict=True))
        left, spread = left + w * (float(score) - fitted) ** 2, spread + w * (float(score) - mean) ** 2
    return found[1:], 1 - left / spread


def shapley(value, units: int) -> np.ndarray:
    """Shapley values: what each unit adds, by the mean over all coalitions of the others; ``value`` takes a set."""
    out = np.zeros(units)
    for unit in range(units):
        others = [u for u in range(units) if u != unit]
        for size in range(units):
            weight = math.factorial(size) * math.factorial(units - size - 1) / math.factorial(units)
            for chosen in itertools.combinations(others, size):
                out[unit] += weight * (value({*chosen, unit}) - value({*chosen}))
    return out


def game(units: int, seed: int = 0):
    """A score of coalitions ``(sample, unit)`` that no linear model can follow, ``(sample, 1)`` float64."""
    import torch

    rng = torch.Generator().manual_seed(seed)
    alone, pairs = (torch.randn(*shape, generator=rng, dtype=torch.float64) for shape in ((units,), (units, units)))

    def score(rows):
        z = rows.double()
        return torch.tanh((z @ alone + ((z @ pairs) * z).sum(1) / 4) / 3)[:, None]

    return score
