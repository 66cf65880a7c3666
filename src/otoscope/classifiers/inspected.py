"""The inspected classifier: a domain put in front of a classifier, ``mask -> logits``.

It is differentiable, so every attribution method works on every classifier, and what a method scores is exactly the sound
that the listener gets.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from otoscope.classifiers.base import Classifier
from otoscope.core.errors import DeviceMemoryError, OtoscopeError
from otoscope.core.records import Grid
from otoscope.domains import Analysis, Domain


class Inspected(nn.Module):
    """A batch of waveforms, analysed in a domain, with the classifier behind it.

    Parameters
    ----------
    classifier : Classifier
        The classifier behind the domain.
    domain : Domain
        Takes waveforms apart and puts them together.
    waveform : Tensor (batch, time)
        At the classifier's rate.

    Attributes
    ----------
    precision : torch.dtype
        That of the network; float32 unless it is set. bfloat16 is faster where many passes are averaged.

    Examples
    --------
    >>> classifier = build("vgg5", ["dog", "rain"])
    >>> domain = otoscope.domains.make_domain("stft")
    >>> Inspected(classifier, domain, torch.rand(1, 22050)).original().shape
    torch.Size([1, 2])
    """

    def __init__(self, classifier: Classifier, domain: Domain, waveform: Tensor):
        super().__init__()
        self._classifier = [classifier]  # in a list: this module must not own the caller's
        self.waveform, self.domain = waveform, domain
        with torch.no_grad(), memory_errors(len(waveform)):
            self.analysis: Analysis = domain.analyse(waveform, classifier)
        self.passes = 0
        self.precision = torch.float32

    @property
    def classifier(self) -> Classifier:
        """The classifier."""
        return self._classifier[0]

    @property
    def grid(self) -> Grid:
        """Grid of the domain's cells."""
        return self.analysis.grid

    @property
    def batch(self) -> int:
        """Number of clips."""
        return len(self.waveform)

    def ones(self, batch: int | None = None) -> Tensor:
        """Masks of ones, ``(batch, freq, frame)``."""
        return torch.ones(batch or self.batch, *self.grid.shape, device=self.waveform.device)

    def classify(self, synthesised: Tensor) -> Tensor:
        """Logits of the output of the analysis's `synthesise` or `complement`."""
        self.passes += len(synthesised)
        with memory_errors(len(synthesised)), model_errors(self.classifier):
            if self.precision is not torch.float32:
                return self._in_short(synthesised)
            if self.analysis.feeds == "waveform":
                return self.classifier(synthesised)
            return self.classifier.logits(synthesised)

    def _in_short(self, synthesised: Tensor) -> Tensor:
        """Logits with the network in the chosen precision; features are always taken in float32 (they hold logarithms)."""
        classifier = self.classifier
        features = synthesised
        if self.analysis.feeds == "waveform":
            features = classifier.given(synthesised)
        with torch.autocast(features.device.type, dtype=self.precision):
            return classifier.logits(features)

    def forward(self, mask: Tensor, index: Tensor | None = None) -> Tensor:
        """Logits ``(batch, class)`` of the clips under masks ``(batch, freq, frame)``."""
        return self.classify(self.analysis.synthesise(mask, index))

    def original(self) -> Tensor:
        """Logits of the untouched clips."""
        self.passes += self.batch
        with memory_errors(self.batch), model_errors(self.classifier):
            return self.classifier(self.waveform)


@contextlib.contextmanager
def memory_errors(batch: int) -> Iterator[None]:
    """Map "out of memory" to a `DeviceMemoryError`."""
    try:
        yield
    except OtoscopeError:
        raise
    except Exception as error:
        if not out_of_memory(error):
            raise
        raise DeviceMemoryError(
            f"out of memory with a batch of {batch}; use a smaller --batch-size or another device"
        ) from error


def out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out; torch reports it in several ways."""
    words = str(error)
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and ("not enough memory" in words or "can't allocate memory" in words)
    )


@contextlib.contextmanager
def model_errors(classifier: Classifier) -> Iterator[None]:
    """Map an error inside the user's module to a `ClassifierError` with its message."""
    try:
        yield
    except OtoscopeError:
        raise
    except Exception as error:
        if out_of_memory(error):
            raise
        reason = " ".join(str(error).split())[:300]
        raise ClassifierError(
            f"classifier {classifier.name!r} failed on a sound ({type(error).__name__}: {reason}); "
            f"it must take waveforms (batch, time) of any length at {classifier.sample_rate} Hz (or pass min_s= and window_s= to "
            "otoscope.wrap) and return logits"
        ) from error


class ClassifierError(OtoscopeError, RuntimeError):
    """A classifier that fails on a sound."""
