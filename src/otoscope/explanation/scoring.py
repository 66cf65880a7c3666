"""The one scorer: the probabilities that a classifier gives to sounds as they are heard.

Every question of the form "what does the classifier make of this sound?" is answered here, so that every ``heard`` number of an
explanation, a study or a like-to-hear run comes from one resampler (soxr, through `otoscope.audio.resample`), one downmix and one
set of windows. Sounds are ``(channel, time)`` at any rate; probabilities are float32, ``(class,)`` or ``(sound, class)``.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from otoscope.audio import AudioSource, Span, downmix, resample
from otoscope.classifiers import Classifier
from otoscope.classifiers.inspected import memory_errors, model_errors
from otoscope.explanation.windows import batches, windows_of

MARGIN_S = 1


def classifier_input(source: AudioSource, span: Span, sample_rate: int) -> np.ndarray:
    """One stretch of a sound as a classifier takes it: downmixed and resampled.

    Parameters
    ----------
    source : AudioSource or Clip
        Of any rate, length and number of channels.
    span : Span
        First and last sample of the stretch, at the sound's own rate.
    sample_rate : int, Hz
        The classifier's.

    Returns
    -------
    ndarray (time,), float32
        A stretch inside a longer sound is resampled together with a second of its surroundings, so that its ends have no edge.
    """
    rate = source.sample_rate
    complete = span.start == 0 and span.stop == source.frames
    margin = 0 if complete or rate == sample_rate else MARGIN_S
    mono = downmix(source.read(span.start - margin * rate, span.stop + margin * rate))
    resampled = resample(mono[None], rate, sample_rate)[0]
    if not margin:
        return resampled
    n = round((span.stop - span.start) * sample_rate / rate)
    return np.ascontiguousarray(resampled[margin * sample_rate :][:n])


def score_waveforms(waveforms: Tensor, classifier: Classifier, batch_size: int) -> np.ndarray:
    """Probabilities ``(batch, class)`` float32 of waveforms ``(batch, time)`` at the classifier's rate."""
    found = []
    for some in waveforms.to(classifier.device).split(batch_size):
        with torch.no_grad(), memory_errors(len(some)), model_errors(classifier):
            found.append(classifier.probabilities(classifier(some)).float().cpu().numpy())
    return np.concatenate(found)


def score_sounds(sounds: np.ndarray, sample_rate: int, classifier: Classifier, batch_size: int) -> np.ndarray:
    """Probabilities ``(sound, class)`` float32 of short mono sounds ``(sound, time)`` at any rate, each heard at once."""
    resampled = resample(np.ascontiguousarray(sounds, np.float32), sample_rate, classifier.sample_rate)
    return score_waveforms(torch.from_numpy(np.ascontiguousarray(resampled)), classifier, batch_size)


def score_sound(source: AudioSource, classifier: Classifier, batch_size: int = 16) -> np.ndarray:
    """Probability of each class ``(class,)`` float32 in a sound of any rate and length; of a long one the mean over its windows."""
    spans = windows_of(source, classifier)
    total = np.zeros(len(classifier.labels))
    for some in batches(spans, batch_size):
        pieces = np.stack([classifier_input(source, s, classifier.sample_rate) for s in some])
        total += score_waveforms(torch.from_numpy(pieces), classifier, batch_size).astype(np.float64).sum(0)
    return (total / len(spans)).astype(np.float32)
