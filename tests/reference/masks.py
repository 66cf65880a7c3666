"""Slow twins of the mask functions, cell by cell."""

import itertools
import math


def _map(f, values):
    return [[f(v) for v in row] for row in values]


def _cells(values):
    return [v for row in values for v in row]


def _keep(values, chosen):
    width = len(values[0])
    return [[1.0 if i * width + j in chosen else 0.0 for j in range(width)] for i in range(len(values))]


def minmax(values):
    low, high = min(_cells(values)), max(_cells(values))
    return _map(lambda v: (v - low) / (high - low) if high > low else 0.0, values)


def sigmoid(values):
    cells = _cells(values)
    mean = sum(cells) / len(cells)
    spread = math.sqrt(sum((v - mean) ** 2 for v in cells) / len(cells))
    return _map(lambda v: 1 / (1 + math.exp(-v / spread)) if min(cells) < max(cells) else 0.5, values)


def binary(values):
    return _map(lambda v: 1.0 if v > 0 else 0.0, values)


def topk(values, keep):
    """The round(keep * n) highest cells; of equal ones the first in reading order."""
    cells = _cells(values)
    chosen = set()
    for _ in range(round(keep * len(cells))):
        chosen.add(max((i for i in range(len(cells)) if i not in chosen), key=lambda i: (cells[i], -i)))
    return _keep(values, chosen)


def positive(values):
    high = max(_cells(values))
    return _map(lambda v: max(v, 0.0) / high if high > 0 else 0.0, values)


def positive_sigmoid(values):
    part = [max(v, 0.0) for v in _cells(values)]
    size = math.sqrt(sum(v * v for v in part) / len(part))
    return _map(lambda v: 1 / (1 + math.exp(-max(v, 0.0) / size)) if size else 0.5, values)


def positive_threshold(values, threshold):
    high = max(_cells(values))
    return _map(lambda v: 1.0 if v > 0 and v / high >= threshold else 0.0, values)


def positive_topk(values, keep):
    top = topk(values, keep)
    return [[t if v > 0 else 0.0 for t, v in zip(tr, vr)] for tr, vr in zip(top, values)]


def energy_size(values, share):
    """How many cells the smallest set with this share of the positive sum has, by trying every set (few cells only)."""
    part = [max(v, 0.0) for v in _cells(values)]
    wanted = share * sum(part) * (1 - 1e-12)
    for size in range(len(part) + 1):
        if any(sum(chosen) >= wanted for chosen in itertools.combinations(part, size)):
            return size
    return len(part)


def topk_quantile(values, keep):
    """Every cell at or above the quantile, which lies between two of the ordered cells."""
    cells = sorted(_cells(values))
    place = (1 - keep) * (len(cells) - 1)
    low = min(int(place), len(cells) - 1)
    high = min(low + 1, len(cells) - 1)
    quantile = cells[low] + (place - low) * (cells[high] - cells[low])
    return _map(lambda v: 1.0 if v >= quantile - 1e-12 * abs(quantile) else 0.0, values)


def positive_topk_quantile(values, keep):
    return topk_quantile(_map(lambda v: max(v, 0.0), values), keep)
