"""Backgrounds: what replaces an absent cell.

Silence by default, else the sounds of a folder, a table or a list (`otoscope.datasets.backgrounds`).

With a background, a clip under a mask is no longer ``synthesise(mask)`` but

    x(mask) = synthesise(mask) of the clip + synthesise(1 - mask) of the background clip, in the same domain

(minus silence, once, where the domain masks features). `BackgroundBlend` is that: an `Inspected` whose cells fade to a background
clip in place of silence. It serves methods with and without gradients::

    against = BackgroundBlend(problem.inspected, background_waveforms(problem, "sounds", per_class=2))
    for which, clip in problem.chunks(against.n):  # every background with every clip, in batches
        logits = against(mask[clip], clip, which)
"""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor, nn

from otoscope.attribution.base import Problem
from otoscope.classifiers import Inspected
from otoscope.core import registry
from otoscope.core.errors import UnsupportedError
from otoscope.core.registry import Help, Range
from otoscope.datasets.backgrounds import Background, read_background

BackgroundSource = Annotated[
    str | Background,
    Help(
        "what is heard where a cell is absent: silence, a folder of sounds (one per class, or all in one), or a table "
        "with one sound per line (path[,class])"
    ),
]
PerClass = Annotated[int, Range(1, 10000), Help("sounds of the background that are chosen of each class")]


class BackgroundBlend(nn.Module):
    """Clips whose cells fade to a background clip, or to silence: masks -> logits, differentiable.

    Parameters
    ----------
    inspected : Inspected
        Its passes are counted there.
    waveforms : Tensor (n, time), optional
        Background clips at the classifier's rate, as long as the clips; None is silence.

    Raises
    ------
    UnsupportedError
        If the domain's cells depend on the clip, so that a background has no such cells.
    """

    def __init__(self, inspected: Inspected, waveforms: Tensor | None):
        super().__init__()
        self._inspected = [inspected]  # in a list: this module must not own the classifier
        self.n = 1 if waveforms is None else len(waveforms)
        self.background = None
        if waveforms is not None:
            _check_cells(inspected.grid.domain)
            with torch.no_grad():
                self.background = inspected.domain.analyse(waveforms.to(inspected.waveform), inspected.classifier)

    @property
    def inspected(self) -> Inspected:
        """The clips, against silence."""
        return self._inspected[0]

    def synthesise(self, mask: Tensor, index: Tensor | None = None, which: Tensor | None = None) -> Tensor:
        """What `Inspected.classify` takes: the kept part of the clips and, where cells are absent, of the backgrounds.

        Parameters
        ----------
        mask : Tensor (any, freq, frame)
            In [0, 1]; 1 keeps a cell of the clip, 0 replaces it by the background's.
        index : Tensor (any,), int64, optional
            Which clip each mask is for.
        which : Tensor (any,), int64, optional
            Which background clip each mask fades to; without, the first.
        """
        kept = self.inspected.analysis.synthesise(mask, index)
        if self.background is None:
            return kept
        which = torch.zeros(len(mask), dtype=torch.int64, device=mask.device) if which is None else which
        rest = self.background.synthesise(1 - mask, which)
        return kept + rest - self.background.silence

    def forward(self, mask: Tensor, index: Tensor | None = None, which: Tensor | None = None) -> Tensor:
        """Logits ``(any, class)``; see `synthesise`."""
        return self.inspected.classify(self.synthesise(mask, index, which))


def _check_cells(domain: str) -> None:
    """An `UnsupportedError` where each clip has other cells: no other sound has these cells then."""
    fixed = [e.name for e in registry.entries("domain") if e.facts["fixed_cells"]]
    if domain in registry.names("domain") and domain not in fixed:
        raise UnsupportedError(
            f"the domain {domain!r} has different cells for each clip, so no other sound can replace one; use "
            f"background=silence, or {', '.join(fixed)}"
        )


def against(problem: Problem, background: str | Background, per_class: int) -> BackgroundBlend:
    """The problem's clips against what the settings ``background`` and ``per_class`` name."""
    return BackgroundBlend(problem.inspected, background_waveforms(problem, background, per_class))


def background_waveforms(problem: Problem, background: str | Background, per_class: int) -> Tensor | None:
    """The chosen sounds of a background, ``(n, time)``; None for silence.

    Raises
    ------
    ParameterError
        If the folder or table does not exist or names no sound.
    AudioReadError
        If a chosen sound cannot be read; it is named.
    """
    found = read_background(background)
    if found is None:
        return None
    waveform = problem.inspected.waveform
    made = found.waveforms(per_class, problem.seed, problem.inspected.classifier.sample_rate, waveform.shape[-1])
    return torch.from_numpy(made.copy()).to(waveform.device)


def background_size(background: str | Background, per_class: int) -> int:
    """How many sounds a background gives; one for silence."""
    found = read_background(background)
    return 1 if found is None else found.size(per_class)


def background_digest(background: str | Background, per_class: int, seed: int) -> str | None:
    """SHA-256 of the chosen files' contents, in order; None for silence. Errors as in `background_waveforms`."""
    found = read_background(background)
    return None if found is None else found.digest(per_class, seed)
