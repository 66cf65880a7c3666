"""The classifiers that are in the package: model folders, no download."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from functools import partial
from importlib.resources import files
from pathlib import Path

from otoscope.classifiers.architecture import build
from otoscope.classifiers.base import Classifier
from otoscope.classifiers.folder import load_folder
from otoscope.classifiers.weights import load_strictly, read_state
from otoscope.core import registry
from otoscope.core.errors import ParameterError


def built_in_folder(name: str) -> Path:
    """The model folder of a built-in classifier."""
    return Path(str(files("otoscope.classifiers") / "assets" / name))


def load_built_in(
    name: str, weights: str | os.PathLike[str] = "published", labels: int | Sequence[str] | None = None
) -> Classifier:
    """A built-in classifier, or its architecture with other weights and labels."""
    folder = built_in_folder(name)
    if labels is None:
        return load_folder(folder, weights)
    if weights == "published":
        raise ParameterError(f"{name} has classes of its own; other labels need weights='random' or a file")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    model = build(config["architecture"], labels, settings=config["settings"], name=name)
    if weights != "random":
        load_strictly(model.network, read_state(weights), str(weights))
    model.info["weights"] = str(weights)
    return model


def _register(name: str, summary: str, family: str, source: str, sample_rate: int) -> None:
    registry.add(
        registry.Entry(
            "classifier",
            name,
            partial(load_built_in, name),
            summary,
            family=family,
            source=source,
            facts={
                "sample_rate": sample_rate,
                "classes": 10,
                "multilabel": False,
                "download": False,
                "licence": "Apache-2.0",
            },
        )
    )


_register(
    "esc10-mn",
    "Small MN for the ten classes of ESC-10, trained by this project; in the package, no download.",
    "mn",
    "schmid2023efficient, piczak2015esc",
    32000,
)
_register(
    "esc10-cnn",
    "Small CNN (half of PANNs' Cnn6) for the ten classes of ESC-10, trained by this project; in the package, no download.",
    "panns",
    "kong2020panns, piczak2015esc",
    16000,
)
