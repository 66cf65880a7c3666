"""Classifiers, one file an architecture.

Each is waveform ``(batch, time)`` at its own ``sample_rate`` (Hz) -> logits ``(batch, class)``, in two halves:
``frontend`` (waveform -> features ``(batch, 1, freq, frame)``) and ``network`` (features -> logits).
"""

from otoscope.classifiers import (
    apnet,
    apnet_published,
    attention_rnn,
    birdnet,
    built_in,
    dymn,
    mn,
    panns,
    passt,
    sb_cnn,
    vgg5,
)  # registers what they hold
from otoscope.classifiers.architecture import Parts, build
from otoscope.classifiers.base import Classifier
from otoscope.classifiers.checkpoints import Checkpoint, register_checkpoint
from otoscope.classifiers.function import wrap_function
from otoscope.classifiers.inspected import Inspected
from otoscope.classifiers.load import load_classifier
from otoscope.classifiers.outputs import Readout
from otoscope.classifiers.wrap import wrap

__all__ = [
    "Checkpoint",
    "Classifier",
    "Inspected",
    "Parts",
    "Readout",
    "apnet",
    "apnet_published",
    "attention_rnn",
    "birdnet",
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
    "wrap_function",
]
