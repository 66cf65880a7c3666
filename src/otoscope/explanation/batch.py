"""What goes into the pipeline and what comes out: clips of one rate and length, results, sounds as heard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from otoscope.audio import AudioSource, Span
from otoscope.classifiers import Classifier
from otoscope.core.records import Attribution, Mask, Scores, Target
from otoscope.domains import Rendition
from otoscope.explanation.explainers import GeneratedSound, Progress
from otoscope.explanation.scoring import classifier_input, score_waveforms
from otoscope.explanation.windows import Window, batches, windows_of


class ClipBatch:
    """Clips of one rate and one length as one classifier hears them.

    Parameters
    ----------
    sounds : sequence of AudioSource or Clip
        All of the same rate and length. Those that need several windows are explained one at a time.
    classifier : Classifier
        The classifier that is explained.
    batch_size : int
        Most clips, or masks of clips, in one pass.
    progress : callable
        Called with the number of passes done.

    Attributes
    ----------
    targets : list of Target
        The class that is explained in each clip; set by `choose_targets`.
    """

    def __init__(
        self,
        sounds: Sequence[AudioSource],
        classifier: Classifier,
        batch_size: int = 16,
        progress: Progress = lambda _n: None,
    ):
        self.sounds, self.classifier, self.batch_size, self.progress = list(sounds), classifier, batch_size, progress
        self.spans: list[Span] = windows_of(self.sounds[0], classifier)
        self.targets: list[Target] = []

    def __len__(self) -> int:
        return len(self.sounds)

    @property
    def in_one_window(self) -> bool:
        """Whether the classifier hears each clip at once."""
        return len(self.spans) == 1

    def windows(self) -> list[list[Window]]:
        """All windows, in groups that are analysed together: all clips at once, or the windows of one long clip in batches."""
        if self.in_one_window:
            return [[Window(i, self.spans[0]) for i in range(len(self))]]
        some = list(batches(self.spans, self.batch_size))
        return [[Window(i, span) for span in spans] for i in range(len(self)) for spans in some]

    def waveforms(self, windows: Sequence[Window]) -> Tensor:
        """Windows at the classifier's rate, ``(window, time)``."""
        if self.in_one_window and len(windows) == len(self):
            return self._short
        return self._read(windows)

    @cached_property
    def _short(self) -> Tensor:
        return self._read(self.windows()[0])

    def _read(self, windows: Sequence[Window]) -> Tensor:
        rate = self.classifier.sample_rate
        pieces = [classifier_input(self.sounds[w.sound], w.span, rate) for w in windows]
        return torch.from_numpy(np.stack(pieces)).to(self.classifier.device)

    @cached_property
    def original(self) -> np.ndarray:
        """Probabilities of the clips, ``(clip, class)`` float32; of a long one the mean over its windows."""
        means = WindowMeans(self)
        for windows in self.windows():
            means.add(windows, score_waveforms(self.waveforms(windows), self.classifier, self.batch_size))
            self.progress(len(windows))
        return means.values()

    def choose_targets(self, wanted: Sequence[int | str | None]) -> list[Target]:
        """Set the class that is explained in each clip: by number or label, or None for the most probable one.

        Raises
        ------
        UnknownNameError, ParameterError
            If the classifier has no such class; checked before any clip is scored.
        """
        for one in dict.fromkeys(wanted):
            if one is not None:
                self.classifier.target(one, np.zeros(len(self.classifier.labels)))
        self.targets = [self.classifier.target(one, p) for one, p in zip(wanted, self.original, strict=True)]
        return self.targets

    def repeated(self, count: int) -> ClipBatch:
        """The only clip so many times, with what is already computed: one clip, several targets."""
        many = ClipBatch(self.sounds * count, self.classifier, self.batch_size, self.progress)
        if self.in_one_window:
            many.__dict__["_short"] = self._short.expand(count, -1)
        many.__dict__["original"] = np.repeat(self.original, count, 0)
        return many

    def only(self, i: int) -> ClipBatch:
        """One clip alone, with what is already computed."""
        alone = ClipBatch(self.sounds[i : i + 1], self.classifier, self.batch_size, self.progress)
        for name in ("_short", "original"):
            if name in self.__dict__:
                alone.__dict__[name] = self.__dict__[name][i : i + 1]
        alone.targets = self.targets[i : i + 1]
        return alone


class WindowMeans:
    """Means of probabilities over the windows of each clip, in float64.

    Parameters
    ----------
    clips : ClipBatch
        The clips.
    shape : tuple of int
        Shape of what is averaged for each clip and class.
    """

    def __init__(self, clips: ClipBatch, *shape: int):
        self._sums = np.zeros((len(clips), *shape, len(clips.classifier.labels)))
        self._windows = len(clips.spans)

    def add(self, windows: Sequence[Window], values: np.ndarray) -> None:
        """Add values ``(window, *shape, class)``."""
        for window, row in zip(windows, values, strict=True):
            self._sums[window.sound] += row

    def values(self) -> np.ndarray:
        """The means, ``(clip, *shape, class)`` float32."""
        return (self._sums / self._windows).astype(np.float32)


@dataclass(frozen=True, eq=False)
class PipelineResult:
    """What the pipeline found of one clip.

    Parameters
    ----------
    target : Target
        The class that is explained.
    attribution : Attribution
        Values of all cells.
    masks : tuple of Mask
        As they are applied: where cells belong together (superpixels), their mean.
    scores : tuple of Scores
        Under each mask, in the domain.
    rendition : Rendition, optional
        How masks on this clip are rendered; without, by their grid.
    generated : GeneratedSound, optional
        The kept sound, where the method gave it.
    seconds : float, s
        Time that the method and the scores took, for each clip.
    """

    target: Target
    attribution: Attribution
    masks: tuple[Mask, ...]
    scores: tuple[Scores, ...]
    rendition: Rendition | None
    generated: GeneratedSound | None
    seconds: float


@dataclass(frozen=True, eq=False)
class HeardSounds:
    """Kept and removed sounds of one clip under each mask, and what the classifier makes of them as heard.

    Parameters
    ----------
    kept, removed : ndarray (mask, channel, time), float32
        At the clip's own rate.
    p_kept, p_removed : ndarray (mask, class)
        Probabilities.
    """

    kept: np.ndarray
    removed: np.ndarray
    p_kept: np.ndarray
    p_removed: np.ndarray
