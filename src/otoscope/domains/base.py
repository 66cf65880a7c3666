"""Base classes of domains and analyses, and interpolation between grids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Protocol

import numpy as np
import torch
from torch import Tensor

from otoscope.core import registry
from otoscope.core.errors import ShapeError
from otoscope.core.records import Grid
from otoscope.spectral.scales import hz_to_mel, mel_to_hz


class InputSpec(Protocol):
    """The input of a classifier, as domains need it."""

    sample_rate: int
    frontend: Any
    name: str

    def features(self, waveform: Tensor) -> Tensor:
        """Features of waveforms."""


class Analysis:
    """A batch of waveforms, decomposed into cells: the base class of analyses.

    A subclass sets ``grid`` and implements `synthesise` and `amplitude`; the other methods have defaults for
    waveforms and cells of the grid.

    Attributes
    ----------
    grid : Grid
        The cells.
    waveform : Tensor (batch, time)
        The sounds; only `complement` uses it.
    feeds : {"waveform", "features"}
        What `synthesise` returns and the classifier takes.
    silence : float or Tensor
        What `synthesise` returns for a mask of zeros; 0 for waveforms.

    Examples
    --------
    >>> model = otoscope.wrap(torch.nn.Linear(16000, 2), sample_rate=16000, labels=["yes", "no"])
    >>> analysis = make_domain("time").analyse(torch.ones(1, 16000), model)
    >>> analysis.synthesise(torch.ones(1, 1, 10)).shape
    torch.Size([1, 16000])
    """

    grid: Grid
    waveform: Tensor
    feeds: str = "waveform"
    silence: float | Tensor = 0.0

    def synthesise(self, mask: Tensor, index: Tensor | None = None) -> Tensor:
        """The kept part under masks ``(batch, freq, frame)``; ``index`` is the clip of each mask."""
        raise NotImplementedError

    def complement(self, kept: Tensor, index: Tensor | None = None) -> Tensor:
        """The removed part of the clip, of which ``kept`` is the kept part: by default the waveform minus it."""
        return pick(self.waveform, index, len(kept)) - kept

    def amplitude(self) -> Tensor:
        """Amplitude of each cell, ``(batch, freq, frame)``, at least 0."""
        raise NotImplementedError

    def segments(self) -> Tensor | None:
        """Labels of cells that belong together, int64 ``(batch, freq, frame)``, from 0 up for each clip; None if there are none."""
        return None

    def pool(self, mask: Tensor, index: Tensor | None = None) -> Tensor:
        """Masks as `synthesise` takes them to be: where cells belong together, their mean."""
        return mask

    def grid_of(self, clip: int) -> Grid:
        """The grid of one clip: that of the batch, with the clip's own names of its rows."""
        return self.grid

    def rendition(self, clip: int) -> Any:
        """How masks on one clip are rendered, an `otoscope.domains.render.Rendition`: by default by the grid."""
        from otoscope.domains.render import GridRendition  # that module imports this one

        return GridRendition(self.grid)

    def energy_of(self, waveform: Tensor, clip: int) -> Tensor | None:
        """Energy ``(freq, frame)`` that a sound ``(time,)`` would leave in each cell of a clip; None if the grid defines it."""
        return None


class Domain:
    """A way to divide sounds into cells: the base class of domains.

    A subclass implements `grid` and `analyse`.

    Attributes
    ----------
    name : str
        Name in the registry.
    settings : mapping
        Every setting with its value.
    one_window : bool
        Whether cells differ from one window of a long sound to the next.

    Examples
    --------
    >>> model = otoscope.wrap(torch.nn.Linear(16000, 2), sample_rate=16000, labels=["yes", "no"])
    >>> make_domain("time", {"ms": 250.0}).grid(16000, model).shape
    (1, 4)
    """

    name: str
    settings: Mapping[str, Any] = {}
    one_window: bool = False

    def grid(self, n_samples: int, listener: InputSpec) -> Grid:
        """The cells of a clip of so many samples at the classifier's rate."""
        raise NotImplementedError

    def analyse(self, waveform: Tensor, listener: InputSpec) -> Analysis:
        """Decompose waveforms ``(batch, time)`` at the classifier's rate."""
        raise NotImplementedError

    def bind(self, sounds: Sequence[Any]) -> Domain:
        """The domain for a batch of sounds (each an ``AudioSource``), one for each waveform that will be analysed."""
        return self

    def alike(self, sound: Any) -> Any:
        """A key that is equal for sounds that can be in one batch."""
        return None


def make_domain(name: str | Domain, settings: Mapping[str, Any] | None = None) -> Domain:
    """A domain by name and settings.

    Raises
    ------
    UnknownNameError, ParameterError

    Examples
    --------
    >>> make_domain("mel", {"bands": 16}).settings
    {'bands': 16, 'ms': 50.0}
    """
    if not isinstance(name, str):
        return name
    entry = registry.get("domain", name)
    return entry.target(**entry.settings(settings))


Milliseconds = Annotated[float, registry.Range(1.0, 10000.0), registry.Help("length of a cell in milliseconds")]
Bands = Annotated[int, registry.Range(1, 4096), registry.Help("number of frequency bands")]


def centres(n: int, low: float, high: float) -> np.ndarray:
    """Middles of ``n`` equal parts of a range."""
    return low + (np.arange(n) + 0.5) * (high - low) / n


def time_centres(n_samples: int, sample_rate: int, ms: float) -> np.ndarray:
    """Middles in seconds of cells of about ``ms`` that divide a clip evenly."""
    duration = n_samples / sample_rate
    return centres(max(1, round(duration * 1000 / ms)), 0.0, duration)


def regular_grid(name: str, scale: str, n_bands: int, ms: float, n_samples: int, sample_rate: int) -> Grid:
    """Bands that are evenly spaced on a scale up to Nyquist, cells of about ``ms``."""
    top = sample_rate / 2
    if scale == "mel":
        frequencies = mel_to_hz(centres(n_bands, 0.0, float(hz_to_mel(top))))
    else:
        frequencies = centres(n_bands, 0.0, top)
    return Grid(frequencies, time_centres(n_samples, sample_rate, ms), scale, name, n_samples / sample_rate, top)


def neighbours(points: np.ndarray, knots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each point the knot to its left, and the share of the one to the right of that in linear interpolation.

    Beyond the ends the nearest knot counts alone.
    """
    if len(knots) == 1:
        return np.zeros(len(points), np.int64), np.zeros(len(points))
    left = np.clip(np.searchsorted(knots, points), 1, len(knots) - 1) - 1
    share = np.clip((points - knots[left]) / (knots[left + 1] - knots[left]), 0.0, 1.0)
    return left, share


def interpolation(points: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """Weights ``(point, knot)`` of linear interpolation, constant beyond the ends; each row sums to one."""
    left, share = neighbours(points, knots)
    weights = np.zeros((len(points), len(knots)))
    rows = np.arange(len(points))
    weights[rows, left] = 1 - share
    weights[rows, np.minimum(left + 1, len(knots) - 1)] += share
    return weights


def frequency_weights(grid: Grid, frequencies: np.ndarray) -> np.ndarray:
    """Weights ``(frequency, band)`` that carry a mask on the grid to the given frequencies in Hz.

    Above the classifier's Nyquist frequency every weight is 0: sound that the classifier cannot hear is not evidence and
    goes to the removed part. That frequency itself, the last bin at the classifier's own rate, still belongs to the grid.
    """
    to_scale = hz_to_mel if grid.scale == "mel" else np.asarray
    weights = interpolation(to_scale(frequencies), to_scale(grid.frequencies))
    weights[frequencies > grid.top_hz * (1 + 1e-9)] = 0.0
    return weights


def expand(mask: Tensor, over_freq: Tensor, over_time: Tensor) -> Tensor:
    """Masks ``(batch, freq, frame)`` on a grid -> ``(batch, bin, fine frame)``."""
    return over_freq @ (mask @ over_time.T)


class Segments:
    """The columns of a grid at each of many moments; neighbours fade into one another.

    Parameters
    ----------
    left : ndarray (moment,), int
        The column to the left of each moment.
    share : ndarray (moment,)
        How much the column to the right of that counts.
    n : int
        Number of columns.
    like : Tensor
        Of the device and type that the weights shall have.
    """

    def __init__(self, left: np.ndarray, share: np.ndarray, n: int, like: Tensor):
        self.n = n
        self.left = torch.as_tensor(left, device=like.device)
        self.right = (self.left + 1).clamp_max(n - 1)
        self.share = as_tensor(share, like)

    def spread(self, values: Tensor) -> Tensor:
        """Values ``(..., column)`` -> ``(..., moment)``."""
        if self.n == 1:
            return values.expand(*values.shape[:-1], len(self.share))
        return values[..., self.left] * (1 - self.share) + values[..., self.right] * self.share

    def gather(self, values: Tensor) -> Tensor:
        """Sums of values ``(..., moment)`` over each column, ``(..., column)``."""
        out = values.new_zeros(*values.shape[:-1], self.n)
        out.index_add_(-1, self.left, values * (1 - self.share))
        return out.index_add_(-1, self.right, values * self.share)


def check_mask(mask: Tensor, grid: Grid) -> None:
    """A `ShapeError` unless the mask is ``(batch, *grid.shape)``."""
    if mask.ndim != 3 or tuple(mask.shape[1:]) != grid.shape:
        raise ShapeError(
            f"mask has shape {tuple(mask.shape)} but the {grid.domain} grid needs (batch, {grid.shape[0]}, "
            f"{grid.shape[1]}); was it made in another domain?"
        )


def pick(x: Tensor, index: Tensor | None, n: int) -> Tensor:
    """Rows of ``x`` for ``n`` masks: chosen by ``index``, else one each, or the only one for all."""
    if index is not None:
        return x if len(x) == 1 else x[index]
    if len(x) not in (1, n):
        raise ShapeError(f"{n} masks for {len(x)} clips; give as many masks as clips, or an index")
    return x


def as_tensor(weights: np.ndarray, like: Tensor) -> Tensor:
    """Weights on the device and in the real type of a tensor."""
    kind = like.real.dtype if like.is_complex() else like.dtype
    return torch.as_tensor(weights, dtype=kind, device=like.device)
