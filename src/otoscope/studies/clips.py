"""The clips of a study as they are explained: cut, made noisy, with a planted cue; and what is true of them."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from otoscope.audio import Span, close_audio, fit_length, open_audio
from otoscope.classifiers import Inspected
from otoscope.core.errors import OtoscopeError, ParameterError, UnknownNameError, UnsupportedError
from otoscope.core.records import Clip, Grid
from otoscope.datasets import Dataset, Example, contaminator, waveform
from otoscope.datasets.plant import planter
from otoscope.datasets.prepare import add_noise_and_cue, clip_key, full_scale
from otoscope.datasets.truth import Truth, truth_of
from otoscope.domains.stft import StftAnalysis
from otoscope.domains.time import TimeAnalysis
from otoscope.explanation.scoring import classifier_input
from otoscope.metrics.ground_truth import GroundTruth
from otoscope.metrics.oracle import ideal_binary_mask, ideal_ratio_mask
from otoscope.studies.recipe import ONES, GridCondition, GridData


@dataclass(frozen=True, eq=False)
class StudyClip:
    """One clip under one condition.

    Parameters
    ----------
    name, label, fold, source : str
        ``source`` is the recording that it was cut from; clips of one source are not independent.
    sound : Clip
        Mono, at its own rate, as it is explained.
    true : ndarray (time,), optional
        The sound that explanations should find, at the same rate: a planted cue, or the stem of the clip's class.
    events : tuple of (onset, offset), s, optional
        When that sounds; None where it is unknown.
    snr_db : float, dB
        NaN if it is not a mixture.
    """

    name: str
    label: str
    fold: str
    source: str
    sound: Clip
    true: np.ndarray | None
    events: tuple[tuple[float, float], ...] | None
    snr_db: float


def choose_clips(data: Dataset, settings: GridData) -> tuple[Example, ...]:
    """The clips of a study, in the data set's order; an `OtoscopeError` where folds or files are missing or nothing is left."""
    chosen = data.folds(settings.folds).examples if settings.folds else data.examples
    if settings.files:
        known = {e.path.name for e in chosen}
        for name in settings.files:
            if name not in known:
                raise UnknownNameError("clip of the study", name, sorted(known))
        chosen = tuple(e for e in chosen if e.path.name in settings.files)
    if settings.per_class:
        counts: dict[str, int] = {}
        kept = set()
        for e in sorted(chosen, key=lambda e: (e.path.name, e.start_s)):
            counts[e.label] = counts.get(e.label, 0) + 1
            if counts[e.label] <= settings.per_class:
                kept.add(e)
        chosen = tuple(e for e in chosen if e in kept)
    if not chosen:
        raise ParameterError(f"the study has no clip: {data.name} has folds {data.fold_names()}; got {settings.folds}")
    return chosen


class Preparation:
    """Makes clips ready for one condition; contamination with other clips draws from ``pool``."""

    def __init__(self, settings: GridData, condition: GridCondition, seed: int, pool: Sequence[Path] = ()):
        self.settings, self.condition = settings, condition
        noise = _seeded(_found(condition.contaminate, settings.noises), seed)
        self.noise = contaminator(noise, pool) if condition.contaminate else None
        self.plant = planter(condition.plant) if condition.plant else None  # a cue is what it was in training

    def __call__(self, example: Example, name: str) -> StudyClip:
        """One clip, under the name that rows give it; an `OtoscopeError` if it, or one of its stems, cannot be read."""
        source = open_audio(example.path)
        rate = source.sample_rate
        close_audio(source)
        whole = np.array(waveform(example, rate), np.float32)
        frames = round(self.settings.seconds * rate) or len(whole)
        samples = fit_length(whole, frames)
        truth = known_truth(example, self.settings)
        true = _true_stem(truth, example, rate, frames)
        prepared = add_noise_and_cue(samples, rate, clip_key(example), self.noise, self.plant)
        samples, noise = prepared.samples, prepared.noise_record
        if noise is not None:
            if noise["snr_db"] is None and noise["note"].endswith("noise is silent"):
                raise ParameterError(
                    f"the noise {self.condition.contaminate!r} is silent where {example.path.name} would be; give another"
                )
            true = None if noise["rule"] == "alpha" else true
        events = None
        if truth is not None:
            events = tuple((float(e.onset), float(e.offset)) for e in truth.sounding(example.label)) or None
        if prepared.cue_record is not None:
            true = prepared.cue
            events = tuple((float(e[1]), float(e[2])) for e in prepared.cue_record["events"])
        if self.settings.peak:
            gain = 1 / full_scale(samples)
            samples, true = samples * gain, None if true is None else true * gain
        clip = Clip(np.asarray(samples, np.float32)[None], rate, str(example.path))
        snr_db = float("nan") if truth is None or truth.snr_db is None else float(truth.snr_db)
        about = (name, example.label, str(example.fold), str(example.source))
        return StudyClip(*about, clip, true, events, snr_db)


def known_truth(example: Example, settings: GridData) -> Truth | None:
    """What is known of a clip, from its data set or from label files."""
    return truth_of(example, settings.labels or None)


def clip_names(examples: Sequence[Example]) -> list[str]:
    """What rows call the clips: file names, with class and place in the file only as far as these are needed to tell them apart."""
    names = [e.path.name for e in examples]
    for longer in (
        lambda n, e, _i: f"{e.label}/{n}",
        lambda n, e, _i: f"{n}@{e.start_s:g}",
        lambda n, _e, i: f"{n}#{i}",
    ):
        often = Counter(names)
        names = [n if often[n] == 1 else longer(n, e, i) for i, (n, e) in enumerate(zip(names, examples, strict=True))]
    return names


def _found(spec: str, folder: str) -> str:
    """The spec with the whole path of a recording that lies in the folder of noises."""
    name = spec.split(",")[0].strip()
    there = Path(folder) / name
    return str(there) + spec[len(name) :] if folder and name and there.is_file() else spec


def _seeded(spec: str, seed: int) -> str:
    """The study's seed, unless the spec has its own."""
    return spec if "seed=" in spec else f"{spec},seed={seed}"


def stem_alone(example: Example, settings: GridData) -> Clip | None:
    """The labelled stem of a clip, cut as the clip is; None where there is none, an `OtoscopeError` if it cannot be read."""
    truth = known_truth(example, settings)
    if truth is None or example.label not in truth.stems:
        return None
    source = open_audio(truth.stems[example.label])
    rate, frames = source.sample_rate, source.frames
    close_audio(source)
    stem = _true_stem(truth, example, rate, round(settings.seconds * rate) or frames)
    return None if stem is None else Clip(stem[None], rate, str(example.path))


def _true_stem(truth: Truth | None, example: Example, rate: int, frames: int) -> np.ndarray | None:
    if truth is None or example.label not in truth.stems:
        return None
    stem = replace(example, path=truth.stems[example.label])
    return fit_length(np.array(waveform(stem, rate), np.float32), frames)


def digest(*parts: Any) -> str:
    """SHA-256 of plain values."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


class Digests:
    """SHA-256 of files, each read once."""

    def __init__(self) -> None:
        self._known: dict[Path, str] = {}

    def of(self, path: Path) -> str:
        """The digest, or ``absent``: what cannot be read fails later, by name."""
        if path not in self._known:
            try:
                self._known[path] = hashlib.sha256(path.read_bytes()).hexdigest()
            except OSError:
                self._known[path] = "absent"
        return self._known[path]

    def of_noise(self, condition: GridCondition, settings: GridData) -> str:
        """Of a recorded noise; empty for one that is made."""
        path = Path(_found(condition.contaminate, settings.noises).split(",")[0].strip())
        return self.of(path) if condition.contaminate and path.is_file() else ""

    def of_folder(self, folder: str) -> list[str]:
        """Of all files in a folder, or of one file."""
        root = Path(folder)
        return [self.of(p) for p in (sorted(root.rglob("*")) if root.is_dir() else [root]) if p.is_file()]

    def of_example(self, example: Example, settings: GridData) -> list[Any]:
        """What a clip's rows depend on: the sound, its place in the file, its label, source and stems."""
        try:
            truth = known_truth(example, settings)
        except OtoscopeError:
            return [self.of(example.path), example.path.name, "its truth cannot be read"]  # it fails later, by its name
        stems = [] if truth is None else [(k, self.of(Path(v))) for k, v in truth.stems.items()]
        events = [] if truth is None else [(e.label, e.onset, e.offset) for e in truth.events]
        place = [example.path.name, example.start_s, example.stop_s, example.label, example.source]
        return [self.of(example.path), *place, stems, events]


def truth_on_grid(clip: StudyClip, inspected: Inspected, i: int) -> GroundTruth | None:
    """The ground truth of clip ``i`` of a batch on the domain's grid; None where neither a stem nor events are known."""
    if clip.true is None:
        return None if clip.events is None else GroundTruth(events=clip.events)
    rate = inspected.classifier.sample_rate
    stem = Clip(clip.true[None], clip.sound.sample_rate, "stem")
    true = torch.from_numpy(classifier_input(stem, Span(0, stem.frames), rate)).to(inspected.waveform)
    parts = (true, inspected.waveform[i] - true)
    source, rest = (_energy(part, inspected, rate, inspected.grid, i) for part in parts)
    if source is None or rest is None:
        source = rest = None
    return GroundTruth(source, rest, clip.true, clip.sound.samples[0], clip.events)


def _energy(waveform: Tensor, inspected: Inspected, rate: int, grid: Grid, i: int) -> np.ndarray | None:
    """Energy of a sound in each cell of a grid; cells of features hold that of the STFT under them."""
    own = inspected.analysis.energy_of(waveform, i)
    if own is not None:
        return own.double().cpu().numpy()
    if grid.scale not in ("hz", "mel", "none"):
        return None
    analysis = (TimeAnalysis if grid.scale == "none" else StftAnalysis)(waveform[None], rate, grid)
    return analysis.amplitude()[0].double().square().cpu().numpy()


def ideal_values(name: str, truth: GroundTruth | None, shape: tuple[int, int]) -> np.ndarray:
    """The mask of the ground truth, or one that keeps everything (``control:ones``), ``(freq, frame)`` in [0, 1].

    ``oracle:ratio`` is the share of the energy that is true, ``oracle:binary`` whether most of it is; both raise an
    `UnsupportedError` if no stem is known, or the domain's cells do not hold energies.

    Source: wang2005ideal.
    """
    if name == ONES:
        return np.ones(shape, np.float32)
    if truth is None or truth.source_energy is None or truth.rest_energy is None:
        raise UnsupportedError(f"{name} needs a clip with a known stem, in a domain that holds its energy")
    make = ideal_ratio_mask if name == "oracle:ratio" else ideal_binary_mask
    found = np.nan_to_num(np.asarray(make(truth.source_energy, truth.rest_energy), np.float32), nan=0.0)
    return found.reshape(shape)
