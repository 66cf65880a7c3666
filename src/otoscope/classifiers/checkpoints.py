"""Published checkpoints: an architecture with settings, labels and a file that can be fetched."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

from torch import Tensor

from otoscope.classifiers.architecture import build
from otoscope.classifiers.base import Classifier
from otoscope.classifiers.labels import label_names
from otoscope.classifiers.weights import cached, fetch, load_strictly, read_state
from otoscope.core import registry
from otoscope.core.errors import WeightsError


@dataclass(frozen=True)
class Checkpoint:
    """Published weights.

    Parameters
    ----------
    name : str
        What `load_classifier` calls it.
    architecture : str
        Registered name of its architecture.
    settings : mapping
        Of the architecture.
    url : str
        Address of the file.
    file : str
        Its name in the cache.
    sha256 : str, optional
        Checked after a download, where it is known.
    labels : callable
        Returns the names of the classes.
    multilabel : bool
        Whether classes are independent (sigmoid) rather than exclusive (softmax).
    sample_rate : int, Hz
        Sample rate of its input.
    summary, licence, source : str
        One line on what it is, its licence, and its key in ``docs/references.bib``.
    convert : callable, optional
        The file's tensors -> the network's; for files that also hold a front end.

    Examples
    --------
    >>> Checkpoint(
    ...     "tiny", "vgg5", {"channels": 8}, "https://example.org/tiny.pt", "tiny.pt", lambda: ["dog", "rain"],
    ...     summary="Two classes.", licence="MIT", source="",
    ... ).architecture
    'vgg5'
    """

    name: str
    architecture: str
    settings: Mapping[str, Any]
    url: str
    file: str
    labels: Callable[[], Sequence[str]]
    summary: str
    licence: str
    source: str
    sha256: str | None = None
    multilabel: bool = True
    sample_rate: int = 32000
    classes: int = 527
    convert: Callable[[dict[str, Tensor]], dict[str, Tensor]] | None = None


def register_checkpoint(checkpoint: Checkpoint) -> None:
    """Make a checkpoint known to `load_classifier`, the command line and the docs.

    Parameters
    ----------
    checkpoint : Checkpoint
        Its name must not be taken.

    Examples
    --------
    >>> register_checkpoint(checkpoint)  # doctest: +SKIP
    >>> load_classifier(checkpoint.name, "random")  # doctest: +SKIP
    """
    registry.add(
        registry.Entry(
            "classifier",
            checkpoint.name,
            partial(load_checkpoint, checkpoint),
            checkpoint.summary,
            family=checkpoint.architecture,
            source=checkpoint.source,
            facts={
                "sample_rate": checkpoint.sample_rate,
                "classes": checkpoint.classes,
                "multilabel": checkpoint.multilabel,
                "download": True,
                "licence": checkpoint.licence,
                "url": checkpoint.url,
                "file": checkpoint.file,
                "sha256": checkpoint.sha256,
                "architecture": checkpoint.architecture,
                "settings": dict(checkpoint.settings),
            },
        )
    )


def load_checkpoint(
    checkpoint: Checkpoint, weights: str | os.PathLike[str] = "published", labels: int | Sequence[str] | None = None
) -> Classifier:
    """The classifier of a published checkpoint: with its own weights, random ones, or those of a file."""
    model = build(
        checkpoint.architecture,
        label_names(labels, checkpoint.labels()),
        multilabel=checkpoint.multilabel,
        settings=checkpoint.settings,
        name=checkpoint.name,
        info={"licence": checkpoint.licence, "source": checkpoint.source},
    )
    if weights == "random":
        model.info["weights"] = "random"
        return model
    path = Path(weights)
    if weights == "published":
        path = fetch(checkpoint.url, checkpoint.file, checkpoint.sha256)
    load_strictly(model.network, _converted(checkpoint, read_state(path), path), str(path))
    model.info["weights"] = checkpoint.file if weights == "published" else str(path)
    return model


def _converted(checkpoint: Checkpoint, state: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    """The network's tensors.

    Raises
    ------
    WeightsError
        If an array is missing or has another number of axes.
    """
    if checkpoint.convert is None:
        return state
    try:
        return checkpoint.convert(state)
    except (KeyError, IndexError, RuntimeError, TypeError) as error:
        raise WeightsError(
            f"weights {path} are not those of {checkpoint.name}: an array is missing or has another shape ({error})"
        ) from error


def is_cached(file: str) -> bool:
    """Whether a published file is in the cache."""
    return cached(file).is_file()


def audioset_labels() -> list[str]:
    """Display names of AudioSet's 527 classes, in order."""
    text = (files("otoscope.classifiers") / "assets" / "audioset_labels.csv").read_text(encoding="utf-8")
    return [row["display_name"] for row in csv.DictReader(text.splitlines())]
