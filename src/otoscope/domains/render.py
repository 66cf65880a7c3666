"""Apply a mask to a clip at its own rate, on every channel, in blocks of constant memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import numpy as np
import torch

from otoscope.audio import AudioSource
from otoscope.core.errors import UnsupportedError
from otoscope.core.records import Grid, Mask
from otoscope.domains.base import frequency_weights, neighbours
from otoscope.domains.stft import config_at
from otoscope.spectral.scales import bin_frequencies
from otoscope.spectral.stft import istft, stft

BLOCK_S = 20.0


class Rendition(Protocol):
    """How masks on one clip are heard.

    Examples
    --------
    >>> grid = otoscope.Grid(np.array([100.0, 300.0]), np.array([0.5]), "hz", "stft", 1.0, 400.0)
    >>> GridRendition(grid).clips(otoscope.Clip(np.ones((1, 800)), 800), np.ones((1, 2, 1)), 0, 800).shape
    (1, 1, 800)
    """

    @property
    def facts(self) -> Mapping[str, Any]:
        """What a record holds about the cells, in addition to their grid."""

    def clips(self, sound: AudioSource, masks: np.ndarray, start: int, stop: int) -> np.ndarray:
        """Many masks on one stretch of the sound; shapes are those of `render_clips`."""


class GridRendition:
    """Masks are carried from their grid to the STFT: what most domains do."""

    facts: Mapping[str, Any] = {}

    def __init__(self, grid: Grid):
        self.grid = grid

    def clips(self, sound: AudioSource, masks: np.ndarray, start: int, stop: int) -> np.ndarray:
        return render_clips(sound, masks, self.grid, start, stop)


def render_blocks(
    sound: AudioSource, mask: Mask, block_s: float = BLOCK_S, rendition: Rendition | None = None
) -> Iterator[np.ndarray]:
    """The kept sound, block after block, ``(channel, time)`` float32; the removed one is the sound minus it.

    Each block is read with a margin, its STFT frames lie where those of the whole sound lie, and the mask is one over the
    whole clip: the blocks join without a seam, and equal the whole rendered at once.

    Parameters
    ----------
    sound : AudioSource or Clip
        The sound, at its own rate and with all its channels.
    mask : Mask
        On a grid over the whole sound.
    block_s : float, s
        Length of a block; memory grows with it.
    rendition : Rendition, optional
        How masks on this sound are heard; by default by the grid.

    Examples
    --------
    >>> sound = otoscope.load_audio("bark.wav")
    >>> grid = Grid(np.array([8000.0]), np.array([0.25]), "hz", "stft", sound.duration, 16000.0)
    >>> kept = list(render_blocks(sound, Mask(np.ones((1, 1)), grid, "binary")))
    >>> np.allclose(kept[0], sound.samples, atol=1e-5)
    True
    """
    rendition = GridRendition(mask.grid) if rendition is None else rendition
    rate, hop = sound.sample_rate, config_at(sound.sample_rate).hop_length
    step = max(1, round(block_s * rate / hop)) * hop
    for start in range(0, sound.frames, step):
        stop = min(start + step, sound.frames)
        yield rendition.clips(sound, mask.values[None], start, stop)[0]


def render_clips(sound: AudioSource, masks: np.ndarray, grid: Grid, start: int, stop: int) -> np.ndarray:
    """Many masks on one stretch of a sound.

    Parameters
    ----------
    sound : AudioSource or Clip
        The sound, at its own rate and with all its channels.
    masks : ndarray (mask, freq, frame)
        In [0, 1]; 1 keeps a cell.
    grid : Grid
        The cells of the masks, over the whole sound.
    start, stop : int, samples
        ``start`` is a multiple of the STFT's hop.

    Returns
    -------
    ndarray (mask, channel, time), float32

    Raises
    ------
    UnsupportedError
        If the grid alone does not define its cells (components).

    Examples
    --------
    >>> grid = otoscope.Grid(np.array([100.0, 300.0]), np.array([0.5]), "hz", "stft", 1.0, 400.0)
    >>> render_clips(otoscope.Clip(np.ones((1, 800)), 800), np.ones((3, 2, 1)), grid, 0, 800).shape
    (3, 1, 800)
    """
    if grid.scale == "components":
        raise UnsupportedError(
            f"masks on {grid.domain} are heard through the analysis that found them: use analysis.rendition(clip)"
        )
    render = _in_time if grid.scale == "none" else _in_bins
    with torch.inference_mode():
        return render(sound, masks, grid, start, stop)


def _in_time(sound: AudioSource, masks: np.ndarray, grid: Grid, start: int, stop: int) -> np.ndarray:
    samples = torch.from_numpy(below(sound, grid.top_hz, start, stop))
    moments = (np.arange(start, stop) + 0.5) / sound.sample_rate
    gain = np.stack([np.interp(moments, grid.times, mask[0]) for mask in masks]).astype(np.float32)
    kept = samples * torch.from_numpy(gain)[:, None]
    return kept.numpy()


def below(sound: AudioSource, top_hz: float, start: int, stop: int) -> np.ndarray:
    """A stretch of a sound without what lies above a frequency, ``(channel, time)``; all of it where nothing does.

    ``start`` is a multiple of the STFT's hop.
    """
    if 2 * top_hz >= sound.sample_rate:
        return sound.read(start, stop)
    audible = Grid(np.array([top_hz / 2]), np.zeros(1), "hz", "all", sound.frames / sound.sample_rate, top_hz)
    return render_clips(sound, np.ones((1, 1, 1), np.float32), audible, start, stop)[0]


def _in_bins(sound: AudioSource, masks: np.ndarray, grid: Grid, start: int, stop: int) -> np.ndarray:
    rate, config = sound.sample_rate, config_at(sound.sample_rate)
    margin = config.n_fft
    samples = torch.from_numpy(sound.read(start - margin, stop + margin))
    spec = stft(samples, config)  # (channel, bin, frame)
    moments = (start - margin + np.arange(spec.shape[-1]) * config.hop_length) / rate
    fine = _carried(
        masks, grid, bin_frequencies(config.n_fft, rate), moments
    )  # (mask, frame, bin), as frames lie in memory
    kept = istft((spec.mT * fine[:, None]).mT, config, samples.shape[-1])
    return kept[..., margin : margin + stop - start].contiguous().numpy()


def _carried(masks: np.ndarray, grid: Grid, hz: np.ndarray, moments: np.ndarray) -> torch.Tensor:
    """Masks between the cells of their grid, ``(mask, moment, hz)``, linearly in time and in frequency."""
    first, last = _needed(grid.times, moments)
    near = torch.from_numpy(np.ascontiguousarray(masks[..., first:last].swapaxes(1, 2), dtype=np.float32))
    left, share = (torch.from_numpy(x) for x in neighbours(moments, grid.times[first:last]))
    right = (left + 1).clamp_max(near.shape[1] - 1)
    rows = torch.lerp(near.index_select(1, left), near.index_select(1, right), share.float()[:, None])
    return rows @ torch.from_numpy(frequency_weights(grid, hz).astype(np.float32)).T


def _needed(times: np.ndarray, moments: np.ndarray) -> tuple[int, int]:
    """The stretch of the grid that touches these moments, so that long grids cost no more than short ones."""
    first = max(0, int(np.searchsorted(times, moments[0])) - 1)
    last = min(len(times), int(np.searchsorted(times, moments[-1], side="right")) + 1)
    return (first, last) if last > first else (len(times) - 1, len(times))
