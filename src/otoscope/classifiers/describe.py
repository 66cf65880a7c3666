"""What is known of a classifier without running it: for lists, the command line and the docs."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

from torch import nn

from otoscope.classifiers.checkpoints import is_cached
from otoscope.classifiers.load import load_classifier
from otoscope.classifiers.weights import cached
from otoscope.core import registry

NAMES = 12  # that an architecture without labels of its own is shown with


def weights_of(entry: registry.Entry) -> str:
    """Where a registered classifier's weights are: ``in the package``, ``in the cache``, ``download``, ``none``."""
    if entry.kind == "architecture":
        return "none"
    if not entry.facts.get("download"):
        return str(entry.facts.get("where") or "in the package")
    file = entry.facts.get("file")
    return "in the cache" if file and is_cached(file) else "download"


def describe(name: str | os.PathLike[str]) -> dict[str, Any]:
    """Description of a classifier: parameters, front end, labels, layers, weights, licence.

    Nothing is downloaded: weights that are not here are not needed for it.

    Parameters
    ----------
    name : str or path
        As `load_classifier` takes it.

    Returns
    -------
    dict
        ``name``, ``architecture``, ``settings``, ``parameters`` (how many numbers), ``sample_rate`` (Hz),
        ``minimum_s``, ``multilabel``, ``labels``, ``frontend``, ``cam_layer``, ``layers`` (name -> axes of its output or
        None), ``weights`` (where they are, come from and their checksum), ``licence``, ``source`` and ``info``.

    Raises
    ------
    UnknownNameError, WeightsError
    """
    text = str(name)
    entry = _entry(text)
    if entry is None:
        model = load_classifier(name)
    elif entry.kind == "architecture":
        model = load_classifier(text, "random", labels=NAMES)
    else:
        model = load_classifier(text, "random" if entry.facts.get("download") else "published")
    facts: dict[str, Any] = dict(entry.facts) if entry is not None else {}
    where = weights_of(entry) if entry is not None else "in the folder" if Path(text).is_dir() else "of your own"
    return {
        "name": text,
        "summary": entry.summary if entry is not None else "",
        "architecture": (model.config or {}).get("architecture"),
        "settings": (model.config or {}).get("settings"),
        "parameters": sum(p.numel() for p in model.network.parameters()),
        "sample_rate": model.sample_rate,
        "minimum_s": model.minimum_length / model.sample_rate,
        "multilabel": model.multilabel,
        "labels": [] if entry is not None and entry.kind == "architecture" else list(model.labels),
        "frontend": describe_frontend(model.frontend),
        "cam_layer": model.cam_layer,
        "layers": model.layers(),
        "weights": {
            "where": where,
            "url": facts.get("url"),
            "sha256": facts.get("sha256"),
            "file": str(cached(facts["file"])) if facts.get("file") else None,
        },
        "licence": facts.get("licence") or model.info.get("licence"),
        "source": entry.source if entry is not None else "",
        "info": {k: v for k, v in model.info.items() if k not in ("weights", "licence", "source")},
    }


def _entry(text: str) -> registry.Entry | None:
    if text in registry.names("classifier"):
        return registry.get("classifier", text)
    name = text.split(",")[0].strip()
    return registry.get("architecture", name) if name in registry.names("architecture") else None


def describe_frontend(frontend: nn.Module | None) -> str:
    """A front end as text: its class and its plain settings."""
    if frontend is None:
        return "none: the network takes the waveform"
    found: dict[str, Any] = {}
    for name, value in vars(frontend).items():
        if dataclasses.is_dataclass(value):
            found |= vars(value)
        elif not name.startswith("_") and name != "training":
            found[name] = value
    plain = {k: v for k, v in found.items() if isinstance(v, int | float | str)}
    return f"{type(frontend).__name__}({', '.join(f'{k}={v:g}' if isinstance(v, float) else f'{k}={v}' for k, v in plain.items())})"
