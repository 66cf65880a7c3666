"""Bands of frequencies: third octaves, the power in each, and filters that keep or remove one."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from otoscope.core.errors import ParameterError, ShapeError

EDGE_OCTAVES = 1 / 12


def third_octaves(low_hz: float, high_hz: float) -> np.ndarray:
    """Edges of the third-octave bands between two frequencies.

    Parameters
    ----------
    low_hz, high_hz : float, Hz
        Range to cover, above 0.

    Returns
    -------
    ndarray (band + 1,), Hz
        ``1000 * 2 ** (k / 3 - 1 / 6)`` (base two, so that three make an octave); the first and last band lie wholly
        inside, but the last may be cut at ``high_hz``.

    Raises
    ------
    ParameterError
        If no band fits.
    """
    if not 0 < low_hz < high_hz < math.inf:
        raise ParameterError(f"bands need 0 < low_hz < high_hz; got {low_hz} and {high_hz}")
    first = math.ceil(3 * math.log2(low_hz / 1000) + 0.5 - 1e-9)
    last = math.floor(3 * math.log2(high_hz / 1000) + 0.5 + 1e-9)
    edges = 1000 * 2.0 ** ((np.arange(first, last + 1) - 0.5) / 3)
    if len(edges) and edges[-1] < high_hz * (1 - 1e-6):
        edges = np.append(edges, high_hz)
    if len(edges) < 2:
        raise ParameterError(f"no third octave lies between {low_hz} and {high_hz} Hz")
    return edges


def band_power(waveform: Tensor, sample_rate: int, edges: np.ndarray) -> Tensor:
    """Mean power of each band, ``(..., band)``; over bands that cover everything it sums to the mean square.

    Parameters
    ----------
    waveform : Tensor (..., time)
        Samples; full scale is 1.
    sample_rate : int, Hz
        Sample rate.
    edges : ndarray (band + 1,), Hz, rising
        Edges of the bands.
    """
    check_waveform(waveform)
    if len(edges) < 2 or not np.all(np.diff(edges) > 0):
        raise ParameterError(f"edges must rise and hold at least two; got {list(edges)}")
    n = waveform.shape[-1]
    power = torch.fft.rfft(waveform.double()).abs().square() / n**2
    power[..., 1 : (n + 1) // 2] *= 2  # both halves of the spectrum
    frequencies = np.fft.rfftfreq(n, 1 / sample_rate)
    band = np.searchsorted(edges, frequencies, side="right") - 1
    inside = torch.from_numpy((band >= 0) & (frequencies < edges[-1]))
    out = torch.zeros(*power.shape[:-1], len(edges) - 1, dtype=torch.float64, device=power.device)
    chosen = torch.from_numpy(band)[inside].to(power.device)
    return out.index_add_(-1, chosen, power[..., inside.to(power.device)])


def keep_band(waveform: Tensor, sample_rate: int, low_hz: float, high_hz: float) -> Tensor:
    """What lies between two frequencies; the waveform minus it is all the rest.

    Parameters
    ----------
    waveform : Tensor (..., time)
        Samples; full scale is 1.
    sample_rate : int, Hz
        Sample rate.
    low_hz, high_hz : float, Hz
        0 and half the rate (or more) leave that end open. Edges are half cosines of a twelfth of an octave around them:
        neighbouring bands sum to the waveform.

    Returns
    -------
    Tensor (..., time)
        Of the same length; without delay.

    Raises
    ------
    ParameterError
        For a band without width.
    """
    check_waveform(waveform)
    if not 0 <= low_hz < high_hz:
        raise ParameterError(f"a band needs 0 <= low_hz < high_hz; got {low_hz} and {high_hz}")
    n = waveform.shape[-1]
    frequencies = np.fft.rfftfreq(n, 1 / sample_rate)
    gain = _rise(frequencies, low_hz) - _rise(frequencies, high_hz if high_hz < sample_rate / 2 else math.inf)
    spectrum = torch.fft.rfft(waveform) * torch.from_numpy(gain).to(waveform)
    return torch.fft.irfft(spectrum, n)


def check_waveform(waveform: Tensor) -> None:
    """Raise an error unless it is a waveform ``(..., time)`` of float32 or float64 with samples."""
    if not isinstance(waveform, Tensor) or waveform.ndim < 1 or not waveform.shape[-1]:
        shape = tuple(getattr(waveform, "shape", ()))
        raise ShapeError(
            f"a waveform (..., time) with samples is needed; got {type(waveform).__name__} of shape {shape}"
        )
    if waveform.dtype not in (torch.float32, torch.float64):
        raise ParameterError(f"a waveform of float32 or float64 is needed; got {waveform.dtype}")


def _rise(frequencies: np.ndarray, edge_hz: float) -> np.ndarray:
    """From 0 below an edge to 1 above it."""
    if edge_hz <= 0:
        return np.ones_like(frequencies)
    if math.isinf(edge_hz):
        return np.zeros_like(frequencies)
    with np.errstate(divide="ignore"):
        octaves = np.log2(np.maximum(frequencies, 1e-9) / edge_hz)
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * np.clip(octaves / EDGE_OCTAVES + 0.5, 0, 1)))
