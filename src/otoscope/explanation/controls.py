"""What a classifier answers to sounds that cannot hold the class: white noise, silence, and the sound with its phases shuffled.

A class that they get too, at the same level, is the classifier's habit rather than something that it found in the sound.
"""

from __future__ import annotations

import contextlib

import numpy as np
import torch

from otoscope.audio import AudioSource, rms
from otoscope.classifiers import Classifier
from otoscope.classifiers.inspected import ClassifierError
from otoscope.core.errors import NonFiniteError
from otoscope.explanation.scoring import classifier_input, score_waveforms
from otoscope.explanation.windows import windows_of

CONTROLS = {
    "noise": "white noise of the same level",
    "silence": "silence",
    "shuffled": "this sound with its phases shuffled, which keeps its spectrum and nothing of its course",
}
"""Name of a control -> what it is."""
TRIED = 16


def control_sounds(waveform: np.ndarray, seed: int) -> np.ndarray:
    """The controls of one stretch of sound.

    Parameters
    ----------
    waveform : ndarray (time,)
        At the classifier's rate.
    seed : int
        Of the noise and the phases.

    Returns
    -------
    ndarray (control, time), float32
        In the order of `CONTROLS`; noise and shuffled sound have the level of the sound.
    """
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal(len(waveform)) * rms(waveform)
    spectrum = np.fft.rfft(waveform)
    phases = rng.uniform(0, 2 * np.pi, len(spectrum))
    phases[0] = 0
    if len(waveform) % 2 == 0:
        phases[-1] = 0
    shuffled = np.fft.irfft(np.abs(spectrum) * np.exp(1j * phases), len(waveform))
    return np.stack([noise, np.zeros(len(waveform)), shuffled]).astype(np.float32)


def control_scores(source: AudioSource, classifier: Classifier, seed: int = 0) -> dict[str, np.ndarray]:
    """Probabilities that a classifier gives to the controls of a sound.

    Parameters
    ----------
    source : AudioSource or Clip
        The sound; of a long one, the loudest of up to `TRIED` windows stands for it.
    classifier : Classifier
        The classifier that is explained.
    seed : int
        Of the noise and the phases.

    Returns
    -------
    dict
        Control -> probabilities ``(class,)``; without those on which the classifier fails.
    """
    spans = windows_of(source, classifier)
    stretches = (classifier_input(source, s, classifier.sample_rate) for s in spans[:: -(-len(spans) // TRIED)])
    loudest = max(stretches, key=rms)
    found = {}
    for name, sound in zip(CONTROLS, torch.from_numpy(control_sounds(loudest, seed)), strict=True):
        with contextlib.suppress(
            NonFiniteError, ClassifierError
        ):  # `otoscope.wrap` reports a network that fails on silence
            found[name] = score_waveforms(sound[None], classifier, 1)[0]
    return found
