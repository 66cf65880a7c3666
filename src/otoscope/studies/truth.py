"""What is true of the cells of a grid: how much of the sound to be found, and of the rest, each one holds."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from otoscope.audio import Span
from otoscope.classifiers import Classifier, Inspected
from otoscope.core.errors import UnsupportedError
from otoscope.core.records import Clip, Grid
from otoscope.domains.stft import StftAnalysis
from otoscope.domains.time import TimeAnalysis
from otoscope.explanation.listen import piece
from otoscope.metrics.ground_truth import GroundTruth
from otoscope.metrics.oracle import ideal_binary_mask, ideal_ratio_mask
from otoscope.studies.clips import StudyClip
from otoscope.studies.recipe import ONES


def known_of(clip: StudyClip, inspected: Inspected, classifier: Classifier, i: int) -> GroundTruth | None:
    """What is known of a clip on a domain's grid, or None where nothing is."""
    if clip.true is None:
        return None if clip.events is None else GroundTruth(events=clip.events)
    stem = Clip(clip.true[None], clip.sound.sample_rate, "stem")
    there = piece(stem, Span(0, stem.frames), classifier.sample_rate)
    true = torch.from_numpy(there).to(inspected.waveform)
    sounds, grid = (true, inspected.waveform[i] - true), inspected.grid
    energies = [_energy(x, inspected, classifier.sample_rate, grid, i) for x in sounds]
    if any(e is None for e in energies):
        energies = [None, None]
    return GroundTruth(energies[0], energies[1], clip.true, clip.sound.samples[0], clip.events)


def _energy(waveform: Tensor, inspected: Inspected, rate: int, grid: Grid, i: int) -> np.ndarray | None:
    """Energy of a sound in each cell of a grid; features are taken as the stretch of the STFT that they lie over."""
    own = inspected.analysis.energy_of(waveform, i)
    if own is not None:
        return own.double().cpu().numpy()
    if grid.scale not in ("hz", "mel", "none"):
        return None
    analysis = (TimeAnalysis if grid.scale == "none" else StftAnalysis)(waveform[None], rate, grid)
    return analysis.amplitude()[0].double().square().cpu().numpy()


def given_values(name: str, truth: GroundTruth | None, shape: tuple[int, int]) -> np.ndarray:
    """What somebody who knows the truth would answer, or somebody who keeps everything: a mask, ``(freq, frame)`` in [0, 1].

    Parameters
    ----------
    name : {"oracle:ratio", "oracle:binary", "control:ones"}
        Share of the energy that is true; whether most of it is; one.
    truth : Known, optional
    shape : (freq, frame)

    Raises
    ------
    UnsupportedError
        Where no stem is known, or the domain cannot tell.

    Notes
    -----
    Source: wang2005ideal.
    """
    if name == ONES:
        return np.ones(shape, np.float32)
    if truth is None or truth.source_energy is None or truth.rest_energy is None:
        raise UnsupportedError(f"{name} needs a clip of which a stem is known, in a domain that holds its energy")
    make = ideal_ratio_mask if name == "oracle:ratio" else ideal_binary_mask
    found = np.nan_to_num(np.asarray(make(truth.source_energy, truth.rest_energy), np.float32), nan=0.0)
    return found.reshape(shape)
