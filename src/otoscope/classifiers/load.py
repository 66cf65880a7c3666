"""The front door for classifiers: names, folders and files."""

from __future__ import annotations

import contextlib
import csv
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch

from otoscope.classifiers.base import Classifier
from otoscope.classifiers.mn import MN
from otoscope.classifiers.weights import fetch, load_strictly, read_state
from otoscope.core import registry
from otoscope.core.errors import ParameterError, UnknownNameError, WeightsError
from otoscope.spectral import KaldiLogMel

RELEASES = "https://github.com/fschmid56/EfficientAT/releases/download/v0.0.1"
MN_CAM_LAYER = "features.16"


@dataclass(frozen=True)
class Published:
    """A checkpoint of the EfficientAT release."""

    width: float
    file: str
    sha256: str | None = None


PUBLISHED = {
    "mn04_as": Published(0.4, "mn04_as_mAP_432.pt", "899a8c6217063f6941793102a2780b3dd788ab11fce468d9cf5f0577c453321c"),
    "mn05_as": Published(0.5, "mn05_as_mAP_443.pt"),
    "mn10_as": Published(1.0, "mn10_as_mAP_471.pt"),
    "mn20_as": Published(2.0, "mn20_as_mAP_478.pt"),
    "mn30_as": Published(3.0, "mn30_as_mAP_482.pt"),
    "mn40_as": Published(4.0, "mn40_as_mAP_484.pt"),
}


def load_classifier(
    name: str | os.PathLike[str] = "esc10-mn",
    weights: str | os.PathLike[str] = "published",
    labels: int | Sequence[str] | None = None,
) -> Classifier:
    """A classifier by name, or from a model folder.

    Parameters
    ----------
    name : str or path
        A registered name (``otoscope models`` lists them) or a folder with ``model.safetensors`` and ``config.json``.
    weights : "published", "random" or path
        Published weights are fetched once into the cache (``esc10-mn`` is in the package); random ones depend on torch's
        global seed; a path is a state_dict that must fit strictly.
    labels : int or sequence of str, optional
        How many classes, or their names; None takes the published ones.

    Returns
    -------
    Classifier
        In evaluation mode, on the CPU.

    Raises
    ------
    UnknownNameError
        With the nearest names.
    WeightsError, DownloadError
        If weights are missing, damaged, unsafe, of another shape or out of reach.

    Examples
    --------
    >>> import otoscope
    >>> otoscope.load_classifier("esc10-mn").labels[:2]
    ('dog', 'rooster')
    """
    folder = Path(name)
    if isinstance(labels, str):
        raise ParameterError(f"labels must be a number or a list of names; got the text {labels!r}")
    if (folder / "config.json").is_file():
        if labels is not None:
            raise ParameterError(f"the model folder {folder} has labels of its own; leave labels out")
        with _own_randomness(weights):
            model = from_folder(folder, weights).eval()
        model.origin = {"name": str(folder.resolve()), "weights": str(weights), "labels": None}
        return model
    if str(name) not in registry.names("classifier"):
        looks_like_path = os.sep in str(name) or folder.exists()
        if looks_like_path:
            raise WeightsError(f"{name} is no model folder: it has no config.json beside model.safetensors")
        raise UnknownNameError("model", name, registry.names("classifier"))
    entry = registry.get("classifier", str(name))
    with _own_randomness(weights):
        model = entry.target(weights=weights, labels=labels).eval()
    model.origin = {
        "name": entry.name,
        "weights": str(weights if weights in ("published", "random") else Path(weights).resolve()),
        "labels": labels if labels is None else list(model.labels),
    }
    return model


@contextlib.contextmanager
def _own_randomness(weights: str | os.PathLike[str]) -> Iterator[None]:
    """Weights that are read leave torch's global generator alone; random ones are drawn from it."""
    if weights == "random":
        yield
        return
    with torch.random.fork_rng(devices=[]):
        yield


def build_mn(
    width: float,
    labels: Sequence[str],
    *,
    multilabel: bool,
    name: str,
    bn_momentum: float = 0.01,
    dropout: float = 0.2,
    **info: Any,
) -> Classifier:
    """An MN with its log-mel front end and random weights."""
    network = MN(len(labels), width, dropout, bn_momentum)
    return Classifier(
        network,
        sample_rate=32000,
        labels=labels,
        multilabel=multilabel,
        frontend=KaldiLogMel(),
        name=name,
        cam_layer=MN_CAM_LAYER,
        info={"architecture": "mn", "width": width, **info},
    )


def _label_names(labels: int | Sequence[str] | None, default: Sequence[str]) -> list[str]:
    if labels is None:
        return list(default)
    if isinstance(labels, int):
        return list(default) if labels == len(default) else [f"class {i}" for i in range(labels)]
    return [str(label) for label in labels]


def audioset_labels() -> list[str]:
    """Display names of AudioSet's 527 classes, in order."""
    text = (files("otoscope.classifiers") / "assets" / "audioset_labels.csv").read_text(encoding="utf-8")
    return [row["display_name"] for row in csv.DictReader(text.splitlines())]


def _load_mn_as(name: str, weights: str | os.PathLike[str], labels: int | Sequence[str] | None) -> Classifier:
    """MN tagger trained on AudioSet (527 classes)."""
    published = PUBLISHED[name]
    names = _label_names(labels, audioset_labels())
    licence = "MIT (weights), CC BY 4.0 (labels)"
    model = build_mn(published.width, names, multilabel=True, name=name, licence=licence)
    if weights == "random":
        model.info["weights"] = "random"
        return model
    path = Path(weights)
    if weights == "published":
        base = os.environ.get("OTOSCOPE_RELEASES", RELEASES)
        path = fetch(f"{base}/{published.file}", published.file, published.sha256)
    load_strictly(model.network, read_state(path), str(path))
    model.info["weights"] = published.file if weights == "published" else str(path)
    return model


def from_folder(folder: Path, weights: str | os.PathLike[str] = "published") -> Classifier:
    """A classifier from a model folder: ``config.json`` and ``model.safetensors``.

    Raises
    ------
    WeightsError
        If a file is missing, damaged or does not fit.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        arguments = {k: config[k] for k in ("width", "labels", "multilabel", "name")}
        architecture = config["architecture"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"model folder {folder}: config.json is missing, damaged or lacks {error}") from error
    if architecture != "mn":
        raise WeightsError(f"model folder {folder}: unknown architecture {architecture!r}; there is 'mn'")
    info, kinds = config.get("info", {}), {"width": int | float, "labels": list, "multilabel": bool, "name": str}
    wrong = [key for key, kind in kinds.items() if not isinstance(arguments[key], kind)]
    wrong += [] if isinstance(info, dict) and not {*info} & {*kinds, "architecture"} else ["info"]
    if wrong:
        raise WeightsError(f"model folder {folder}: config.json holds something of another kind in {', '.join(wrong)}")
    model = build_mn(**arguments, **info)
    if weights != "random":
        path = folder / "model.safetensors" if weights == "published" else Path(weights)
        load_strictly(model.network, read_state(path), str(path))
    model.info["weights"] = "random" if weights == "random" else str(path.name)
    return model


def _load_esc10_mn(
    weights: str | os.PathLike[str] = "published", labels: int | Sequence[str] | None = None
) -> Classifier:
    """Small MN for the ten classes of ESC-10, trained by this project; in the package, no download."""
    folder = Path(str(files("otoscope.classifiers") / "assets" / "esc10-mn"))
    if labels is None:
        return from_folder(folder, weights)
    if weights == "published":
        raise ParameterError("esc10-mn has ten classes of its own; other labels need weights='random' or a file")
    width = json.loads((folder / "config.json").read_text(encoding="utf-8"))["width"]
    model = build_mn(width, _label_names(labels, ()), multilabel=False, name="esc10-mn")
    if weights != "random":
        load_strictly(model.network, read_state(weights), str(weights))
    return model


def _register_all() -> None:
    registry.add(
        registry.Entry(
            "classifier",
            "esc10-mn",
            _load_esc10_mn,
            "Small MN for the ten classes of ESC-10, trained by this project; in the package, no download.",
            family="mn",
            source="schmid2023efficient, piczak2015esc",
            facts={
                "sample_rate": 32000,
                "classes": 10,
                "multilabel": False,
                "download": False,
                "licence": "Apache-2.0",
            },
        )
    )
    for name, published in PUBLISHED.items():
        registry.add(
            registry.Entry(
                "classifier",
                name,
                partial(_load_mn_as, name),
                f"MN tagger of width {published.width:g}, trained on AudioSet by the authors of EfficientAT.",
                family="mn",
                source="schmid2023efficient",
                facts={"sample_rate": 32000, "classes": 527, "multilabel": True, "download": True, "licence": "MIT"},
            )
        )


_register_all()
