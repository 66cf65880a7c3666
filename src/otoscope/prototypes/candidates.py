"""The stretches of training clips that may become prototypes, and how like every clip is to each of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from otoscope.classifiers.prototype_space import PARTS, Parts, audible, pool, shrink
from otoscope.core.errors import OtoscopeError, ParameterError, UnknownNameError
from otoscope.prototypes.fitted import place_box
from otoscope.prototypes.layer_clips import Box, LayerClip

Method = Literal["medoids", "nearest", "kmeans", "random", "energy"]
METHODS: tuple[Method, ...] = get_args(Method)
CANDIDATES = 1000  # of a class
RADIUS = 0.5  # chosen on ESC-10, folds 2 to 5: 0 matches faint places, 2 loses agreement


@dataclass(frozen=True)
class FitSettings:
    """How prototypes are found.

    Parameters
    ----------
    per_class : int in [1, 100]
        Most prototypes of a class that the classifier predicts.
    parts : {"clip", "time", "frequency", "both"}
        What a prototype is: a whole clip, a window of time, a band of the layer's map, or a window of a band.
    window_s : float in (0, 60], s
        Length of a window, rounded to the layer's frames.
    method : {"medoids", "nearest", "kmeans", "random", "energy"}
        ``medoids``: stretches are chosen, then exchanged one by one, as long as the vote of all comes nearer to the classifier's
        decisions. ``nearest``: the stretch nearest to each centre of k-means. For comparison: ``kmeans``, those centres themselves,
        which are no sound; ``random`` stretches; ``energy``, the loudest stretches.
    hear : bool
        Give the sound of each chosen stretch to the classifier, and choose others in place of those that are not given their class:
        some passes more, of short sounds. Not for ``kmeans``, and not for the baselines.
    seed : int
        Of all random choices.

    Raises
    ------
    ParameterError, UnknownNameError

    Examples
    --------
    >>> FitSettings(per_class=2, parts="clip").method
    'medoids'
    """

    per_class: int = 3
    parts: Parts = "time"
    window_s: float = 1.0
    method: Method = "medoids"
    hear: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for name, known in (("parts", PARTS), ("method", METHODS)):
            if getattr(self, name) not in known:
                raise UnknownNameError(f"{name} of prototypes", str(getattr(self, name)), known)
        for name, low, high in (("per_class", 1, 100), ("seed", 0, 2**31 - 1)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                raise ParameterError(f"{name} must be a whole number from {low} to {high}; got {value!r}")
        if isinstance(self.window_s, bool) or not isinstance(self.window_s, int | float) or not 0 < self.window_s <= 60:
            raise ParameterError(f"window_s must be above 0 and at most 60 seconds; got {self.window_s!r}")


@dataclass(frozen=True, eq=False)
class Candidates:
    """The places of clips that may become prototypes.

    Parameters
    ----------
    vectors : Tensor (candidate, channel)
        In the layer's units.
    clips : Tensor (candidate,)
        Number of the clip of each.
    boxes : list of Box
        Where each lies in its clip.
    levels : ndarray (candidate,)
        Mean square of the clip at that time.
    mean : Tensor (channel,)
        Of all places with sound.
    radius : float
        Median distance from it, times `RADIUS`.
    """

    vectors: Tensor
    clips: Tensor
    boxes: list[Box]
    levels: np.ndarray
    mean: Tensor
    radius: float

    def seen(self, vectors: Tensor) -> Tensor:
        """Vectors as they are compared."""
        return shrink(vectors - self.mean, self.radius)


def candidates(clips: Sequence[LayerClip], settings: FitSettings, sample_rate: int) -> Candidates:
    """Places with sound, at most some hundreds of a class.

    Raises
    ------
    OtoscopeError
        If all clips are silent.
    """
    vectors, owners, boxes, levels = [], [], list[Box](), []
    for number, clip in enumerate(clips):
        width = clip.cells.frames(settings.window_s)
        places = pool(clip.map[None], settings.parts, width)[0]  # (channel, row, column)
        heard = audible(clip.cells, clip.waveform, sample_rate, settings.parts, width)
        span = width if settings.parts in ("time", "both") else len(clip.cells.edges_s) - 1
        level = clip.cells.levels(clip.waveform, sample_rate, span)
        for row in range(places.shape[1]):
            for column in np.flatnonzero(heard).tolist():
                vectors.append(places[:, row, column])
                owners.append(number)
                boxes.append(place_box(clip.cells, settings.parts, (row, column), width))
                levels.append(level[column])
    if not vectors:
        raise OtoscopeError("all clips are silent, so nothing can be a prototype; give other clips")
    every = torch.stack(vectors)
    mean = every.mean(0)
    radius = RADIUS * float((every - mean).norm(dim=1).median())
    kept = _thinned(torch.tensor([clips[i].predicted for i in owners]), settings.seed)
    return Candidates(
        every[kept], torch.tensor(owners)[kept], [boxes[i] for i in kept.tolist()], np.array(levels)[kept.numpy()], mean,
        radius,
    )  # fmt: skip


def _thinned(classes: Tensor, seed: int) -> Tensor:
    """Numbers of at most `CANDIDATES` candidates of each class, in order."""
    draw, kept = torch.Generator().manual_seed(seed), []
    for c in classes.unique().tolist():
        own = (classes == c).nonzero()[:, 0]
        kept.append(own if len(own) <= CANDIDATES else own[torch.randperm(len(own), generator=draw)[:CANDIDATES]])
    return torch.cat(kept).sort().values


def best_similarity(
    found: Candidates,
    clips: Sequence[LayerClip],
    settings: FitSettings,
    sample_rate: int,
    vectors: Tensor | None = None,
) -> Tensor:
    """The best similarity of each clip to candidates (or other vectors), ``(clip, candidate)``; -1 to those of its own.

    Own ones count in a class of which the classifier predicts no other clip.
    """
    given = found.vectors if vectors is None else vectors
    others, rows = found.seen(given), []
    for clip in clips:
        width = clip.cells.frames(settings.window_s)
        places = found.seen(pool(clip.map[None], settings.parts, width)[0].flatten(1).T)
        heard = audible(clip.cells, clip.waveform, sample_rate, settings.parts, width)
        if heard.any():
            rows_of = len(places) // len(heard)
            places = places[torch.from_numpy(np.tile(heard, rows_of))]
        rows.append((others @ places.T).amax(1))
    similarity = torch.stack(rows)
    if vectors is None:
        predicted = torch.tensor([clip.predicted for clip in clips])
        many = torch.bincount(predicted)[predicted] > 1
        own = (found.clips == torch.arange(len(clips))[:, None]) & many[:, None]
        similarity[own] = -1.0
    return similarity
