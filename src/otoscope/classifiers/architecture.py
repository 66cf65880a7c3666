"""From an architecture's name and settings to a classifier.

An architecture is a registered function ``(n_classes, **settings) -> Parts``, one file each. Its settings are registered
with type, range and default, so that a name such as ``mn,width=0.4``, a recipe and a model folder all mean the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from otoscope.classifiers.base import Classifier, Place
from otoscope.classifiers.labels import label_names
from otoscope.core import registry


@dataclass(frozen=True)
class Parts:
    """What an architecture function returns.

    Parameters
    ----------
    network : nn.Module
        Features ``(batch, 1, freq, frame)`` -> logits ``(batch, class)``; parameter names as in the published files.
    frontend : nn.Module
        Waveform ``(batch, time)`` -> features; see `Classifier`.
    sample_rate : int, Hz
        Sample rate of the waveforms.
    cam_layer : str, optional
        The layer that CAM methods look at.
    axes : mapping of str to str
        Dotted layer name -> order of the axes of its output after the batch: see `Classifier`.
    places : mapping of str to ((float, float), (float, float))
        Dotted layer name -> where the cells of its map lie among the features: see `Classifier`.
    head : tuple of str
        Prefixes of the parameters whose shape depends on the number of classes; the rest is the body, which can start
        from another task's weights.

    Examples
    --------
    >>> from otoscope.core import registry
    >>> parts = registry.get("architecture", "vgg5").target(10, **registry.get("architecture", "vgg5").settings(None))
    >>> type(parts).__name__, parts.sample_rate
    ('Parts', 11025)
    """

    network: nn.Module
    frontend: nn.Module
    sample_rate: int
    cam_layer: str | None = None
    axes: Mapping[str, str] = field(default_factory=dict)
    places: Mapping[str, Place] = field(default_factory=dict)
    head: tuple[str, ...] = ()


def build(
    architecture: str,
    labels: int | Sequence[str],
    *,
    multilabel: bool = False,
    settings: Mapping[str, Any] | None = None,
    name: str | None = None,
    info: Mapping[str, Any] | None = None,
) -> Classifier:
    """A classifier of a registered architecture with random weights, drawn from torch's global generator.

    Parameters
    ----------
    architecture : str
        A registered architecture.
    labels : int or sequence of str
        How many classes, or their names.
    multilabel : bool
        Whether classes are independent (sigmoid) rather than exclusive (softmax).
    settings : mapping, optional
        The architecture's settings; the others take their defaults.
    name : str, optional
        Name for messages and records; by default that of the architecture.
    info : mapping, optional
        Where the weights come from, licence, results.

    Raises
    ------
    UnknownNameError, ParameterError
        For an unknown architecture or setting (the nearest are offered), or a value out of range.

    Examples
    --------
    >>> build("mn", ["dog", "rain"], settings={"width": 0.1}).labels
    ('dog', 'rain')
    """
    entry = registry.get("architecture", architecture)
    chosen = entry.settings(settings)
    names = label_names(labels)
    parts: Parts = entry.target(len(names), **chosen)
    return Classifier(
        parts.network,
        sample_rate=parts.sample_rate,
        labels=names,
        multilabel=multilabel,
        frontend=parts.frontend,
        name=name or registry.format_spec(entry, chosen),
        cam_layer=parts.cam_layer,
        axes=parts.axes,
        places=parts.places,
        head=parts.head,
        config={"architecture": entry.name, "settings": chosen},
        info=dict(info or {}),
    )
