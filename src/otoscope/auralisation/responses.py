"""Responses of all features of several layers to many sounds, in one forward pass a sound."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from otoscope.classifiers import Classifier
from otoscope.classifiers.layer_maps import record_layer_maps
from otoscope.core.errors import ParameterError


class LayerResponses(NamedTuple):
    """What the features of one layer make of sounds.

    Parameters
    ----------
    strength : ndarray (sound, feature)
        Root mean square of the map less that of silence.
    profile : ndarray (sound, feature, frame)
        The same over frequency alone: how it goes in time.

    Examples
    --------
    >>> LayerResponses(np.ones((2, 3)), np.ones((2, 3, 5))).strength.shape
    (2, 3)
    """

    strength: np.ndarray
    profile: np.ndarray


def layer_responses(
    classifier: Classifier,
    layers: Sequence[str],
    sounds: Sequence[np.ndarray],
    batch_size: int = 16,
    progress: Callable[[int], None] | None = None,
) -> dict[str, LayerResponses]:
    """Responses of layers' features to sounds of one length at the classifier's rate.

    Parameters
    ----------
    classifier : Classifier
        It stays as it is.
    layers : sequence of str
        Dotted names of layers with maps over time.
    sounds : sequence of ndarray (time,)
        Of one length.
    batch_size : int
        Sounds in a pass.
    progress : callable, optional
        Called with the number of sounds that are done.

    Returns
    -------
    dict
        For each layer.

    Raises
    ------
    ParameterError
        If there are no sounds, or they are of several lengths.
    UnknownNameError, UnsupportedError
        For layers that are not there, or have no maps over time.

    Examples
    --------
    >>> found = layer_responses(build("vgg5", 2), ["block1", "block3"], [noise[0], np.zeros(22050)])
    >>> {name: one.strength.shape for name, one in found.items()}
    {'block1': (2, 64), 'block3': (2, 64)}
    """
    if not sounds or len({len(s) for s in sounds}) > 1:
        raise ParameterError("give sounds of one length")
    size = 1 if classifier.one_by_one else batch_size
    quiet = record_layer_maps(classifier, torch.zeros(1, len(sounds[0])), layers)
    strength: dict[str, list[np.ndarray]] = {name: [] for name in layers}
    profile: dict[str, list[np.ndarray]] = {name: [] for name in layers}
    for start in range(0, len(sounds), size):
        some = np.stack([np.asarray(s, np.float32) for s in sounds[start : start + size]])
        for name, maps in record_layer_maps(classifier, torch.from_numpy(some), layers).items():
            power = power_in_time(maps - quiet[name])
            strength[name].append(power.mean(2).sqrt().cpu().numpy())
            profile[name].append(power.sqrt().cpu().numpy())
        if progress is not None:
            progress(start + len(some))
    return {n: LayerResponses(np.concatenate(strength[n]), np.concatenate(profile[n])) for n in layers}


def power_in_time(change: Tensor) -> Tensor:
    """Mean squares over all between feature and frame, ``(sound, feature, frame)``, of maps ``(sound, feature, ..., frame)``."""
    power = change.square()
    return power.flatten(2, -2).mean(2) if power.ndim > 3 else power
