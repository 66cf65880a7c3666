"""Slow twins of attention and of what is made of it: float64, loops, whole matrices, as near to the papers as possible."""

from __future__ import annotations

import math

import numpy as np


def attention_weights(query: np.ndarray, key: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    """Softmax of ``q . k / sqrt(d) + mask`` of one head, ``(token, token)``."""
    out = np.zeros((len(query), len(key)))
    for i in range(len(query)):
        scores = [float(query[i] @ key[j]) / math.sqrt(query.shape[1]) for j in range(len(key))]
        if mask is not None:
            scores = [s + float(m) for s, m in zip(scores, mask[i], strict=True)]
        whole = sum(math.exp(s - max(scores)) for s in scores)
        out[i] = [math.exp(s - max(scores)) / whole for s in scores]
    return out


def without_lowest(joined: np.ndarray, share: float, own: int) -> np.ndarray:
    """One layer's weights without the lowest ones; those to class tokens stay."""
    n = int(share * joined.size)
    limit = sorted(joined.ravel())[n - 1] if n else -math.inf
    return np.where((joined <= limit) & (np.arange(joined.shape[1]) >= own), 0.0, joined)


def rollout(
    layers: list[np.ndarray], residual: float = 0.5, heads: str = "mean", lowest: float = 0.0, own: int = 0
) -> np.ndarray:
    """Product of all layers ``(head, token, token)``, the last on the left."""
    whole = np.eye(layers[0].shape[-1])
    for layer in layers:
        joined = without_lowest(getattr(np, heads)(layer, axis=0), lowest, own)
        joined = joined / joined.sum(1, keepdims=True)
        whole = ((1 - residual) * joined + residual * np.eye(len(joined))) @ whole
    return whole


def gradient_rollout(layers: list[np.ndarray], gradients: list[np.ndarray]) -> np.ndarray:
    """Relevance R of tokens to tokens: ``R = R + A R`` from layer to layer, without the identity it began with."""
    relevance = np.eye(layers[0].shape[-1])
    for layer, gradient in zip(layers, gradients, strict=True):
        joined = np.mean([np.maximum(a * g, 0) for a, g in zip(layer, gradient, strict=True)], axis=0)
        relevance = relevance + joined @ relevance
    return relevance - np.eye(len(relevance))


def read(matrix: np.ndarray, own: int) -> np.ndarray:
    """The mean of the rows of class tokens, or of all rows."""
    return matrix[: own or len(matrix)].mean(0)


def on_features(patches: np.ndarray, place: tuple, shape: tuple[int, int]) -> np.ndarray:
    """Patches ``(row, column)`` on the cells of features, by straight lines between their middles ``(first, step)``."""
    rows, columns = (first + step * np.arange(n) for (first, step), n in zip(place, patches.shape, strict=True))
    wide = np.array([np.interp(np.arange(shape[1]), columns, row) for row in patches])
    return np.array([np.interp(np.arange(shape[0]), rows, column) for column in wide.T]).T
