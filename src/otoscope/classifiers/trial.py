"""A module under test: the lengths it takes and the numbers it gives, on synthetic sounds."""

from __future__ import annotations

import contextlib
import itertools
import logging
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from otoscope.classifiers.base import Classifier
from otoscope.classifiers.inspected import out_of_memory
from otoscope.classifiers.outputs import Readout
from otoscope.classifiers.probe import Lengths, find_lengths, last_operation, probe_sounds, quietly
from otoscope.core.errors import OtoscopeError, ParameterError, ShapeError

log = logging.getLogger("otoscope")
MOST_HINTS = 24


@dataclass(frozen=True)
class TrialScores:
    """What a module gave for the probe sounds: ``(sound, class)`` or more, and the operation that made it."""

    values: Tensor
    last: str


class Trial:
    """A module under test; errors keep the message of the module."""

    def __init__(self, module: nn.Module, frontend: nn.Module | None, sample_rate: int, name: str):
        self.classifier = Classifier(module, sample_rate=sample_rate, labels=["?"], frontend=frontend, name=name)

    def given(self, waveforms: Tensor) -> Tensor:
        """What the module takes."""
        one = self.classifier
        return one.given(waveforms.to(one.device)).to(one.dtype)

    def lengths(self, min_s: float | None, window_s: float | None) -> Lengths:
        """The lengths that the module takes; a given one is tried first."""
        one, rate = self.classifier, self.classifier.sample_rate
        known = window_s if window_s is not None else min_s
        try:
            first = None if known is None else round(known * rate)
            patient = getattr(one.network, "impatient", contextlib.nullcontext)
            with quietly(one), patient():
                return find_lengths(lambda x: one.network(self.given(x)), rate, _hints(one.network), first)
        except OtoscopeError:
            raise
        except Exception as error:
            if out_of_memory(error):
                raise
            raise _unusable(one, error) from error

    def _output(self, sound: Tensor) -> Any:
        """What the module returns for a sound, with its graph if it can have one."""
        given = self.given(sound)
        try:
            with torch.enable_grad():
                return self.classifier.network(given.detach().requires_grad_())
        except Exception:  # noqa: BLE001 - it may use NumPy, which takes no tensors that require gradients
            return self.classifier.network(given)

    def entry(self, frames: int, labels: list[str] | None) -> int | None:
        """The number of the one entry of a returned tuple that has a score for each label; None leaves it to `Readout`."""
        one = self.classifier
        with quietly(one):
            raw = one.network(self.given(probe_sounds(frames, one.sample_rate)[1:2]))
        tensors = [i for i, x in enumerate(raw) if isinstance(x, Tensor)] if isinstance(raw, list | tuple) else []
        if len(tensors) < 2:
            return None
        fits = [i for i in tensors if labels is not None and raw[i].ndim > 1 and raw[i].shape[-1] in (len(labels), 1)]
        if len(fits) != 1 or labels is None:
            log.warning(
                "%s returns %d tensors; the first is taken as the scores; pass output= if this is wrong",
                one.name,
                len(tensors),
            )
            return None
        return fits[0]

    def scores(self, readout: Readout, frames: int) -> TrialScores:
        """The module's numbers for the probe sounds, one by one."""
        one = self.classifier
        found, last = [], ""
        with quietly(one):
            *sounds, silence = probe_sounds(frames, one.sample_rate).split(1)
            for sound in (*sounds, silence):
                try:
                    raw = torch.atleast_1d(readout.scores(self._output(sound), one.name))
                except Exception:
                    if sound is silence:  # `examine` reports it
                        break
                    raise
                if len(raw) != 1:
                    raise ShapeError(
                        f"classifier {one.name!r} returned scores of shape {tuple(raw.shape)} for one waveform; expected (1, class)"
                    )
                last = last_operation(raw)
                found.append(raw.detach().float().cpu())
        values = torch.cat(found)
        while (
            values.ndim > (3 if readout.pool else 2) and values.shape[-1] == 1
        ):  # of frames, the last axis is the class
            values = values[..., 0]
        return TrialScores(values[:, None] if values.ndim == 1 else values, last)


def _hints(module: nn.Module) -> list[int]:
    """Lengths worth trying: the sizes of the weights, one of which may be a number of samples."""
    sizes = {n for t in itertools.chain(module.parameters(), module.buffers()) for n in t.shape if n >= 16}
    return sorted(sizes, reverse=True)[:MOST_HINTS]


def _unusable(classifier: Classifier, error: Exception) -> ParameterError:
    """A module that takes none of the probe sounds."""
    reason = " ".join(str(error).split())[:300]
    said = f"{classifier.name} fails on sounds of 0.5 to 30 s at {classifier.sample_rate} Hz ({type(error).__name__}: {reason}); "
    if classifier.frontend is None and any(
        isinstance(m, nn.Conv2d | nn.BatchNorm2d) for m in classifier.network.modules()
    ):
        return ParameterError(
            f"{said}it must take waveforms (batch, time); a network that takes a spectrogram needs frontend=, which makes one"
        )
    return ParameterError(f"{said}it must take waveforms (batch, time); pass window_s= if it takes only one length")
