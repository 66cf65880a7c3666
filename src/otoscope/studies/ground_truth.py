"""The ground truth on a grid: how much of the true sound, and of the rest, each cell holds."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from otoscope.audio import Span
from otoscope.classifiers import Inspected
from otoscope.core.errors import UnsupportedError
from otoscope.core.records import Clip, Grid
from otoscope.domains.stft import StftAnalysis
from otoscope.domains.time import TimeAnalysis
from otoscope.explanation.scoring import classifier_input
from otoscope.metrics.ground_truth import GroundTruth
from otoscope.metrics.oracle import ideal_binary_mask, ideal_ratio_mask
from otoscope.studies.clips import StudyClip
from otoscope.studies.recipe import ONES


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
        raise UnsupportedError(f"{name} needs a clip of which a stem is known, in a domain that holds its energy")
    make = ideal_ratio_mask if name == "oracle:ratio" else ideal_binary_mask
    found = np.nan_to_num(np.asarray(make(truth.source_energy, truth.rest_energy), np.float32), nan=0.0)
    return found.reshape(shape)
