"""Which axis of a layer's output is time, and which is frequency: determined by moving a sound and looking at what moves.

A layer's output has no names. A burst that comes later moves along the frame axis and along no other; a tone that is higher moves
along the frequency axis. Unclear axes are not guessed.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

AXES = (
    *(" ".join(p) for p in itertools.permutations(("channel", "freq", "frame"))),
    *(" ".join(p) for p in itertools.permutations(("channel", "frame"))),
    "token channel",
)
PLACES = (0.2, 0.5, 0.8)  # of the burst, in the sound
PITCHES = (0.05, 0.16, 0.5)  # of the tone, relative to half the sample rate
MOVED = 0.25  # of an axis: the least way of what follows the sound
CLEAR = 2.0  # how much further it goes than along any other axis


def find_axes(output: Callable[[Tensor], Tensor], frames: int, sample_rate: int) -> str | None:
    """The axes of a layer's output after the batch, such as ``"channel freq frame"``; None if they are unclear.

    Parameters
    ----------
    output : callable
        Waveforms ``(1, time)`` -> the layer's output ``(1, ...)``.
    frames : int, samples
        Length of the sounds that are given.
    sample_rate : int, Hz
        Of the sounds.
    """
    t = np.arange(frames) / sample_rate
    quiet = 0.01 * np.random.default_rng(0).standard_normal(frames)
    loud = 0.5 * np.random.default_rng(1).standard_normal(frames)
    bursts = [quiet + loud * (np.abs(np.arange(frames) / frames - place) < 0.04) for place in PLACES]
    tones = [quiet + 0.5 * np.sin(np.pi * share * sample_rate * t) for share in PITCHES]
    given = [output(torch.from_numpy(x.astype(np.float32))[None])[0].double() for x in (quiet, *bursts, *tones)]
    changes = np.stack([(x - given[0]).square().cpu().numpy() for x in given[1:]])
    shape = changes.shape[1:]
    if len(shape) not in (2, 3):
        return None
    frame = _moving(changes[:3])
    if frame is None:
        return None
    others = [axis for axis in range(len(shape)) if axis != frame]
    names = {frame: "frame"}
    if len(shape) == 3:
        freq = _moving(changes[3:], others)
        if freq is None:  # one band alone has no pitch
            single = [axis for axis in others if shape[axis] == 1]
            freq = single[0] if len(single) == 1 else None
        if freq is None:
            return None
        names[freq] = "freq"
    return " ".join(names.get(axis, "channel") for axis in range(len(shape)))


def _moving(changes: np.ndarray, axes: list[int] | None = None) -> int | None:
    """The axis along which three changes ``(3, ...)`` lie ever further on, if there is one and no other comes near."""
    ways = {}
    for axis in range(changes.ndim - 1) if axes is None else axes:
        profile = changes.sum(tuple(a + 1 for a in range(changes.ndim - 1) if a != axis))
        profile = profile - profile.min(1, keepdims=True)  # a change of the whole map, as by a norm, has no place
        n = profile.shape[1]
        if n == 1 or not np.isfinite(profile).all() or (profile.sum(1) <= 0).any():
            ways[axis] = 0.0
            continue
        first, middle, last = (profile / profile.sum(1, keepdims=True)) @ np.linspace(0, 1, n)
        ways[axis] = last - first if first < middle < last else 0.0
    best = max(ways, key=lambda axis: ways[axis])
    others = [way for axis, way in ways.items() if axis != best]
    return best if ways[best] >= MOVED and ways[best] >= CLEAR * max(others, default=0.0) else None
