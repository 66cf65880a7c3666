"""Slow twins of the rules for going backward: float64, loops over units, one layer at a time."""

from __future__ import annotations

import numpy as np


def rescale_two_layers(x, r, first, second, act):
    """DeepLIFT's multipliers of ``second @ act(first @ x)``: paths through hidden units, each with its own slope."""
    out = np.zeros((len(second), len(x)))
    for k in range(len(second)):
        for j in range(len(first)):
            now = sum(first[j, i] * x[i] for i in range(len(x)))
            then = sum(first[j, i] * r[i] for i in range(len(x)))
            slope = (act(now) - act(then)) / (now - then)
            for i in range(len(x)):
                out[k, i] += second[k, j] * slope * first[j, i]
    return out


def guided_two_layers(x, first, second):
    """Guided backpropagation of ``second @ relu(first @ x)``."""
    out = np.zeros(len(x))
    for j in range(len(first)):
        hidden = sum(first[j, i] * x[i] for i in range(len(x)))
        if hidden > 0 and second[j] > 0:
            out += second[j] * first[j]
    return out


def epsilon_rule(x, weight, bias, relevance, epsilon):
    """Relevance of the inputs of a dense layer; epsilon is a share of the outputs' root mean square."""
    outputs = [sum(weight[j, i] * x[i] for i in range(len(x))) + bias[j] for j in range(len(weight))]
    size = epsilon * (sum(z**2 for z in outputs) / len(outputs)) ** 0.5
    out = np.zeros(len(x))
    for j, z in enumerate(outputs):
        for i in range(len(x)):
            out[i] += x[i] * weight[j, i] / (z + (size if z >= 0 else -size)) * relevance[j]
    return out


def gamma_rule(x, weight, bias, relevance, gamma):
    """Relevance of the inputs of a layer of any signs, without epsilon."""
    out = np.zeros(len(x))
    for j in range(len(weight)):
        z = sum(weight[j, i] * x[i] for i in range(len(x))) + bias[j]
        parts = [x[i] * weight[j, i] for i in range(len(x))]
        shares = [p + gamma * p * (p * z > 0) for p in parts]
        constant = bias[j] + gamma * bias[j] * (bias[j] * z > 0)
        for i in range(len(x)):
            out[i] += shares[i] / (sum(shares) + constant) * relevance[j]
    return out
