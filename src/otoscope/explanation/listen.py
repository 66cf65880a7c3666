"""What a classifier says of a sound of any length, rate and number of channels."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from otoscope.audio import AudioSource, Span, downmix, plan, resample
from otoscope.classifiers import Classifier
from otoscope.classifiers.inspected import memory_errors, model_errors
from otoscope.core.errors import UnsupportedError
from otoscope.domains import Domain

LONG_S = 30.0
WINDOW_S = 10.0
OVERLAP_S = 2.0
MARGIN_S = 1


def longest_s(classifier: Classifier | None = None) -> float:
    """How many seconds are heard at once: 30, or what the classifier can hear."""
    longest = None if classifier is None else classifier.maximum_length
    return LONG_S if classifier is None or longest is None else min(LONG_S, longest / classifier.sample_rate)


def spans_of(source: AudioSource, classifier: Classifier | None = None) -> list[Span]:
    """The windows that a sound is heard in: one up to 30 s, else 10 s long with 2 s of overlap.

    A classifier that cannot hear that much at once (`Classifier.maximum_length`) makes both shorter.
    """
    limit = longest_s(classifier)
    if source.duration <= limit:
        return [Span(0, source.frames)]
    window = min(WINDOW_S, limit)
    return plan(source.frames, source.sample_rate, window, min(OVERLAP_S, window / 5))


def check_at_once(domain: Domain, classifier: Classifier, long: Sequence[AudioSource]) -> None:
    """An `UnsupportedError` for sounds in several windows where the domain's cells mean something else in each."""
    if not (long and getattr(domain, "one_window", False)):
        return
    sound, limit = long[0], longest_s(classifier)
    raise UnsupportedError(
        f"{sound.source} lasts {sound.duration:.1f} s, and {classifier.name!r} hears up to {limit:g} s at once: the parts "
        f"that the domain {domain.name!r} finds in one window are not those of the next; cut the sound, or use the domain "
        "mel, stft or time"
    )


def batches(spans: Sequence[Span], size: int) -> Iterator[list[Span]]:
    """Windows of one length, at most ``size`` together, in order."""
    for _, alike in itertools.groupby(spans, key=lambda s: s.stop - s.start):
        group = list(alike)
        for start in range(0, len(group), size):
            yield group[start : start + size]


def piece(source: AudioSource, span: Span, sample_rate: int) -> np.ndarray:
    """One stretch of a sound as a classifier hears it: downmixed, at its rate, ``(time,)``.

    A stretch inside a longer sound is resampled with a second of its surroundings, so that its ends are as inside.
    """
    rate = source.sample_rate
    whole = span.start == 0 and span.stop == source.frames
    if rate == sample_rate or whole:
        mono = downmix(source.read(span.start, span.stop))
        return resample(mono[None], rate, sample_rate)[0]
    margin = MARGIN_S * rate
    around = downmix(source.read(span.start - margin, span.stop + margin))
    there = resample(around[None], rate, sample_rate)[0]
    n = round((span.stop - span.start) * sample_rate / rate)
    skip = MARGIN_S * sample_rate
    return np.ascontiguousarray(there[skip : skip + n])


def probabilities(source: AudioSource, classifier: Classifier, batch_size: int = 16) -> np.ndarray:
    """Probability of each class, ``(class,)``; of a long sound the mean over its windows."""
    spans = spans_of(source, classifier)
    total = np.zeros(len(classifier.labels))
    for some in batches(spans, batch_size):
        pieces = [piece(source, s, classifier.sample_rate) for s in some]
        with torch.no_grad(), memory_errors(len(some)), model_errors(classifier):
            batch = torch.from_numpy(np.stack(pieces)).to(classifier.device)
            total += classifier.probabilities(classifier(batch)).sum(0).double().cpu().numpy()
    return (total / len(spans)).astype(np.float32)
