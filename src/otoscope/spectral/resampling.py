"""Resampling that gradients pass through: waveforms ``(..., time)`` at one rate -> at another."""

from __future__ import annotations

import functools
import math

import numpy as np
import torch
from torch import Tensor, nn

from otoscope.audio.check import as_rate
from otoscope.core.errors import ParameterError, ShapeError

ATTENUATION_DB = 125.0
PASSBAND = 0.913  # of the lower Nyquist frequency; the stop band begins at 1
LARGEST_KERNEL = 1 << 22
BLOCK = 1 << 16


def resample_waveform(waveform: Tensor, source_rate: int, target_rate: int) -> Tensor:
    """The waveform at another rate: a linear-phase filter without delay, flat to 91 % of the lower Nyquist frequency.

    Parameters
    ----------
    waveform : Tensor (..., time)
        Any real floating type; it is filtered in at least float32, regardless of autocast.
    source_rate, target_rate : int, Hz
        Rate of the input and of the output.

    Returns
    -------
    Tensor (..., round(time * target_rate / source_rate))
        At least one sample, rounded half up, as `otoscope.audio.resample`; differentiable. At equal rates the input itself.

    Raises
    ------
    ShapeError
        For a waveform without samples.
    ParameterError
        For a rate that is not a whole number from 100 Hz to 1 MHz, or samples that are not real floats.

    Notes
    -----
    Kaiser-windowed sinc of 125 dB, the passband of soxr's HQ setting. Sound outside the waveform counts as silence.

    Examples
    --------
    >>> resample_waveform(torch.zeros(1, 44100), 44100, 16000).shape
    torch.Size([1, 16000])
    """
    source, target = as_rate(source_rate, "source_rate"), as_rate(target_rate, "target_rate")
    if waveform.ndim < 1 or waveform.shape[-1] == 0:
        raise ShapeError(f"resampling needs a waveform (..., time) with samples; got shape {tuple(waveform.shape)}")
    if not waveform.is_floating_point():
        raise ParameterError(f"resampling needs samples as real floats, such as float32; got {waveform.dtype}")
    if source == target:
        return waveform
    common = math.gcd(source, target)
    up, down = target // common, source // common
    wanted = max(1, (2 * waveform.shape[-1] * target + source) // (2 * source))
    flat = waveform.reshape(-1, waveform.shape[-1])
    with torch.autocast(waveform.device.type, enabled=False):
        exact = flat.double() if flat.dtype == torch.float64 else flat.float()
        small = up * (down + 2 * _reach(up, down)) <= LARGEST_KERNEL
        made = (_polyphase if small else _gathered)(exact, up, down, wanted)
    return made.reshape(*waveform.shape[:-1], wanted).to(waveform.dtype)


def _reach(up: int, down: int) -> int:
    """Half the filter's length in samples of the source."""
    transition = math.pi * (1 - PASSBAND)
    taps = (ATTENUATION_DB - 8) / (2.285 * transition)
    return math.ceil(taps / 2 * max(1.0, down / up))


def _response(distance: np.ndarray, up: int, down: int) -> np.ndarray:
    """The filter at distances in samples of the source."""
    cutoff = (1 + PASSBAND) / 2 * min(1.0, up / down)
    reach = _reach(up, down)
    inside = np.clip(1 - (distance / reach) ** 2, 0, None)
    beta = 0.1102 * (ATTENUATION_DB - 8.7)
    window = np.where(inside > 0, np.i0(beta * np.sqrt(inside)) / np.i0(beta), 0.0)
    return np.asarray(cutoff * np.sinc(cutoff * distance) * window)


@functools.lru_cache(maxsize=16)
def _kernel(up: int, down: int) -> Tensor:
    """``(up, 1, down + 2 * reach)``: one filter for each output among ``down`` inputs; each passes a constant unchanged."""
    reach = _reach(up, down)
    taps = np.arange(-reach, down + reach)
    rows = np.stack([_response(taps - phase * down / up, up, down) for phase in range(up)])
    with torch.inference_mode(False):  # kept: a later call may want gradients
        return torch.from_numpy(rows / rows.sum(1, keepdims=True))[:, None]


def _polyphase(flat: Tensor, up: int, down: int, wanted: int) -> Tensor:
    reach = _reach(up, down)
    blocks = -(-wanted // up)
    padded = nn.functional.pad(flat, (reach, max(0, blocks * down + reach - flat.shape[-1])))
    phases = nn.functional.conv1d(padded[:, None], _kernel(up, down).to(flat), stride=down)  # (batch, phase, block)
    return phases.transpose(1, 2).reshape(len(flat), blocks * up)[:, :wanted]


def _gathered(flat: Tensor, up: int, down: int, wanted: int) -> Tensor:
    """For ratios of large numbers, whose filters would fill the memory: each output's own, block after block."""
    reach = _reach(up, down)
    padded = nn.functional.pad(flat, (reach, 2 * reach + down))
    windows = padded.unfold(-1, 2 * reach + 1, 1)  # (batch, source sample, tap), no copy
    parts = []
    for start in range(0, wanted, BLOCK):
        moments = np.arange(start, min(start + BLOCK, wanted))
        first, rest = np.divmod(moments * down, up)
        weights = _response(np.arange(-reach, reach + 1) - (rest / up)[:, None], up, down)
        weights /= weights.sum(1, keepdims=True)
        chosen = windows[:, torch.from_numpy(first).to(flat.device)]
        parts.append(torch.einsum("btk,tk->bt", chosen, torch.from_numpy(weights).to(flat)))
    return torch.cat(parts, -1)
