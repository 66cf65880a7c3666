"""Lengths: fit a sound to a length, cut a long one into overlapping windows, and weigh these to join them without a seam."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

from otoscope.audio.check import as_rate
from otoscope.core.errors import ParameterError

if TYPE_CHECKING:
    from torch import Tensor

LISTENING_WINDOW_S = 10.0  # the longest stretch of a long sound that a network is given at once
LISTENING_OVERLAP_S = 2.0
A = TypeVar("A", np.ndarray, "Tensor")


class Span(NamedTuple):
    """A window: samples ``start`` to ``stop``, the latter not included.

    Examples
    --------
    >>> Span(0, 100).stop
    100
    """

    start: int
    stop: int


def plan(frames: int, sample_rate: int, window_s: float, overlap_s: float) -> list[Span]:
    """Overlapping windows that cover a sound.

    Windows of a second or more start at whole seconds, so that they start at whole samples at every rate; therefore
    they may overlap slightly more than requested. The last one is moved back to the first whole second from which it
    reaches the end: it is up to one second shorter than the others, never a sliver. A short sound gives one window.

    Parameters
    ----------
    frames : int >= 1, samples
        Length of the sound.
    sample_rate : int, Hz
        Sample rate.
    window_s : float > 0, s
        Longest window.
    overlap_s : float in [0, window_s), s
        Neighbours share at least this.

    Returns
    -------
    list of Span
        In order of time; each overlaps the next, or, at ``overlap_s`` 0, touches it.

    Examples
    --------
    >>> plan(75 * 100, 100, 30.0, 5.0)
    [Span(start=0, stop=3000), Span(start=2500, stop=5500), Span(start=4500, stop=7500)]
    """
    rate = as_rate(sample_rate)
    if frames < 1:
        raise ParameterError(f"there must be at least one sample to cut into windows; got {frames}")
    if not (math.isfinite(window_s) and 0 <= overlap_s < window_s and window_s * rate >= 1):
        raise ParameterError(f"windows need 0 <= overlap_s < window_s; got window_s={window_s}, overlap_s={overlap_s}")
    window = int(window_s * rate)
    if frames <= window:
        return [Span(0, frames)]
    step = window - min(math.ceil(overlap_s * rate), window - 1)
    unit = rate if step >= rate else 1
    hop = step // unit * unit
    last = -(-(frames - window) // unit) * unit
    starts = [*range(0, last, hop), last]
    return [Span(start, min(start + window, frames)) for start in starts]


def plan_listening(frames: int, sample_rate: int, longest_s: float = LISTENING_WINDOW_S) -> list[Span]:
    """Windows for running a network over a long sound: 10 s, overlapping by at least 2 s.

    Parameters
    ----------
    frames : int >= 1, samples
        Length of the sound.
    sample_rate : int, Hz
        Sample rate.
    longest_s : float > 0, s
        Longest input of the network, if shorter than 10 s; the overlap is then at most a fifth of it.

    Returns
    -------
    list of Span
        See `plan`.

    Examples
    --------
    >>> plan_listening(25 * 100, 100)
    [Span(start=0, stop=1000), Span(start=800, stop=1800), Span(start=1500, stop=2500)]
    """
    window = min(LISTENING_WINDOW_S, longest_s)
    return plan(frames, sample_rate, window, min(LISTENING_OVERLAP_S, window / 5))


def fit_length(samples: A, frames: int) -> A:
    """The sound cut, or padded with silence at its end, to a length.

    Parameters
    ----------
    samples : ndarray or Tensor (..., time)
        Gradients pass through a tensor.
    frames : int >= 0, samples
        The length wanted.

    Returns
    -------
    ndarray or Tensor (..., frames)
        Of the same type; the input itself, or a view of it, unless it was padded.

    Examples
    --------
    >>> fit_length(np.ones((1, 2)), 3)
    array([[1., 1., 0.]])
    >>> fit_length(np.ones(4), 3)
    array([1., 1., 1.])
    """
    missing = frames - samples.shape[-1]
    if missing <= 0:
        return samples if missing == 0 else samples[..., :frames]
    if isinstance(samples, np.ndarray):
        return np.pad(samples, [(0, 0)] * (samples.ndim - 1) + [(0, missing)])
    from torch.nn import functional  # a tensor came, so torch is loaded

    return functional.pad(samples, (0, missing))


def crossfade(
    span: Span, spans: Sequence[Span], *, times_s: np.ndarray | None = None, sample_rate: int | None = None
) -> np.ndarray:
    """The weight of one window in the joined whole; over all windows of a plan the weights sum to one everywhere.

    Parameters
    ----------
    span : Span
        One of ``spans``.
    spans : sequence of Span
        The plan, in order of time.
    times_s : ndarray, s, optional
        Times from the start of the whole at which the weights are wanted, such as the centres of a grid's frames; times
        before the start or after the end count as these. With it, ``sample_rate`` is needed.
    sample_rate : int, Hz
        Of the whole; needed with ``times_s``.

    Returns
    -------
    ndarray, float64, in [0, 1]
        For each of ``times_s``, or for each sample of ``span``.

    Examples
    --------
    >>> spans = plan(300, 100, 2.0, 1.0)
    >>> spans
    [Span(start=0, stop=200), Span(start=100, stop=300)]
    >>> crossfade(spans[0], spans)[[0, 150, 199]].round(3)
    array([1.   , 0.495, 0.005])
    """
    if span not in spans:
        raise ParameterError(f"{span} is not one of the {len(spans)} windows")
    if times_s is None:
        positions = np.arange(span.start, span.stop) + 0.5
    elif sample_rate is None:
        raise ParameterError("crossfade at times in seconds needs sample_rate, in Hz")
    else:
        end = max(s.stop for s in spans)
        positions = np.asarray(times_s, dtype=np.float64) * as_rate(sample_rate)
        positions = np.clip(positions, spans[0].start + 0.5, end - 0.5)
    index = list(spans).index(span)
    lowest, highest = (positions.min(), positions.max()) if positions.size else (0.0, 0.0)
    total = np.zeros(positions.shape)
    for other, (start, stop) in enumerate(spans):
        if start <= highest and stop >= lowest:
            total += _rise_and_fall(other, spans, positions)
    own = _rise_and_fall(index, spans, positions)
    return np.asarray(np.divide(own, total, out=np.zeros(positions.shape), where=total > 0))


def _rise_and_fall(index: int, spans: Sequence[Span], positions: np.ndarray) -> np.ndarray:
    """One window's weight before all are made to sum to one: it rises and falls evenly where neighbours meet."""
    start, stop = spans[index]
    weight = ((positions >= start) & (positions < stop)).astype(np.float64)
    if index > 0 and spans[index - 1].stop > start:
        weight *= np.clip((positions - start) / (spans[index - 1].stop - start), 0.0, 1.0)
    if index + 1 < len(spans) and spans[index + 1].start < stop:
        weight *= np.clip((stop - positions) / (stop - spans[index + 1].start), 0.0, 1.0)
    return weight
