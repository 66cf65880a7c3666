"""Slow twins of the statistics."""

import itertools
import math


def ranks(values):
    """One more than how many are lower, plus half of how many others are equal."""
    return [1 + sum(w < v for w in values) + (sum(w == v for w in values) - 1) / 2 for v in values]


def pearson(a, b):
    ma, mb = sum(a) / len(a), sum(b) / len(b)
    top = sum((x - ma) * (y - mb) for x, y in zip(a, b))
    return top / math.sqrt(sum((x - ma) ** 2 for x in a) * sum((y - mb) ** 2 for y in b))


def kendall(a, b):
    sign = lambda v: float(v > 0) - float(v < 0)  # noqa: E731
    pairs = [(sign(a[i] - a[j]), sign(b[i] - b[j])) for i in range(len(a)) for j in range(i)]
    return sum(x * y for x, y in pairs) / math.sqrt(sum(x * x for x, _ in pairs) * sum(y * y for _, y in pairs))


def sign_flip(gaps):
    """Share of all sign patterns whose mean is at least as far from 0."""
    observed = abs(sum(gaps))
    patterns = list(itertools.product((1, -1), repeat=len(gaps)))
    return sum(abs(sum(s * g for s, g in zip(p, gaps))) >= observed - 1e-12 for p in patterns) / len(patterns)


def holm(p):
    """Step by step: the smallest times how many are left, never below an earlier one, never above 1."""
    out, highest = [0.0] * len(p), 0.0
    for step, i in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        highest = max(highest, p[i] * (len(p) - step))
        out[i] = min(highest, 1.0)
    return out


def bootstrap_means(values, draws, rng):
    """Means of clips drawn with replacement, one after another."""
    return [sum(values[k] for k in rng.integers(0, len(values), len(values))) / len(values) for _ in range(draws)]
