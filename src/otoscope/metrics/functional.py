"""The seven metrics of the literature, the mask's size, and the average drop as SpeechBrain computes it.

NaN in the input gives NaN. The published quirks of audiointerp are settings, off by default.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Annotated

import numpy as np

from otoscope.core.errors import ParameterError
from otoscope.core.registry import Help, Range, register

TIE = 1e-4
EvenAsZero = Annotated[bool, Help("0 for even and empty masks, as audiointerp gives it")]
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
        Probability of the target on the original and on the removed sound.

    Returns
    -------
    float in [-1, 1]

    Notes
    -----
    Source: parekh2022l2i.

    Examples
    --------
    >>> faithfulness(original=0.75, removed=0.25)
    0.5
    """
    return original - removed


@_scored(
    "average_increase", short="AI", unit="%", higher_is_better=True, low=0.0, high=100.0, source="chattopadhay2018gradcampp",
    means="100 where the classifier is surer on the kept sound than on the original (by more than 0.0001).",

)  # fmt: skip
def average_increase(original: float, kept: float, margin: Annotated[float, Range(0.0, 1.0)] = TIE) -> float:
    """100 if the kept part scores higher than the original, else 0; averaged over clips it is a percentage.

    Parameters
    ----------
    original, kept : float in [0, 1]
        Probability of the target on the original and on the kept sound.
    margin : float
        Smallest increase that counts; published: 0. Published code counts float noise of masks that keep everything.

    Notes
    -----
    Source: chattopadhay2018gradcampp; a margin of 1e-4 keeps ties by float noise out.

    Examples
    --------
    >>> average_increase(original=0.5, kept=0.75)
    100.0
    """
    if math.isnan(original) or math.isnan(kept):
        return math.nan
    return 100.0 if kept > original + margin else 0.0


@_scored(
    "average_drop", short="AD", unit="%", higher_is_better=False, low=0.0, high=100.0, source="chattopadhay2018gradcampp",
    means="Share of the original's probability that the kept sound loses.",
)  # fmt: skip
def average_drop(original: float, kept: float) -> float:
    """Relative loss of the target's probability on the kept part, in percent.

    Notes
    -----
    Source: chattopadhay2018gradcampp. NaN where the original's probability is 0.

    Examples
    --------
    >>> average_drop(original=0.5, kept=0.25)
    50.0
    """
    return 100.0 * max(original - kept, 0.0) / original if original > 0 else math.nan


@_scored(
    "average_drop_speechbrain", short="AD (SpeechBrain)", unit="%", higher_is_better=False, low=0.0, high=100.0,
    source="ravanelli2021speechbrain, paissan2024lmac", classes=True, compat=True,
    means="The average drop of probabilities put through a softmax once more: for comparison with published tables.",
)  # fmt: skip
def average_drop_speechbrain(original: np.ndarray, kept: np.ndarray, target: int) -> float:
    """The average drop as SpeechBrain computes it: of a softmax of the probabilities.

    Parameters
    ----------
    original, kept : ndarray (class,) in [0, 1]
        Probabilities of all classes.
    target : int
        Index of the target class.

    Returns
    -------
    float in [0, 100]
        About ``100 (1 - exp(-d))`` for an absolute drop ``d`` of the probability, so hardly more than 63.

    Raises
    ------
    ParameterError
        If there is no such class.

    Notes
    -----
    Source: ravanelli2021speechbrain, its recipe for paissan2024lmac; the second softmax there is an error. Not comparable
    with `average_drop`.

    Examples
    --------
    >>> round(average_drop_speechbrain(np.array([0.9, 0.1]), np.array([0.4, 0.6]), target=0), 1)
    34.8
    """
    if np.shape(original) != np.shape(kept) or not 0 <= target < np.size(original):
        raise ParameterError(
            f"AD as SpeechBrain computes it needs the probabilities of all classes and one of them; got shapes "
            f"{np.shape(original)} and {np.shape(kept)}, target {target}"
        )
    before, after = _softmax(original)[target], _softmax(kept)[target]
    return float(100.0 * max(before - after, 0.0) / before)


def _softmax(values: np.ndarray) -> np.ndarray:
    raised = np.exp(np.asarray(values, np.float64) - np.max(values))
    return raised / raised.sum()


@_scored(
    "average_gain", short="AG", unit="%", higher_is_better=True, low=0.0, high=100.0, source="zhang2023opticam",
    means="Share of the missing probability that the kept sound gains.",
)  # fmt: skip
def average_gain(original: float, kept: float) -> float:
    """Relative gain of the target's probability on the kept part, in percent of what was missing to 1.

    Notes
    -----
    Source: zhang2023opticam. 0 where nothing was missing.

    Examples
    --------
    >>> average_gain(original=0.5, kept=0.75)
    50.0
    """
    if math.isnan(original) or math.isnan(kept):
        return math.nan
    return 100.0 * max(kept - original, 0.0) / (1.0 - original) if original < 1 else 0.0


@_scored(
    "input_fidelity", short="Fid-In", unit="", higher_is_better=True, low=0.0, high=1.0, source="paissan2024lmac", classes=True,
    means="1 where the classifier names the same class on the kept sound as on the original.",
)  # fmt: skip
def input_fidelity(original: np.ndarray, kept: np.ndarray) -> float:
    """1 if the most probable class of the kept part is that of the original, else 0.

    Parameters
    ----------
    original, kept : ndarray (class,)
        Probabilities of all classes on the original and on the kept sound.

    Notes
    -----
    Source: paissan2024lmac.

    Examples
    --------
    >>> input_fidelity(np.array([0.9, 0.1]), np.array([0.6, 0.4]))
    1.0
    """
    if np.isnan(original).any() or np.isnan(kept).any():
        return math.nan
    return float(np.argmax(original) == np.argmax(kept))


@_shaped(
    "sparseness", short="SPS", unit="", higher_is_better=True, low=0.0, high=1.0, source="chalasani2020concise",
    means="Gini coefficient of the mask: 0 is even, near 1 is a few cells.",
)  # fmt: skip
def sparseness(mask: np.ndarray, even_as_zero: EvenAsZero = False) -> float:
    """Gini coefficient of a mask; keeping a fraction k of the cells gives 1 - k.

    Parameters
    ----------
    mask : ndarray
        At least 0.
    even_as_zero : bool
        Give masks whose values hardly differ, empty ones too, 0 as audiointerp does.

    Returns
    -------
    float in [0, 1]
        NaN for an empty mask (all zeros).

    Raises
    ------
    ParameterError
        If a value is below 0.

    Notes
    -----
    Source: chalasani2020concise.

    Examples
    --------
    >>> sparseness(np.array([[1.0, 0.0, 0.0, 0.0]]))
    0.75
    """
    values = np.sort(_cells(mask))
    if even_as_zero and _even(values):
        return 0.0
    total = values.sum()
    if not total > 0:
        return math.nan
    n = len(values)
    return float(((2 * np.arange(1, n + 1) - n - 1) * values).sum() / (n * total))


@_shaped(
    "complexity", short="COMP", unit="nats", higher_is_better=False, low=0.0, high=None, source="bhatt2020evaluating",
    means="Entropy of the mask: the logarithm of how many cells it is spread over.",
)  # fmt: skip
def complexity(mask: np.ndarray, even_as_zero: EvenAsZero = False) -> float:
    """Entropy of a mask's shares in nats; keeping k of n cells gives ln(k).

    Parameters
    ----------
    mask : ndarray
        At least 0.
    even_as_zero : bool
        Give masks whose values hardly differ, empty ones too, 0 as audiointerp does.

    Returns
    -------
    float
        ln(n) for an even mask, the highest; NaN for an empty one.

    Raises
    ------
    ParameterError
        If a value is below 0.

    Notes
    -----
    Source: bhatt2020evaluating. audiointerp gives even masks 0, the best score, which is an error.

    Examples
    --------
    >>> complexity(np.array([[1.0, 0.0, 0.0, 0.0]]))
    0.0
    """
    values = _cells(mask)
    if even_as_zero and _even(values):
        return 0.0
    total = values.sum()
    if not total > 0:
        return math.nan
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

    Examples
    --------
    >>> mask_size(np.array([[1.0, 0.0, 0.0, 0.0]]))
    0.25
    """
    return float(np.mean(mask)) if np.size(mask) else 0.0


def _cells(mask: np.ndarray) -> np.ndarray:
    values = np.asarray(mask, dtype=np.float64).ravel()
    if values.size and values.min() < 0:
        raise ParameterError(f"a mask holds values of at least 0; the lowest is {values.min():.4g}")
    return values


def _even(values: np.ndarray) -> bool:
    return not values.size or bool(np.isclose(values.max(), values.min()))  # NumPy's tolerances, as audiointerp
