"""Slow twins of the methods on maps, beside Grad-CAM: float64, loops, as near to the papers' formulas as possible."""

from __future__ import annotations

import math

import numpy as np


def grad_cam_pp(maps: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """Grad-CAM++ of maps that are never negative: weights by second and third derivatives of ``exp(logit)``, up to a factor."""
    channels, height, width = maps.shape
    out = np.zeros((height, width))
    for k in range(channels):
        total, weight = float(maps[k].sum()), 0.0
        for i in range(height):
            for j in range(width):
                first = float(gradient[k, i, j])
                second, third = first**2, first**3
                below = 2 * second + total * third
                if first > 0:
                    weight += second / below * first
        out += weight * maps[k]
    return out


def layer_cam(maps: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """Each cell times its own positive gradient, summed over channels."""
    channels, height, width = maps.shape
    out = np.zeros((height, width))
    for k in range(channels):
        for i in range(height):
            for j in range(width):
                out[i, j] += max(float(gradient[k, i, j]), 0.0) * float(maps[k, i, j])
    return out


def strength(maps: np.ndarray) -> np.ndarray:
    """Root of the sum of squares over channels."""
    channels, height, width = maps.shape
    return np.array(
        [
            [math.sqrt(sum(float(maps[k, i, j]) ** 2 for k in range(channels))) for j in range(width)]
            for i in range(height)
        ]
    )


def resized(picture: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Bilinear resizing of a picture whose pixels are areas; the border goes on."""
    out = np.zeros(shape)
    for i in range(shape[0]):
        for j in range(shape[1]):
            at = [(n + 0.5) * old / new - 0.5 for n, old, new in zip((i, j), picture.shape, shape, strict=True)]
            low = [math.floor(a) for a in at]
            for di in (0, 1):
                for dj in (0, 1):
                    y = min(max(low[0] + di, 0), picture.shape[0] - 1)
                    x = min(max(low[1] + dj, 0), picture.shape[1] - 1)
                    share = (1 - abs(at[0] - low[0] - di)) * (1 - abs(at[1] - low[1] - dj))
                    out[i, j] += share * float(picture[y, x])
    return out
