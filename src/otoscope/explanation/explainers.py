"""Explainers: what every method is to the pipeline.

An explainer answers with one of three kinds of evidence, named by ``gives``:

``"attributions"``
    a signed number for each cell, from which masks are made;
``"mask"``
    a number in [0, 1] for each cell, which is the mask itself;
``"sound"``
    the kept sound; how its cells differ from the original's is described afterwards.

A method's fact ``gives`` in the registry specifies which it is; `make_explainer` makes the explainer of a request.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from otoscope.attribution import Problem, Result, attribute, method_name
from otoscope.audio import AudioSource, open_audio, peak, write_wav
from otoscope.classifiers import Classifier
from otoscope.classifiers.inspected import memory_errors
from otoscope.core import registry
from otoscope.core.errors import NonFiniteError, ShapeError
from otoscope.core.records import Clip
from otoscope.explanation.artifacts import temporary_folder

DESCRIBES = (
    "the mask does not make the sound: it describes how loud each cell of the kept sound is relative to the original's, and "
    "the attribution by how many dB it changed"
)
Progress = Callable[[int], object]


class CellExplainer(Protocol):
    """A method that gives a number for each cell."""

    @property
    def name(self) -> str:
        """As records name it."""

    @property
    def gives(self) -> str:
        """``"attributions"`` or ``"mask"``."""

    def explain(self, problem: Problem) -> Result:
        """Values ``(batch, freq, frame)``."""


class SoundGenerator(Protocol):
    """What a method that gives the kept sound makes for a classifier."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """Reasons not to rely on its sound, in whole sentences."""

    def blocks(self, source: AudioSource) -> Iterator[np.ndarray]:
        """The kept sound, block after block, ``(channel, time)``, of the same rate and length as the source."""

    def notes(self, source: AudioSource) -> tuple[str, ...]:
        """What it does to this sound."""

    def facts(self) -> dict[str, Any]:
        """What a record holds about it; ``sha256`` is the digest of its weights."""


@dataclass(frozen=True)
class AttributionExplainer:
    """A post-hoc method with its settings.

    Parameters
    ----------
    method : str or captum attribution object
        A name in the registry, or any captum attribution method.
    settings : mapping
        Its parameters; those left out have their defaults.
    name : str
        As records name it.
    precision : {"float32", "bfloat16"}
        Of the network while the method runs; scores are always computed in float32.
    """

    method: Any
    settings: Mapping[str, Any]
    name: str
    precision: str = "float32"
    gives: str = "attributions"

    def explain(self, problem: Problem) -> Result:
        """Values ``(batch, freq, frame)`` of the method."""
        inspected = problem.inspected
        inspected.precision = getattr(torch, self.precision)
        try:
            return attribute(problem, self.method, self.settings)
        finally:
            inspected.precision = torch.float32


@dataclass(frozen=True, eq=False)
class GeneratedSound:
    """The kept sound that a method gave for one clip.

    Parameters
    ----------
    kept : AudioSource
        In memory, or in a temporary file that is removed with it.
    peak : float
        Its largest absolute sample; full scale is 1.
    warnings : tuple of str
        Reasons not to rely on it.
    notes : tuple of str
        What was done to the sound.
    facts : mapping
        What the record holds about the method.
    """

    kept: AudioSource
    peak: float
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    facts: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class SoundExplainer:
    """A method that gives the kept sound.

    Parameters
    ----------
    generator : SoundGenerator
        Made for the classifier that is explained.
    name : str
        As records name the method.
    """

    generator: SoundGenerator
    name: str
    gives: str = "sound"


Explainer = CellExplainer | SoundExplainer


def make_explainer(
    method: Any,
    settings: Mapping[str, Any],
    classifier: Classifier,
    name: str = "",
    precision: str = "float32",
    batch_size: int = 16,
) -> Explainer:
    """The explainer of a method.

    Parameters
    ----------
    method : str or captum attribution object
        A name in the registry, or any captum attribution method.
    settings : mapping
        Every parameter of the method.
    classifier : Classifier
        The one that will be explained; a method that gives a sound is made for it.
    name : str
        As records name the method; by default its own name.
    precision : {"float32", "bfloat16"}
        Of the network while an attribution method runs.
    batch_size : int
        For the message where memory runs out.
    """
    if isinstance(method, str):
        entry = registry.get("method", method)
        if entry.facts.get("gives") == "sound":
            with memory_errors(batch_size):
                return SoundExplainer(entry.target(classifier, **settings), name or method)
    return AttributionExplainer(method, settings, name or method_name(method), precision)


def generate(generator: SoundGenerator, source: AudioSource, n_windows: int, progress: Progress) -> GeneratedSound:
    """Make the kept sound of a clip, once.

    A sound that the classifier hears in one window is held in memory, a longer one in a temporary file. ``progress`` is called with
    the number of windows made since its last call.

    Raises
    ------
    ShapeError
        If the sound has not the form of the source.
    NonFiniteError
        If it holds NaN or infinity.
    WriteError
        If the temporary file cannot be written.
    """
    blocks = _CheckedBlocks(generator, source, n_windows, progress)
    if n_windows == 1:
        kept: AudioSource = Clip(np.concatenate(list(blocks), axis=1), source.sample_rate, f"kept of {source.source}")
    else:
        kept = _on_disk(blocks, source)
    notes = list(generator.notes(source))
    if blocks.peak > 1:
        over = 20 * math.log10(blocks.peak)
        notes.append(
            f"the kept sound's peak lies {over:.1f} dB above full scale; its file holds it as it is, a player may clip it"
        )
    return GeneratedSound(kept, blocks.peak, generator.warnings, (*notes, DESCRIBES), generator.facts())


class _CheckedBlocks:
    """The blocks of a generated sound, checked for form and finite values as they pass."""

    def __init__(self, generator: SoundGenerator, source: AudioSource, n_windows: int, progress: Progress):
        self.generator, self.source, self.n_windows, self.progress = generator, source, n_windows, progress
        self.frames, self.peak = 0, 0.0

    def __iter__(self) -> Iterator[np.ndarray]:
        name, shape = self.source.source, (self.source.channels, self.source.frames)
        for block in self.generator.blocks(self.source):
            done = self.frames * self.n_windows // shape[1]
            self.frames += block.shape[-1]
            if block.ndim != 2 or len(block) != shape[0] or self.frames > shape[1]:
                raise ShapeError(
                    f"of the sound made for {name} a block has shape {block.shape}; the whole must have {shape}"
                )
            if not np.isfinite(block).all():
                raise NonFiniteError(
                    f"the sound made for {name} holds NaN or infinity; are the autoencoder's weights intact?"
                )
            self.peak = max(self.peak, peak(block))
            yield block.astype(np.float32, copy=False)
            self.progress(self.frames * self.n_windows // shape[1] - done)
        if self.frames != shape[1]:
            raise ShapeError(f"the sound made for {name} has {self.frames} samples; {shape[1]} were expected")


def _on_disk(blocks: _CheckedBlocks, source: AudioSource) -> AudioSource:
    room = temporary_folder()
    try:
        write_wav(Path(room.name) / "kept.wav", blocks, source.sample_rate)
        kept = open_audio(Path(room.name) / "kept.wav", in_memory_s=0)
    except BaseException:
        room.cleanup()
        raise
    weakref.finalize(kept, room.cleanup)
    return kept
