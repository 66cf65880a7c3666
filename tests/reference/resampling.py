"""Slow twin of the differentiable resampling: each output is the sum of its definition, in float64."""

from __future__ import annotations

import math

import numpy as np


def bessel(x: float) -> float:
    """I0 by its series."""
    term, total, k = 1.0, 1.0, 0
    while term > 1e-17 * total:
        k += 1
        term *= (x / 2 / k) ** 2
        total += term
    return total


def resample(
    x: np.ndarray, source: int, target: int, passband: float = 0.913, attenuation: float = 125.0
) -> np.ndarray:
    """Kaiser-windowed sinc that ends at the lower Nyquist frequency; weights of each output sum to one."""
    common = math.gcd(source, target)
    up, down = target // common, source // common
    wanted = max(1, (2 * len(x) * target + source) // (2 * source))
    taps = (attenuation - 8) / (2.285 * math.pi * (1 - passband))  # Kaiser's formula
    reach = math.ceil(taps / 2 * max(1.0, down / up))
    cutoff = (1 + passband) / 2 * min(1.0, up / down)
    beta = 0.1102 * (attenuation - 8.7)
    out = np.zeros(wanted)
    for i in range(wanted):
        moment = i * down / up
        first = i * down // up - reach
        last = first + 2 * reach + (down if up * (down + 2 * reach) <= 1 << 22 else 0)
        total = 0.0
        for n in range(first, last + 1):
            inside = 1 - ((n - moment) / reach) ** 2
            if inside <= 0:
                continue
            angle = math.pi * cutoff * (n - moment)
            weight = (math.sin(angle) / angle if angle else 1.0) * bessel(beta * math.sqrt(inside))
            total += weight
            if 0 <= n < len(x):
                out[i] += weight * x[n]
        out[i] /= total
    return out
