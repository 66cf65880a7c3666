"""The components domain: rows are components of the sound (NMF, harmonic and percussive, stems), columns stretches of time.

A residual is always among the rows, so that the parts sum to the clip. The rows are found for each clip
separately: their names are those of the clip's own grid (`Analysis.grid_of`).
"""

from __future__ import annotations

import copy
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from otoscope.audio import AudioSource
from otoscope.core.errors import ParameterError, ShapeError
from otoscope.core.records import Grid
from otoscope.core.registry import Range, register
from otoscope.core.runtime import require
from otoscope.domains.base import Analysis, Domain, InputSpec, Segments, as_tensor, centres, check_mask, pick
from otoscope.domains.render import below, render_clips
from otoscope.domains.separation import MOST, RESIDUAL, Separation, centroids, hpss, nmf
from otoscope.domains.stems import Stems, read_stems, stem_files
from otoscope.domains.stft import config_at
from otoscope.spectral.scales import bin_frequencies, frame_times
from otoscope.spectral.stft import StftConfig, istft, stft

FADE_S = 0.016
SHORTEST_S = 2 * FADE_S
CACHE_BYTES = 2**28  # of components


def segments_at(moments: np.ndarray, grid: Grid, like: Tensor) -> Segments:
    """The columns of a grid, which divide the clip evenly, at moments in s; neighbours fade into one another over 16 ms."""
    n = len(grid.times)
    length = grid.duration / n
    fade = min(FADE_S, length) / 2
    edges, numbers = np.arange(1, n) * length, np.arange(n)
    knots = np.stack([edges - fade, edges + fade], 1).ravel()
    steps = np.stack([numbers[:-1], numbers[1:]], 1).ravel()
    place = np.interp(moments, knots, steps) if n > 1 else np.zeros(len(moments))
    left = np.minimum(place.astype(np.int64), max(0, n - 2))
    return Segments(left, place - left, n, like)


class Separator:
    """Separate clips into components, with a cache of the last few.

    ``key`` is what the components depend on, apart from the clip; ``take`` makes them of magnitudes ``(bin, frame)`` and
    the frequencies of the bins.
    """

    _known: ClassVar[OrderedDict[tuple[object, ...], Separation]] = OrderedDict()

    def __init__(self, key: tuple[object, ...], take: Callable[[np.ndarray, np.ndarray], Separation]):
        self.key, self.take = key, take

    def __call__(self, waveform: Tensor, config: StftConfig, hz: np.ndarray) -> Separation:
        """The parts of a waveform ``(time,)``."""
        samples = np.ascontiguousarray(waveform.cpu().numpy())
        digest = hashlib.sha256(samples.tobytes()).digest()
        key = (*self.key, samples.shape, str(samples.dtype), digest, waveform.device.type)
        found = self._known.pop(key, None) or self.take(stft(waveform[None], config)[0].abs().cpu().numpy(), hz)
        self._known[key] = found
        while sum(parts.weights.nbytes for parts in self._known.values()) > CACHE_BYTES:
            self._known.popitem(last=False)
        return found


Separate = Callable[[Tensor, StftConfig, np.ndarray], Separation]


class _Components(Analysis):
    """Base class of both kinds of components."""

    def __init__(self, waveform: Tensor, grid: Grid, names: Sequence[tuple[str, ...]]):
        self.waveform, self.grid, self.names = waveform, grid, names

    def grid_of(self, clip: int) -> Grid:
        """The grid with the names of a clip's own components."""
        return replace(self.grid, rows=self.names[clip])


class SpectralAnalysis(_Components):
    """STFTs of a batch, and the share of each cell that belongs to each component."""

    def __init__(self, waveform: Tensor, sample_rate: int, grid: Grid, separate: Separate):
        self.config = config_at(sample_rate)
        self.spec = stft(waveform, self.config)  # (batch, bin, frame)
        hz = bin_frequencies(self.config.n_fft, sample_rate)
        parts = [separate(x, self.config, hz) for x in waveform.detach()]  # each by itself: as without a batch
        super().__init__(waveform, grid, [p.names for p in parts])
        self.weights = as_tensor(np.stack([p.weights for p in parts]), waveform)  # (batch, row, bin, frame)
        times = frame_times(self.spec.shape[-1], self.config.hop_length, sample_rate)
        self.segments_of_frames = segments_at(times, grid, waveform)
        self.fine = Grid(hz, times, "hz", grid.domain, grid.duration, grid.top_hz)

    def synthesise(self, mask: Tensor, index: Tensor | None = None) -> Tensor:
        check_mask(mask, self.grid)
        spec = pick(self.spec, index, len(mask))
        gains = self.segments_of_frames.spread(mask)
        if len(self.weights) == 1:
            fine = torch.einsum("nkt,kft->nft", gains, self.weights[0])
        else:
            clips = range(len(mask)) if index is None else index.tolist()
            fine = torch.stack([(g[:, None] * self.weights[i]).sum(0) for g, i in zip(gains, clips, strict=True)])
        return istft(spec * fine, self.config, self.waveform.shape[-1])

    def amplitude(self) -> Tensor:
        """Root of each cell's energy."""
        return self._energy(self.spec, self.weights).sqrt()

    def energy_of(self, waveform: Tensor, clip: int) -> Tensor:
        """Energy ``(row, column)`` that a sound ``(time,)`` would leave in each cell of a clip, such as a part of it."""
        return self._energy(stft(waveform[None], self.config), self.weights[clip : clip + 1])[0]

    def _energy(self, spec: Tensor, weights: Tensor) -> Tensor:
        rows = [torch.stack([(s * w).square().sum(0) for w in own]) for s, own in zip(spec.abs(), weights, strict=True)]
        return self.segments_of_frames.gather(torch.stack(rows)).clamp_min(0)

    def rendition(self, clip: int) -> SpectralRendition:
        return SpectralRendition(self.weights[clip].to("cpu", copy=True), self.grid, self.fine, self.names[clip])


class SpectralRendition:
    """Masks on components become masks on bins and frames, which are put on the clip at its own rate.

    ``weights`` ``(row, bin, frame)`` are the shares of each STFT cell; ``fine`` is the grid of bins and frames.
    """

    def __init__(self, weights: Tensor, grid: Grid, fine: Grid, names: tuple[str, ...]):
        self.weights, self.fine = weights, fine
        self.segments = segments_at(fine.times, grid, weights)
        self.facts: Mapping[str, Any] = {"rows": list(names)}

    def clips(self, sound: AudioSource, masks: np.ndarray, start: int, stop: int) -> np.ndarray:
        gains = self.segments.spread(torch.as_tensor(masks, dtype=self.weights.dtype))
        fine = np.stack([(g[:, None] * self.weights).sum(0).numpy() for g in gains])
        return render_clips(sound, fine, self.fine, start, stop)


class StemAnalysis(_Components):
    """Waveforms of stems and of what they lack."""

    def __init__(self, waveform: Tensor, sample_rate: int, grid: Grid, stems: Sequence[Stems]):
        self.stems, self.orders, rows, names = stems, list[list[int]](), [], []
        for x, own in zip(waveform, stems, strict=True):
            parts = torch.from_numpy(own.heard_at(sample_rate)).to(waveform)
            if parts.shape[-1] != len(x):
                raise ShapeError(
                    f"the stems have {parts.shape[-1]} samples and their clip {len(x)}; is it another clip?"
                )
            order = _by_centroid(parts, sample_rate)
            self.orders.append(order)
            names.append((*(own.names[i] for i in order), RESIDUAL))
            rows.append(torch.cat([parts[order], (x - parts.sum(0))[None]]))
        self.parts = torch.stack(rows)  # (batch, row, time)
        super().__init__(waveform, grid, names)
        self.segments_of_samples = segments_at((np.arange(waveform.shape[-1]) + 0.5) / sample_rate, grid, waveform)

    def synthesise(self, mask: Tensor, index: Tensor | None = None) -> Tensor:
        check_mask(mask, self.grid)
        return (pick(self.parts, index, len(mask)) * self.segments_of_samples.spread(mask)).sum(1)

    def amplitude(self) -> Tensor:
        """Root of each cell's energy."""
        return self.segments_of_samples.gather(self.parts.square()).clamp_min(0).sqrt()

    def energy_of(self, waveform: Tensor, clip: int) -> Tensor:
        """Energy ``(row, column)`` that a sound ``(time,)`` shares with each stem, at least 0."""
        return self.segments_of_samples.gather(self.parts[clip : clip + 1] * waveform)[0].clamp_min(0)

    def rendition(self, clip: int) -> StemRendition:
        return StemRendition(self.stems[clip], self.orders[clip], self.grid_of(clip))


class StemRendition:
    """Masks on stems are gains of the files, at the clip's rate and on its channels; ``order`` gives the row of each."""

    def __init__(self, stems: Stems, order: Sequence[int], grid: Grid):
        self.stems, self.order, self.grid = stems, order, grid
        self.facts: Mapping[str, Any] = {"rows": list(grid.rows), "stems": dict(stems.digests)}

    def clips(self, sound: AudioSource, masks: np.ndarray, start: int, stop: int) -> np.ndarray:
        whole = torch.from_numpy(below(sound, self.grid.top_hz, start, stop))
        chosen = [self.stems.clips[i] for i in self.order]
        parts = [torch.from_numpy(below(c, self.grid.top_hz, start, stop)).expand_as(whole) for c in chosen]
        rest = whole - torch.stack(parts).sum(0)
        segments = segments_at((np.arange(start, stop) + 0.5) / sound.sample_rate, self.grid, whole)
        gains = segments.spread(torch.as_tensor(masks, dtype=whole.dtype))[:, :, None]  # (mask, row, 1, time)
        kept = torch.zeros(len(masks), *whole.shape)
        for row, part in enumerate((*parts, rest)):
            kept += gains[:, row] * part
        return kept.numpy()


def _by_centroid(parts: Tensor, sample_rate: int) -> list[int]:
    """Rows in order of their spectral centroids; silent ones last."""
    config = config_at(sample_rate)
    energies = stft(parts, config).abs().square().sum(-1).cpu().numpy()
    middles = centroids(energies, bin_frequencies(config.n_fft, sample_rate))
    return [int(i) for i in np.argsort(middles, kind="stable")]  # NaN comes last


@register(
    "domain", "components", family="components", feeds="waveform", has_frequency=False, axes="parts of the sound, s",
    fixed_cells=False, placed_cells=False,
    source="haunschmid2020audiolime, fitzgerald2010hpss, driedger2014extending, lee1999nmf, fevotte2018single",
)  # fmt: skip
class ComponentsDomain(Domain):
    """Components of the sound, found in the clip itself or read from files, and the residual.

    Parameters
    ----------
    source : {"nmf", "hpss", "stems"}
        Nmf (factors), hpss (harmonic and percussive) or stems (files); a residual is always added.
    n : int in [1, MOST]
        Number of components, for nmf.
    segments_s : float in [0, 30]
        Length of a stretch of time in seconds; 0 is the whole clip.
    stems : str
        For stems: a folder that holds NAME/KIND.wav for each clip NAME.wav.
    """

    name = "components"
    one_window = True

    def __init__(
        self,
        source: Literal["nmf", "hpss", "stems"] = "nmf",
        n: Annotated[int, Range(1, MOST)] = 8,
        segments_s: Annotated[float, Range(0.0, 30.0)] = 0.0,
        stems: str = "",
    ):
        if (source == "stems") is not bool(stems):
            raise ParameterError(
                "the domain 'components' needs source=stems and stems=FOLDER together; "
                f"got source={source} and {'no folder' if not stems else f'stems={stems}'}"
            )
        if stems and not Path(stems).is_dir():
            raise ParameterError(
                f"the folder of stems {stems} does not exist; it must contain NAME/KIND.wav for each clip"
            )
        for module, package in {"nmf": [("sklearn", "scikit-learn")], "hpss": [("scipy", "scipy")]}.get(source, []):
            require(module, "components", f"the domain 'components' with source={source}", package)
        if 0 < segments_s < SHORTEST_S:
            raise ParameterError(
                f"domain 'components': segments_s must be 0 (the whole clip) or at least {SHORTEST_S:g} s, within which "
                f"neighbours fade into one another; got {segments_s:g}"
            )
        self.source, self.n, self.segments_s, self.folder = source, n, segments_s, stems
        self.settings: Mapping[str, Any] = {"source": source, "n": n, "segments_s": segments_s, "stems": stems}
        self._stems: list[Stems] | None = None

    def bind(self, sounds: Sequence[AudioSource]) -> ComponentsDomain:
        """The domain for these sounds, one for each waveform that will be analysed: their stems are read."""
        if self.source != "stems":
            return self
        made = copy.copy(self)
        made._stems = [read_stems(self.folder, sound) for sound in sounds]
        return made

    def alike(self, sound: AudioSource) -> int:
        """Sounds with the same number of components can be in one batch."""
        return len(stem_files(self.folder, sound)) if self.source == "stems" else 0

    def _rows(self) -> int:
        if self.source == "nmf":
            return self.n + 1
        if self.source == "hpss":
            return 3
        if not self._stems:
            raise ParameterError("stems belong to sounds: pass the sounds with domain.bind(sounds)")
        counts = {len(s.names) for s in self._stems}
        if len(counts) > 1:
            raise ShapeError(f"the sounds of one batch have {sorted(counts)} stems; batch those of one number together")
        return counts.pop() + 1

    def grid(self, n_samples: int, listener: InputSpec) -> Grid:
        """The cells of a clip of so many samples; the names of its rows are known once it is analysed."""
        rows, top = self._rows(), listener.sample_rate / 2
        duration = n_samples / listener.sample_rate
        columns = max(1, round(duration / self.segments_s)) if self.segments_s else 1
        names = (*(f"component {i + 1}" for i in range(rows - 1)), RESIDUAL)
        places = centres(rows, 0.0, top), centres(columns, 0.0, duration)
        return Grid(*places, "components", self.name, duration, top, names)

    def analyse(self, waveform: Tensor, listener: InputSpec) -> SpectralAnalysis | StemAnalysis:
        grid, rate = self.grid(waveform.shape[-1], listener), listener.sample_rate
        if self._stems is not None:
            if len(self._stems) != len(waveform):
                raise ShapeError(f"{len(waveform)} waveforms for the stems of {len(self._stems)} sounds")
            return StemAnalysis(waveform, rate, grid, self._stems)
        config = config_at(rate)
        steps = {"step_hz": rate / config.n_fft, "step_s": config.hop_length / rate}
        take = partial(nmf, n=self.n) if self.source == "nmf" else lambda x, _hz: hpss(x, **steps)
        return SpectralAnalysis(waveform, rate, grid, Separator((self.source, self.n, rate), take))
