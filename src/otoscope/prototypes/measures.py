"""How far prototypes explain a classifier: numbers for each clip or prototype, and their mean.

Everything heard is scored as written: the samples of the prototype, or of the clip without a part. Intervals come from
`otoscope.metrics.bootstrap` or `otoscope.metrics.statistics.wilson_interval`, of ``Measure.values``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch

from otoscope.classifiers.base import Classifier
from otoscope.classifiers.labels import class_numbers
from otoscope.classifiers.prototype_space import audible, most_probable
from otoscope.core.errors import ParameterError, UnknownNameError
from otoscope.datasets import Dataset
from otoscope.prototypes.fitted import FittedPrototypes, Match, place_box
from otoscope.prototypes.layer_clips import Box, LayerClip, heard_scores, inside, read_clip

Removed = Literal["matched", "random", "loudest"]


@dataclass(frozen=True, eq=False)
class Measure:
    """A number for each clip or prototype.

    Parameters
    ----------
    name : str
        What it says.
    values : ndarray (item,)
        NaN if undefined.
    items : {"clips", "prototypes"}
        What the values are of.

    Examples
    --------
    >>> Measure("agreement", np.array([1.0, 0.0, np.nan]), "clips").value
    0.5
    """

    name: str
    values: np.ndarray
    items: str

    @property
    def known(self) -> np.ndarray:
        """The values that are defined."""
        return self.values[~np.isnan(self.values)]

    @property
    def value(self) -> float:
        """Their mean; NaN without any."""
        return float(self.known.mean()) if len(self.known) else float("nan")


def agreement(fitted: FittedPrototypes, clips: Sequence[LayerClip], top: int = 1) -> Measure:
    """Share of clips whose prototypes vote as the classifier decides.

    Parameters
    ----------
    fitted : FittedPrototypes
        The prototypes.
    clips : sequence of LayerClip
        What `record_clips` gives, best of clips that they were not fitted to.
    top : int, at least 1
        The vote agrees with any of so many most probable classes: for classifiers whose classes do not exclude each other.

    Raises
    ------
    ParameterError

    Examples
    --------
    >>> agreement(fit_prototypes(model, data, per_class=2), record_clips(model, data)).value > 0.8
    True
    """
    if isinstance(top, bool) or not isinstance(top, int) or top < 1:
        raise ParameterError(f"top must be a whole number of at least 1; got {top!r}")
    found = []
    for clip in clips:
        best = most_probable(clip.probabilities, fitted.space.among, top)
        found.append(float(fitted.match_clip(clip).voted in best))
    return Measure("agreement" if top == 1 else f"agreement (top {top})", np.array(found), "clips")


def coverage(fitted: FittedPrototypes, clips: Sequence[LayerClip]) -> Measure:
    """Share of clips whose predicted class has a prototype.

    Examples
    --------
    >>> coverage(fit_prototypes(model, data, per_class=1).without(["p1"]), record_clips(model, data)).value < 1
    True
    """
    there = set(fitted.space.classes.tolist())
    return Measure("coverage", np.array([float(fitted.predicted(clip) in there) for clip in clips]), "clips")


def vote_accuracy(
    fitted: FittedPrototypes, classifier: Classifier, data: Dataset, clips: Sequence[LayerClip]
) -> tuple[Measure, Measure]:
    """Share of clips whose class the prototypes vote for, and share of those to which the classifier gives it.

    Parameters
    ----------
    fitted : FittedPrototypes
        The prototypes.
    classifier : Classifier
        The classifier.
    data : Dataset
        That the clips are of; labels are matched by name.
    clips : sequence of LayerClip
        What `record_clips` gives.

    Examples
    --------
    >>> voted, decided = vote_accuracy(fit_prototypes(model, data), model, data, record_clips(model, data))
    >>> decided.value > 0.8
    True
    """
    numbers = class_numbers(data.labels, classifier)
    truth = [numbers[c.example.index] if c.example is not None else -1 for c in clips]
    voted = [float(fitted.match_clip(c).voted == t) for c, t in zip(clips, truth, strict=True)]
    decided = [float(fitted.predicted(c) == t) for c, t in zip(clips, truth, strict=True)]
    return Measure("accuracy of the vote", np.array(voted), "clips"), Measure("accuracy", np.array(decided), "clips")


def heard_purity(fitted: FittedPrototypes, classifier: Classifier) -> Measure:
    """Share of prototypes to whose sound the classifier gives their class.

    Parameters
    ----------
    fitted : FittedPrototypes
        The prototypes; undefined for centres, which are no sound.
    classifier : Classifier
        That of the prototypes.

    Raises
    ------
    ParameterError
        For another classifier.

    Examples
    --------
    >>> heard_purity(fit_prototypes(model, data, per_class=1), model).value
    1.0
    """
    fitted.space.check(classifier)
    values = np.full(len(fitted), np.nan)
    for i, p in enumerate(fitted.prototypes):
        if p.sound is not None:
            scores = torch.from_numpy(heard_scores(classifier, [p.sound], [p.sample_rate])[0])
            values[i] = float(most_probable(scores, fitted.space.among)[0] == p.label)
    return Measure("heard purity", values, "prototypes")


def heard_deletion(
    fitted: FittedPrototypes,
    classifier: Classifier,
    clips: Sequence[LayerClip],
    removed: Removed = "matched",
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Measure:
    """Drop of the probability of the predicted class, as heard, when the part of the clip that matched is removed.

    Parameters
    ----------
    fitted : FittedPrototypes
        The prototypes.
    classifier : Classifier
        That of the prototypes.
    clips : sequence of LayerClip
        What `record_clips` gives of a data set.
    removed : {"matched", "random", "loudest"}
        The place that is most like the strongest prototype of the predicted class; for comparison, a random place with sound, or
        the loudest one, of the same kind.
    seed : int
        Of random places.
    progress : callable, optional
        Called with the number of clips that are done.

    Returns
    -------
    Measure
        Undefined for clips whose class has no prototype.

    Raises
    ------
    ParameterError
        For another classifier, or clips that are no files.

    Examples
    --------
    >>> fitted, recorded = fit_prototypes(model, data, per_class=1, window_s=0.1), record_clips(model, data)
    >>> len(heard_deletion(fitted, model, recorded).values)
    18
    """
    fitted.space.check(classifier)
    if removed not in get_args(Removed):
        raise UnknownNameError("part to remove", str(removed), get_args(Removed))
    rng, values = np.random.default_rng(seed), np.full(len(clips), np.nan)
    for i, clip in enumerate(clips):
        if clip.example is None:
            raise ParameterError("sounds are removed from files: give clips of a data set (`record_clips`)")
        match = fitted.match_clip(clip)
        own = np.flatnonzero(fitted.space.classes.numpy() == match.predicted)
        if len(own):
            box = _removed_box(fitted, clip, match, own, removed, rng)
            whole = read_clip(clip.example, classifier)
            rest = whole.samples - inside(whole, box, classifier.sample_rate / 2)
            before, after = heard_scores(classifier, [whole.samples, rest], [whole.sample_rate] * 2)
            values[i] = float(before[match.predicted] - after[match.predicted])
        if progress is not None:
            progress(i + 1)
    return Measure(f"heard deletion ({removed})", values, "clips")


def _removed_box(
    fitted: FittedPrototypes, clip: LayerClip, match: Match, own: np.ndarray, removed: Removed, rng: np.random.Generator
) -> Box:
    """The place of a clip that is removed."""
    if removed == "matched":
        return match.boxes[int(own[match.similarity[own].argmax()])]
    space, cells = fitted.space, clip.cells
    width = cells.frames(space.window_s)
    heard = np.flatnonzero(audible(cells, clip.waveform, space.sample_rate, space.parts, width))
    windows = len(cells.edges_s) - width if space.parts in ("time", "both") else 1
    heard = heard if len(heard) else np.arange(windows)
    rows = len(cells.edges_hz) - 1 if space.parts in ("frequency", "both") else 1
    if removed == "random":
        at = int(rng.integers(rows)), int(rng.choice(heard))
    else:
        span = width if space.parts in ("time", "both") else len(cells.edges_s) - 1
        at = int(rng.integers(rows)), int(heard[cells.levels(clip.waveform, space.sample_rate, span)[heard].argmax()])
    return place_box(cells, space.parts, at, width)
