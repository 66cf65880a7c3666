"""The seven metrics of the literature, and the mask's size."""

from __future__ import annotations

from functools import partial

import numpy as np

from otoscope.core.registry import register

TIE = 1e-4
_scored = partial(register, "metric", family="faithfulness", of="scores")
_shaped = partial(register, "metric", family="simplicity", of="mask")


@_scored(
    "faithfulness", short="FF", unit="", higher_is_better=True, low=-1.0, high=1.0, source="parekh2022l2i",
    means="How much the target loses when the kept sound is taken away.",
)  # fmt: skip
def faithfulness(original: float, removed: float) -> float:
    """Probability of the target on the original minus that on the removed part.

    Parameters
    ----------
    original, removed : float in [0, 1]

    Returns
    -------
    float in [-1, 1]

    Notes
    -----
    Source: parekh2022l2i.
    """
    return original - removed


@_scored(
    "average_increase", short="AI", unit="%", higher_is_better=True, low=0.0, high=100.0, source="chattopadhay2018gradcampp",
    means="100 where the classifier is surer on the kept sound than on the original (by more than 0.0001).",
)  # fmt: skip
def average_increase(original: float, kept: float) -> float:
    """100 if the kept part scores higher than the original, else 0; averaged over clips it is a percentage.

    Notes
    -----
    Source: chattopadhay2018gradcampp; a margin of 1e-4 keeps ties by float noise out.
    """
    return 100.0 if kept > original + TIE else 0.0


@_scored(
    "average_drop", short="AD", unit="%", higher_is_better=False, low=0.0, high=100.0, source="chattopadhay2018gradcampp",
    means="Share of the original's probability that the kept sound loses.",
)  # fmt: skip
def average_drop(original: float, kept: float) -> float:
    """Relative loss of the target's probability on the kept part, in percent.

    Notes
    -----
    Source: chattopadhay2018gradcampp. NaN where the original's probability is 0.
    """
    return 100.0 * max(original - kept, 0.0) / original if original > 0 else float("nan")


@_scored(
    "average_gain", short="AG", unit="%", higher_is_better=True, low=0.0, high=100.0, source="zhang2023opticam",
    means="Share of the missing certainty that the kept sound wins.",
)  # fmt: skip
def average_gain(original: float, kept: float) -> float:
    """Relative gain of the target's probability on the kept part, in percent of what was missing to 1.

    Notes
    -----
    Source: zhang2023opticam. 0 where nothing was missing.
    """
    return 100.0 * max(kept - original, 0.0) / (1.0 - original) if original < 1 else 0.0


@_scored(
    "input_fidelity", short="Fid-In", unit="", higher_is_better=True, low=0.0, high=1.0, source="paissan2024lmac",
    means="1 where the classifier names the same class on the kept sound as on the original.",
)  # fmt: skip
def input_fidelity(original: np.ndarray, kept: np.ndarray) -> float:
    """1 if the most probable class of the kept part is that of the original, else 0.

    Parameters
    ----------
    original, kept : ndarray (class,)

    Notes
    -----
    Source: paissan2024lmac.
    """
    return float(np.argmax(original) == np.argmax(kept))


@_shaped(
    "sparseness", short="SPS", unit="", higher_is_better=True, low=0.0, high=1.0, source="chalasani2020concise",
    means="Gini coefficient of the mask: 0 is even, near 1 is a few cells.",
)  # fmt: skip
def sparseness(mask: np.ndarray) -> float:
    """Gini coefficient of a mask; keeping a fraction k of the cells gives 1 - k.

    Parameters
    ----------
    mask : ndarray
        At least 0.

    Returns
    -------
    float in [0, 1]
        NaN for an empty mask (all zeros), of which nothing can be said.

    Notes
    -----
    Source: chalasani2020concise.
    """
    values = np.sort(np.asarray(mask, dtype=np.float64).ravel())
    total = values.sum()
    if total <= 0:
        return float("nan")
    n = len(values)
    return float(((2 * np.arange(1, n + 1) - n - 1) * values).sum() / (n * total))


@_shaped(
    "complexity", short="COMP", unit="nats", higher_is_better=False, low=0.0, high=None, source="bhatt2020evaluating",
    means="Entropy of the mask: the logarithm of how many cells it is spread over.",
)  # fmt: skip
def complexity(mask: np.ndarray) -> float:
    """Entropy of a mask's shares in nats; keeping k of n cells gives ln(k).

    Returns
    -------
    float
        ln(n) for an even mask, the highest; NaN for an empty one.

    Notes
    -----
    Source: bhatt2020evaluating. audiointerp gives even masks 0, the best score, which is an error.
    """
    values = np.asarray(mask, dtype=np.float64).ravel()
    total = values.sum()
    if total <= 0:
        return float("nan")
    shares = values / total
    shares = shares[shares > 0]
    return float(-(shares * np.log(shares)).sum()) + 0.0


@_shaped(
    "mask_size", short="MM", unit="", higher_is_better=False, low=0.0, high=1.0, source="paissan2024lmac",
    means="Mean of the mask: the share of the grid that is kept.",
)  # fmt: skip
def mask_size(mask: np.ndarray) -> float:
    """Mean of a mask, in [0, 1].

    Notes
    -----
    Source: paissan2024lmac.
    """
    return float(np.mean(mask)) if np.size(mask) else 0.0
