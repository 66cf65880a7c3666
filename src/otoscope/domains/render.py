"""Put a mask on a clip as people hear it: at its own rate, on every channel, in blocks of constant memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import torch

from otoscope.core.records import Grid, Mask
from otoscope.domains.base import frequency_weights, interpolation
from otoscope.domains.stft import config_at
from otoscope.spectral.scales import bin_frequencies
from otoscope.spectral.stft import istft, stft

BLOCK_S = 20.0


class Readable(Protocol):
    """A sound that can be read in parts."""

    @property
    def sample_rate(self) -> int:
        """Hz."""
        ...

    @property
    def frames(self) -> int:
        """Length in samples."""
        ...

    def read(self, start: int, stop: int) -> np.ndarray:
        """Samples ``(channel, time)``; silence outside."""
        ...


def render_blocks(sound: Readable, mask: Mask, block_s: float = BLOCK_S) -> Iterator[np.ndarray]:
    """The kept sound, block after block, ``(channel, time)`` float32; the removed one is the sound minus it.

    Each block is read with a margin, its STFT frames lie where those of the whole sound lie, and the mask is one over the
    whole clip: the blocks join without a seam, and equal the whole rendered at once.

    Parameters
    ----------
    sound : AudioSource or Clip
    mask : Mask
        On a grid over the whole sound.
    block_s : float, s
    """
    rate, hop = sound.sample_rate, config_at(sound.sample_rate).hop_length
    step = max(1, round(block_s * rate / hop)) * hop
    for start in range(0, sound.frames, step):
        stop = min(start + step, sound.frames)
        yield render_clips(sound, mask.values[None], mask.grid, start, stop)[0]


def render_clips(sound: Readable, masks: np.ndarray, grid: Grid, start: int, stop: int) -> np.ndarray:
    """Many masks on one stretch of a sound.

    Parameters
    ----------
    sound : AudioSource or Clip
    masks : ndarray (mask, freq, frame)
    grid : Grid
    start, stop : int, samples
        ``start`` is a multiple of the STFT's hop.

    Returns
    -------
    ndarray (mask, channel, time), float32
    """
    render = _in_time if grid.scale == "none" else _in_bins
    with torch.inference_mode():
        return render(sound, masks, grid, start, stop)


def _in_time(sound: Readable, masks: np.ndarray, grid: Grid, start: int, stop: int) -> np.ndarray:
    samples = torch.from_numpy(sound.read(start, stop))
    moments = (np.arange(start, stop) + 0.5) / sound.sample_rate
    gain = np.stack([np.interp(moments, grid.times, mask[0]) for mask in masks]).astype(np.float32)
    kept = samples * torch.from_numpy(gain)[:, None]
    if 2 * grid.top_hz >= sound.sample_rate:
        return kept.numpy()
    everywhere = np.ones((1, 1, 1), np.float32)
    audible = Grid(grid.frequencies, np.zeros(1), "hz", grid.domain, grid.duration, grid.top_hz)
    heard = torch.from_numpy(_in_bins(sound, everywhere, audible, start, stop))  # below the classifier's Nyquist
    return (heard * torch.from_numpy(gain)[:, None]).numpy()


def _in_bins(sound: Readable, masks: np.ndarray, grid: Grid, start: int, stop: int) -> np.ndarray:
    rate, config = sound.sample_rate, config_at(sound.sample_rate)
    margin = config.n_fft
    samples = torch.from_numpy(sound.read(start - margin, stop + margin))
    spec = stft(samples, config)  # (channel, bin, frame)
    moments = (start - margin + np.arange(spec.shape[-1]) * config.hop_length) / rate
    over_freq = frequency_weights(grid, bin_frequencies(config.n_fft, rate)).astype(np.float32)
    first, last = _needed(grid.times, moments)
    over_time = interpolation(moments, grid.times[first:last]).astype(np.float32)
    near = torch.from_numpy(np.ascontiguousarray(masks[..., first:last], dtype=np.float32))
    fine = torch.from_numpy(over_freq) @ near @ torch.from_numpy(over_time).T  # (mask, bin, frame)
    kept = istft(spec * fine[:, None], config, samples.shape[-1])
    return kept[..., margin : margin + stop - start].contiguous().numpy()


def _needed(times: np.ndarray, moments: np.ndarray) -> tuple[int, int]:
    """The stretch of the grid that touches these moments, so that long grids cost no more than short ones."""
    first = max(0, int(np.searchsorted(times, moments[0])) - 1)
    last = min(len(times), int(np.searchsorted(times, moments[-1], side="right")) + 1)
    return (first, last) if last > first else (len(times) - 1, len(times))
