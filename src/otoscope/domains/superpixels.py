"""The superpixels domain: similar cells of another domain are kept or removed together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal

import numpy as np
import torch
from torch import Tensor

from otoscope.audio import AudioSource
from otoscope.core.errors import ParameterError
from otoscope.core.records import Grid
from otoscope.core.registry import Range, register
from otoscope.core.runtime import require
from otoscope.domains.base import Analysis, Domain, InputSpec, check_mask, expand, make_domain, pick
from otoscope.domains.features import FeatureAnalysis
from otoscope.domains.render import GridRendition

RANGE_DB = 80.0  # below the loudest cell all is equally silent
COMPACTNESS = 0.1
SCALE, SIGMA, MIN_SIZE = 25, 0.8, 20


class SuperpixelAnalysis(Analysis):
    """A batch taken apart in another domain, and the segment of each cell, from 0 up for each clip.

    The grid is that of the other domain, under the name of this one.
    """

    def __init__(self, inner: Analysis, grid: Grid, labels: Tensor):
        self.inner, self.grid, self.feeds, self.silence = inner, grid, inner.feeds, inner.silence
        self._labels, self._sizes = labels, sizes(labels)

    def segments(self) -> Tensor:
        return self._labels

    def pool(self, mask: Tensor, index: Tensor | None = None) -> Tensor:
        """The mean of masks over each segment."""
        check_mask(mask, self.grid)
        labels, cells = (pick(x, index, len(mask)) for x in (self._labels, self._sizes))
        return average(mask, labels.expand_as(mask), cells)

    def synthesise(self, mask: Tensor, index: Tensor | None = None) -> Tensor:
        """What is left under masks ``(batch, freq, frame)``, of which the mean over each segment counts."""
        return self.inner.synthesise(self.pool(mask, index), index)

    def complement(self, kept: Tensor, index: Tensor | None = None) -> Tensor:
        return self.inner.complement(kept, index)

    def amplitude(self) -> Tensor:
        return self.inner.amplitude()

    def rendition(self, clip: int) -> SuperpixelRendition:
        return SuperpixelRendition(self._labels[clip].cpu(), self.grid)


class SuperpixelMeans(SuperpixelAnalysis):
    """Superpixels of features, of which an absent one becomes its mean, not silence."""

    inner: FeatureAnalysis
    silence: Tensor  # (batch, 1, freq, frame)

    def __init__(self, inner: FeatureAnalysis, grid: Grid, labels: Tensor):
        super().__init__(inner, grid, labels)
        to_cells = [w.T / w.sum(0)[:, None].clamp_min(1e-12) for w in (inner.over_freq, inner.over_time)]
        means = average(expand(inner.features[:, 0], *to_cells), labels, self._sizes)
        self.silence = expand(means, inner.over_freq, inner.over_time)[:, None]

    def synthesise(self, mask: Tensor, index: Tensor | None = None) -> Tensor:
        """What is left under masks ``(batch, freq, frame)``, of which the mean over each segment counts."""
        even = self.pool(mask, index)
        fine = expand(even, self.inner.over_freq, self.inner.over_time)[:, None]
        return self.inner.synthesise(even, index) + self._rise(index, len(mask)) * (1 - fine)

    def complement(self, kept: Tensor, index: Tensor | None = None) -> Tensor:
        return self.inner.complement(kept, index) + self._rise(index, len(kept))

    def _rise(self, index: Tensor | None, n: int) -> Tensor:
        """How far the means lie above silence."""
        return pick(self.silence, index, n) - self.inner.silence


class SuperpixelRendition(GridRendition):
    """Masks are averaged over segments ``(freq, frame)``, numbered from 0 up, then carried from their grid to the STFT."""

    def __init__(self, labels: Tensor, grid: Grid):
        super().__init__(grid)
        self._labels, self._sizes = labels[None], sizes(labels[None])
        self.facts = {"segments": self._sizes.shape[1]}

    def clips(self, sound: AudioSource, masks: np.ndarray, start: int, stop: int) -> np.ndarray:
        given = torch.as_tensor(masks, dtype=torch.float32)
        even = average(given, self._labels.expand_as(given), self._sizes.expand(len(given), -1))
        return super().clips(sound, even.numpy(), start, stop)


def average(values: Tensor, labels: Tensor, cells: Tensor) -> Tensor:
    """Each cell's mean over its segment, ``(batch, freq, frame)``; ``cells`` ``(batch or 1, segment)`` are `sizes`."""
    return paint(labels, _sums(labels, values, cells.shape[1]) / cells.clamp_min(1))


def sizes(labels: Tensor) -> Tensor:
    """How many cells each segment has, ``(batch, most segments)``; 0 where a clip has fewer segments."""
    return _sums(labels, torch.ones_like(labels), int(labels.max()) + 1)


def paint(labels: Tensor, numbers: Tensor) -> Tensor:
    """Each cell gets its segment's number: labels ``(n, freq, frame)``, numbers ``(n, segment)`` -> ``(n, freq, frame)``."""
    return numbers.gather(1, labels.flatten(1)).reshape(labels.shape)


def _sums(labels: Tensor, values: Tensor, n: int) -> Tensor:
    return values.new_zeros(len(labels), n).scatter_add(1, labels.flatten(1), values.flatten(1))


def picture(amplitude: np.ndarray, decibels: bool) -> np.ndarray:
    """Log energies of cells ``(freq, frame)`` between 0, the lowest, and 1, the highest; rounded, so that a rounding of
    sums does not move a segment."""
    values = amplitude.astype(np.float64)
    if decibels:
        floor = max(float(values.max(initial=0.0)) * 10 ** (-RANGE_DB / 20), 1e-30)
        values = 20 * np.log10(np.maximum(values, floor))
    low, high = float(values.min()), float(values.max())
    return np.round((values - low) / (high - low), 4) if high > low else np.zeros_like(values)


@register(
    "domain", "superpixels", family="segments", feeds="waveform, features", has_frequency=True,
    axes="Hz, s (of the other domain)", fixed_cells=False,
    source="ribeiro2016lime, haunschmid2020audiolime, achanta2012slic, vedaldi2008quick, felzenszwalb2004efficient",
)  # fmt: skip
class SuperpixelsDomain(Domain):
    """Cells of another domain in segments of similar loudness; a mask counts by its mean over each segment.

    Parameters
    ----------
    of : {"mel", "stft", "features"}
        Whose cells.
    algorithm : {"slic", "quickshift", "felzenszwalb"}
        How segments are found.
    n : int in [1, 4096]
        About how many segments, for slic.
    kernel_size : float in [0.1, 100]
        Width of the kernel in cells, for quickshift.
    max_dist : float in [0.1, 10000]
        Longest step to a likelier cell, for quickshift: less makes more segments.
    ratio : float in [0, 1]
        Weight of loudness relative to place, for quickshift.
    hidden : {"silence", "mean"}
        What an absent segment becomes; its mean only of features.
    bands : int in [0, 4096], optional
        Number of frequency bands; none is the other domain's default.
    ms : float in [0, 10000], optional
        Length of a cell in milliseconds; none is the other domain's default.
    """

    name = "superpixels"

    def __init__(
        self,
        of: Literal["mel", "stft", "features"] = "mel",
        algorithm: Literal["slic", "quickshift", "felzenszwalb"] = "slic",
        n: Annotated[int, Range(1, 4096)] = 50,
        kernel_size: Annotated[float, Range(0.1, 100.0)] = 4.0,
        max_dist: Annotated[float, Range(0.1, 10000.0)] = 200.0,
        ratio: Annotated[float, Range(0.0, 1.0)] = 0.2,
        hidden: Literal["silence", "mean"] = "silence",
        bands: Annotated[int | None, Range(0, 4096)] = None,
        ms: Annotated[float | None, Range(0.0, 10000.0)] = None,
    ):
        if hidden == "mean" and of != "features":
            raise ParameterError(
                f"the domain 'superpixels' hides segments by their mean in features only; got hidden=mean with of={of}"
            )
        require("skimage.segmentation", "components", "the domain 'superpixels'", "scikit-image")
        given = {"bands": bands, "ms": ms}
        self.inner = make_domain(of, {k: v for k, v in given.items() if v is not None})
        self.algorithm, self.n, self.hidden = algorithm, n, hidden
        self.quickshift = {"kernel_size": kernel_size, "max_dist": max_dist, "ratio": ratio}
        self.settings: Mapping[str, Any] = {
            "of": of, "algorithm": algorithm, "n": n, **self.quickshift, "hidden": hidden, **given,
        }  # fmt: skip

    def grid(self, n_samples: int, listener: InputSpec) -> Grid:
        """The cells of a clip of so many samples: those of the other domain."""
        return replace(self.inner.grid(n_samples, listener), domain=self.name)

    def analyse(self, waveform: Tensor, listener: InputSpec) -> SuperpixelAnalysis:
        inner = self.inner.analyse(waveform, listener)
        with torch.no_grad():  # each by itself: a batch finds the segments that single clips find
            clips = [inner] if len(waveform) == 1 else [self.inner.analyse(x[None], listener) for x in waveform]
            labels = np.stack([self.labels(clip.amplitude()[0].cpu().numpy()) for clip in clips])
        found = torch.from_numpy(labels).to(waveform.device)
        kind: type[SuperpixelAnalysis] = SuperpixelMeans if self.hidden == "mean" else SuperpixelAnalysis
        return kind(inner, replace(inner.grid, domain=self.name), found)

    def labels(self, amplitude: np.ndarray) -> np.ndarray:
        """Segments of cells ``(freq, frame)`` of these amplitudes, int64 from 0 up.

        Notes
        -----
        Source: ribeiro2016lime for quickshift and its settings; haunschmid2020audiolime for felzenszwalb's scale.
        """
        segmentation = require("skimage.segmentation", "components", "the domain 'superpixels'", "scikit-image")
        image = picture(amplitude, decibels=self.inner.name != "features")
        if self.algorithm == "quickshift":
            found = segmentation.quickshift(np.repeat(image[:, :, None], 3, 2), rng=0, **self.quickshift)
        elif self.algorithm == "slic":
            found = segmentation.slic(
                image, n_segments=self.n, compactness=COMPACTNESS, start_label=0, channel_axis=None
            )
        else:
            found = segmentation.felzenszwalb(image, scale=SCALE, sigma=SIGMA, min_size=MIN_SIZE, channel_axis=None)
        return np.unique(found, return_inverse=True)[1].reshape(image.shape).astype(np.int64)
