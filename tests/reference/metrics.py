"""Slow twins of the metrics, as section B of the method notes and Quantus put them."""

import math


def faithfulness(p_x, p_out):
    return p_x - p_out


def average_increase(p_x, p_in):
    return 100.0 if p_in - p_x > 1e-4 else 0.0


def average_drop(p_x, p_in):
    return 100.0 * max(p_x - p_in, 0.0) / p_x


def average_gain(p_x, p_in):
    return 100.0 * max(p_in - p_x, 0.0) / (1.0 - p_x)


def input_fidelity(p_x, p_in):
    first = lambda p: next(i for i, v in enumerate(p) if v == max(p))  # noqa: E731
    return 1.0 if first(p_x) == first(p_in) else 0.0


def gini(mask):
    """Half the mean absolute difference of all pairs, over the mean."""
    cells = [float(v) for v in mask]
    n, total = len(cells), sum(cells)
    return sum(abs(a - b) for a in cells for b in cells) / (2 * n * total)


def entropy(mask):
    total = sum(float(v) for v in mask)
    return -sum(v / total * math.log(v / total) for v in map(float, mask) if v > 0)
