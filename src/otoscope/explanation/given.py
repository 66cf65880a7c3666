"""Methods that give a sound and no attributions: the sound, what the classifier says of it, and how it differs.

A method whose fact ``gives`` is ``"sound"`` makes a `Giver` for a classifier. The given sound is kept, the rest removed;
attribution and mask are measured on both afterwards: they describe the sound and do not make it.
"""

from __future__ import annotations

import math
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from otoscope.audio import AudioSource, Span, open_audio, peak, write_wav
from otoscope.classifiers import Classifier, Inspected
from otoscope.classifiers.inspected import memory_errors, model_errors
from otoscope.core import registry
from otoscope.core.errors import NonFiniteError, ShapeError, WriteError
from otoscope.core.records import Attribution, Clip, Grid, Mask, Scores
from otoscope.explanation.joined import Joined
from otoscope.explanation.listen import batches, piece
from otoscope.explanation.request import LEVEL, Request

MOST_DB = 30.0
SILENT = 1e-5  # of the loudest cell: -100 dB
DESCRIBES = (
    "the mask does not make the sound: it describes how loud each cell of the kept sound is beside the original's, and the "
    "attribution by how many dB it changed"
)
Progress = Callable[[int], object]


class Giver(Protocol):
    """What a method that gives a sound makes for a classifier."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """Why its sound should not be relied on, in whole sentences."""
        ...

    def blocks(self, source: AudioSource) -> Iterator[np.ndarray]:
        """The kept sound, block after block, ``(channel, time)``, of the form of the source."""
        ...

    def notes(self, source: AudioSource) -> tuple[str, ...]:
        """What it does to this sound."""
        ...

    def facts(self) -> dict[str, Any]:
        """What a record says of it; ``sha256`` stands for its weights."""
        ...


@dataclass(frozen=True, eq=False)
class Given:
    """What was given for one sound.

    Parameters
    ----------
    kept : AudioSource
        In memory, or in a temporary file that goes away with it.
    peak : float
        Its largest absolute sample, full scale 1.
    warnings, notes : tuple of str
    facts : mapping
        For the record.
    """

    kept: AudioSource
    peak: float
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    facts: Mapping[str, Any]


def make_giver(request: Request, classifier: Classifier) -> Giver | None:
    """The giver of a method that gives a sound; None for one that gives attributions."""
    if not isinstance(request.method, str):
        return None
    entry = registry.get("method", request.method)
    if entry.facts.get("gives") != "sound":
        return None
    with memory_errors(request.batch_size):
        made: Giver = entry.target(classifier, **request.method_settings)
    return made


def give(giver: Giver, source: AudioSource, n_windows: int, tick: Progress) -> Given:
    """Have the kept sound made, once.

    Parameters
    ----------
    giver : Giver
    source : AudioSource
    n_windows : int
        How many windows the sound is heard in: what is heard at once is held in memory, the rest in a temporary file.
    tick : callable
        Called with the number of windows that were made since.

    Raises
    ------
    ShapeError
        If it has not the form of the source.
    NonFiniteError
        If it holds NaN or infinity.
    WriteError
        If the temporary file cannot be written.
    """
    blocks = _Blocks(giver, source, n_windows, tick)
    kept = _gathered(blocks, source) if n_windows == 1 else _on_disk(blocks, source)
    notes = list(giver.notes(source))
    if blocks.peak > 1:
        over = 20 * math.log10(blocks.peak)
        notes.append(
            f"the kept sound's peak lies {over:.1f} dB above full scale; its file holds it as it is, a player may clip it"
        )
    return Given(kept, blocks.peak, giver.warnings, (*notes, DESCRIBES), giver.facts())


class _Blocks:
    """Blocks that are looked at on their way."""

    def __init__(self, giver: Giver, source: AudioSource, n_windows: int, tick: Progress):
        self.giver, self.source, self.n_windows, self.tick = giver, source, n_windows, tick
        self.frames, self.peak = 0, 0.0

    def __iter__(self) -> Iterator[np.ndarray]:
        name, shape = self.source.source, (self.source.channels, self.source.frames)
        for block in self.giver.blocks(self.source):
            done = self.frames * self.n_windows // shape[1]
            self.frames += block.shape[-1]
            if block.ndim != 2 or len(block) != shape[0] or self.frames > shape[1]:
                raise ShapeError(
                    f"of the sound made for {name} a block has shape {block.shape}; the whole must have {shape}"
                )
            if not np.isfinite(block).all():
                raise NonFiniteError(
                    f"the sound made for {name} holds NaN or infinity; are the autoencoder's weights whole?"
                )
            self.peak = max(self.peak, peak(block))
            yield block.astype(np.float32, copy=False)
            self.tick(self.frames * self.n_windows // shape[1] - done)
        if self.frames != shape[1]:
            raise ShapeError(f"the sound made for {name} has {self.frames} samples; {shape[1]} were expected")


def _gathered(blocks: _Blocks, source: AudioSource) -> Clip:
    return Clip(np.concatenate(list(blocks), axis=1), source.sample_rate, f"kept of {source.source}")


def _on_disk(blocks: _Blocks, source: AudioSource) -> AudioSource:
    try:
        folder = tempfile.mkdtemp(prefix="otoscope-")
    except OSError as error:
        raise no_temporary(error) from error
    try:
        write_wav(Path(folder) / "kept.wav", blocks, source.sample_rate)
        kept = open_audio(Path(folder) / "kept.wav", in_memory_s=0)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    weakref.finalize(kept, shutil.rmtree, folder, True)
    return kept


def no_temporary(error: OSError) -> WriteError:
    """What is said where no temporary file can be made."""
    where = error.filename or "a temporary folder"
    return WriteError(where, f"{error.strerror or error}; name another folder in TMPDIR")


class Heard:
    """What a classifier says of sounds, their kept and their removed parts, and how loud the cells of the first two are.

    Parameters
    ----------
    sources : sequence of AudioSource
    given : sequence of Given
    spans : sequence of list of Span
        The windows of each sound.
    classifier : Classifier
    request : Request
    """

    def __init__(
        self,
        sources: Sequence[AudioSource],
        given: Sequence[Given],
        spans: Sequence[list[Span]],
        classifier: Classifier,
        request: Request,
    ):
        self.sources, self.given, self.spans = sources, given, spans
        self.classifier, self.request = classifier, request
        self._sums: np.ndarray = np.zeros((len(sources), 3, len(classifier.labels)))
        self._levels: dict[int, tuple[Joined, Joined]] = {}

    def listen(self, tick: Progress) -> None:
        """Hear all windows, those of one length together."""
        windows = [(i, span) for i, spans in enumerate(self.spans) for span in spans]
        for some in batches([span for _, span in windows], self.request.batch_size):
            self._hear(windows[: len(some)])
            windows = windows[len(some) :]
            tick(3 * len(some))

    def _hear(self, stretches: Sequence[tuple[int, Span]]) -> None:
        rate, n = self.classifier.sample_rate, len(stretches)
        sounds = [(self.sources[i], s) for i, s in stretches] + [(self.given[i].kept, s) for i, s in stretches]
        both = torch.from_numpy(np.stack([piece(sound, span, rate) for sound, span in sounds]))
        both = both.to(self.classifier.device)
        found = self._probabilities(torch.cat([both, both[:n] - both[n:]])).reshape(3, n, -1)
        for part, waveform in enumerate(both.split(n)):
            analysis = Inspected(self.classifier, self.request.domain, waveform).analysis
            for (i, span), values in zip(stretches, analysis.amplitude().cpu().numpy(), strict=True):
                self._joined(i, analysis.grid)[part].add(span, values, analysis.grid.times)
        for place, (i, _) in enumerate(stretches):
            self._sums[i] += found[:, place]

    def _joined(self, sound: int, window: Grid) -> tuple[Joined, Joined]:
        if sound not in self._levels:
            first, second = (Joined(window, self.sources[sound], self.spans[sound]) for _ in range(2))
            self._levels[sound] = first, second
        return self._levels[sound]

    def _probabilities(self, waveform: Tensor) -> np.ndarray:
        size, found = self.request.batch_size, []
        for some in waveform.split(size):
            with torch.no_grad(), memory_errors(len(some)), model_errors(self.classifier):
                found.append(self.classifier.probabilities(self.classifier(some)).double().cpu().numpy())
        return np.concatenate(found)

    def scores(self, sound: int) -> Scores:
        """Means over the windows of a sound."""
        return Scores(*(self._sums[sound] / len(self.spans[sound])).astype(np.float32))

    def described(self, sound: int) -> tuple[Attribution, Mask]:
        """How the kept sound differs from the original, cell by cell."""
        original, kept = self._levels[sound]
        change, share = describe(original.values, kept.values)
        return Attribution(change, original.grid, self.request.spec["method"]), Mask(share, original.grid, LEVEL)


def describe(original: np.ndarray, kept: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The change of level of each cell, and the share of it that is there.

    Parameters
    ----------
    original, kept : ndarray (freq, frame)
        Amplitudes, at least 0. A cell 100 dB below the loudest of both is silent.

    Returns
    -------
    change : ndarray (freq, frame), dB in [-30, 30], float32
        0 where both are silent.
    share : ndarray (freq, frame) in [0, 1], float32
        ``kept / original``; 0 where the original is silent: nothing of it is there to be kept.
    """
    loudest = max(float(original.max(initial=0.0)), float(kept.max(initial=0.0)))
    floor = max(SILENT * loudest, 1e-30)
    before, after = np.maximum(original.astype(np.float64), floor), np.maximum(kept.astype(np.float64), floor)
    change = np.clip(20 * np.log10(after / before), -MOST_DB, MOST_DB)
    share = np.where(original > floor, np.clip(kept / before, 0.0, 1.0), 0.0)
    return change.astype(np.float32), share.astype(np.float32)
