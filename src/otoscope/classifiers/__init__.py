"""Classifiers, one file an architecture.

Each is waveform ``(batch, time)`` at its own ``sample_rate`` (Hz) -> logits ``(batch, class)``, in two halves:
``frontend`` (waveform -> features ``(batch, 1, freq, frame)``) and ``network`` (features -> logits).
"""

from otoscope.classifiers import (
    attention_rnn,
    built_in,
    dymn,
    mn,
    panns,
    passt,
    sb_cnn,
    vgg5,
)  # registers what they hold
from otoscope.classifiers.architecture import Parts, build
from otoscope.classifiers.base import Classifier, wrap
from otoscope.classifiers.checkpoints import Checkpoint, register_checkpoint
from otoscope.classifiers.inspected import Inspected
from otoscope.classifiers.load import load_classifier

__all__ = [
    "Checkpoint",
    "Classifier",
    "Inspected",
    "Parts",
    "attention_rnn",
    "build",
    "built_in",
    "dymn",
    "load_classifier",
    "mn",
    "panns",
    "passt",
    "register_checkpoint",
    "sb_cnn",
    "vgg5",
    "wrap",
]
