"""Model folders of classifiers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from otoscope.classifiers.architecture import build
from otoscope.classifiers.base import Classifier
from otoscope.classifiers.model_folder import (
    CONFIG,
    WEIGHTS,
    fetch_model_folder,
    push_model_folder,
    read_config,
    short_card,
    write_model_folder,
)
from otoscope.classifiers.weights import load_strictly, read_state
from otoscope.core.errors import OtoscopeError, UnsupportedError, WeightsError

KEYS = {"architecture": str, "settings": dict, "labels": list, "multilabel": bool, "name": str}
MAX_S = 3600


def load_folder(folder: Path, weights: str | os.PathLike[str] = "published") -> Classifier:
    """A classifier from a model folder; ``weights`` as in `load_classifier`.

    Raises
    ------
    WeightsError
        If a file is missing, damaged or does not fit.
    """
    config = read_config(folder, KEYS, "classifier", "model")
    arguments, info = {key: config[key] for key in KEYS}, config.get("info", {})
    try:
        model = build(**arguments, info=info)
    except OtoscopeError as error:
        raise WeightsError(f"model folder {folder}: {CONFIG}: {error}") from error
    min_s = config.get("min_s")
    if min_s is not None:
        if isinstance(min_s, bool) or not isinstance(min_s, int | float) or not 0 < min_s <= MAX_S:
            raise WeightsError(
                f"model folder {folder}: {CONFIG}: min_s must be above 0 and at most {MAX_S} s; got {min_s!r}"
            )
        model.min_s = float(min_s)
    if weights == "random":
        model.info["weights"] = "random"
        return model
    path = folder / WEIGHTS if weights == "published" else Path(weights)
    load_strictly(model.network, read_state(path), str(path))
    model.info["weights"] = path.name
    return model


def save_folder(
    classifier: Classifier, folder: str | os.PathLike[str], card: str | None = None, half: bool = False
) -> Path:
    """Write a classifier as a model folder that `load_classifier` reads.

    Parameters
    ----------
    classifier : Classifier
        Of one of Otoscope's architectures.
    folder : path
        Made if needed.
    card : str, optional
        The model card (Markdown); without one, a short card of the facts that are known.
    half : bool
        Store the weights as float16: half the size, rounded.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    UnsupportedError
        If the classifier was wrapped and cannot be built from a configuration.
    WriteError
        If a file cannot be written; files are written whole or not at all.
    """
    if classifier.config is None:
        raise UnsupportedError(
            f"classifier {classifier.name!r} was wrapped, and only you know how to build it; save it with its own library"
        )
    config = {
        **classifier.config,
        "settings": {**classifier.config["settings"], **classifier.state_settings()},
        "name": classifier.name,
        "labels": list(classifier.labels),
        "multilabel": classifier.multilabel,
        **({} if classifier.min_s is None else {"min_s": classifier.min_s}),
        "info": {k: v for k, v in classifier.info.items() if k != "weights"},
    }
    card = _card(classifier) if card is None else card
    return write_model_folder(folder, "classifier", config, classifier.network.state_dict(), card, half)


def _card(classifier: Classifier) -> str:
    config: dict[str, Any] = classifier.config or {}
    n = sum(p.numel() for p in classifier.network.parameters())
    settings = ", ".join(f"{k}={v}" for k, v in config.get("settings", {}).items()) or "none"
    description = (
        f"A classifier of sounds: architecture `{config.get('architecture', '?')}` ({settings}), {n:,} parameters,\n"
        f"{classifier.sample_rate} Hz mono, {len(classifier.labels)} classes "
        f"({'independent' if classifier.multilabel else 'exclusive'})."
    )
    return short_card(classifier.name, description, classifier.info, "load_classifier")


def load_pretrained(source: str | os.PathLike[str], revision: str | None = None) -> Classifier:
    """A classifier from a model folder, or from a repository on the Hugging Face hub that holds one.

    Raises
    ------
    WeightsError, DownloadError, MissingExtraError
    """
    return load_folder(fetch_model_folder(source, revision)).eval()


def push_folder(classifier: Classifier, repo_id: str, private: bool = False, token: str | None = None) -> str:
    """Upload a classifier as a model folder; returns the address.

    Raises
    ------
    DownloadError, MissingExtraError, UnsupportedError
    """
    return push_model_folder(lambda path: save_folder(classifier, path), classifier.name, repo_id, private, token)
