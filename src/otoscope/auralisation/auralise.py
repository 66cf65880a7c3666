"""`auralise`: the sounds of the features of one layer, each checked by the network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from otoscope.audio import AudioSource
from otoscope.auralisation.measures import SILENT, FeatureMeasures, feature_responses, measure_feature
from otoscope.classifiers import Classifier
from otoscope.classifiers.layer_features import LayerFeatures, check_layers, layer_features, reach_s
from otoscope.core.errors import OtoscopeError, ParameterError, UnsupportedError
from otoscope.explanation.explain import explain_sources, open_sound
from otoscope.explanation.explanation import Explanation
from otoscope.explanation.request import (
    DEFAULT_DOMAIN,
    DEFAULT_MODEL,
    default_mask,
    make_request,
    registered_name,
    resolve_model,
)
from otoscope.surgery import preserve_state

WAY = "deconvolution"


class Way(NamedTuple):
    """A way to ask a feature: method, domain and mask as `explain` takes them; None stands for what suits the network.

    Examples
    --------
    >>> Way().method
    'deconvolution'
    """

    method: Any = WAY
    domain: Any = None
    mask: str | None = None


EXCLUSIVE = ("mask_optimisation", "mask_evolution")  # whose mask keeps this feature and loses the others


@dataclass(frozen=True, eq=False)
class FeatureSound:
    """What one feature responds to in a sound.

    Parameters
    ----------
    number : int
        Of the feature in its layer.
    measures : FeatureMeasures, optional
        None where the feature does not respond.
    explanation : Explanation, optional
        Kept and removed sound, attribution, record and report; None where the feature does not respond.

    Examples
    --------
    >>> found = auralise(noise, build("vgg5", 2), "block1", [17], sample_rate=11025).features[0]
    >>> found.explanation.target.label
    'block1[17]'
    """

    number: int
    measures: FeatureMeasures | None
    explanation: Explanation | None


@dataclass(frozen=True, eq=False)
class Auralisation:
    """What the features of a layer respond to in one sound.

    Parameters
    ----------
    layer : str
        Dotted name.
    features : tuple of FeatureSound
        In the order that was asked for, or the strongest first.
    responses : ndarray (feature,)
        Of all features of the layer, over their references.
    classifier : Classifier
        The layer's features, as `layer_features` makes them.
    notes : tuple of str
        What to bear in mind.

    Examples
    --------
    >>> len(auralise(noise, build("vgg5", 2), "block1", top=2, sample_rate=11025).features)
    2
    """

    layer: str
    features: tuple[FeatureSound, ...]
    responses: np.ndarray
    classifier: Classifier
    notes: tuple[str, ...] = ()


def auralise(
    audio: Any,
    model: Any = DEFAULT_MODEL,
    layer: str | None = None,
    features: Sequence[int] | None = None,
    *,
    top: int = 5,
    way: Any = WAY,
    domain: Any = None,
    mask: str | None = None,
    weights: Any = None,
    labels: Any = None,
    sample_rate: int | None = None,
    seed: int = 0,
    device: str = "auto",
    batch_size: int = 16,
) -> Auralisation:
    """Hear what features of a layer respond to in a sound.

    Parameters
    ----------
    audio : path, bytes, array, dict or Clip
        One sound.
    model : str, path or Classifier
        As in `explain`.
    layer : str, optional
        Dotted name of a layer with maps over time; by default that of CAM methods.
    features : sequence of int, optional
        Numbers of features; by default those that respond most, each over its response to the standard sounds.
    top : int
        How many, by default.
    way : str or (str, mapping)
        The method that is asked: any of `explain`, such as ``deconvolution``, ``guided_backprop``, ``gradient``, ``lrp`` or
        ``mask_optimisation``, whose mask keeps this feature's response and loses those of the others.
    domain, mask : optional
        As in `explain`; by default the domain ``features`` for a network with a front end. For deconvolution through a network that
        takes magnitudes, the mask is ``positive``, as published; networks that take logarithms hardly notice a part that is only
        quieter.
    weights, labels, sample_rate, seed, device, batch_size
        As in `explain`.

    Returns
    -------
    Auralisation

    Raises
    ------
    UnknownNameError
        For a layer that is not there; the nearest names are given.
    ParameterError
        For a feature out of range.
    UnsupportedError
        If the layer has no features over time, or the way needs gradients and there are none.

    Notes
    -----
    Source: choi2015auralisation for deconvolution; the measures are ours.

    Examples
    --------
    >>> found = auralise(noise, build("vgg5", 2), "block1", [17, 3], sample_rate=11025)
    >>> [one.number for one in found.features]
    [17, 3]
    """
    make_request(way, domain, mask, None, seed, batch_size)  # faults are found before a model is loaded
    if isinstance(top, bool) or not isinstance(top, int) or top < 1:
        raise ParameterError(f"top must be a whole number of at least 1; got {top!r}")
    source = open_sound(audio, sample_rate)
    classifier = resolve_model(model, weights, device, labels)
    return auralise_source(source, classifier, layer, features, top, Way(way, domain, mask), seed, batch_size)


def auralise_source(
    source: AudioSource,
    classifier: Classifier,
    layer: str | None,
    numbers: Sequence[int] | None,
    top: int,
    how: Way,
    seed: int = 0,
    batch_size: int = 16,
) -> Auralisation:
    """`auralise` of an opened sound."""
    name = layer_of(classifier, layer)
    with preserve_state(classifier):
        heard = layer_features(classifier, name)
        responses = feature_responses(heard, source, batch_size)
        asked = _numbers(numbers, responses, top, name)
        explained = asked_by(heard, how)
        found = [hear_feature(heard, source, number, how, seed, batch_size, responses, explained) for number in asked]
    return Auralisation(name, tuple(found), responses, heard, notes_on(heard, source, responses))


def layer_of(classifier: Classifier, layer: str | None) -> str:
    """The layer that is asked for, or the default one.

    Raises
    ------
    UnsupportedError
        If no layer can be read, or there is no default one.
    """
    check_layers(classifier)
    name = layer or classifier.cam_layer
    if not name:
        some = ", ".join([n for n in classifier.layers() if "." not in n][:4])
        raise UnsupportedError(
            f"classifier {classifier.name!r} has no default layer; give layer={f', such as {some}' if some else ''}"
        )
    return name


def asked_by(features: Classifier, how: Way) -> Classifier:
    """The features as a way asks them: exclusive for those whose mask is to lose the others."""
    network = features.network
    if registered_name(how.method) not in EXCLUSIVE or not isinstance(network, LayerFeatures):
        return features
    return layer_features(network.classifier, network.layer, exclusive=True)


def hear_feature(
    heard: Classifier,
    source: AudioSource,
    number: int,
    how: Way,
    seed: int = 0,
    batch_size: int = 16,
    responses: np.ndarray | None = None,
    explained: Classifier | None = None,
) -> FeatureSound:
    """What one feature responds to; ``responses`` of all features to the sound are computed where they are not given."""
    if responses is None:
        responses = feature_responses(heard, source, batch_size)
    if responses[number] <= SILENT:
        return FeatureSound(number, None, None)
    request = make_request(*filled_way(heard, how), number, seed, batch_size)
    (one,) = explain_sources([source], asked_by(heard, how) if explained is None else explained, request)
    kept, removed = (feature_responses(heard, part, batch_size) for part in (one.kept, one.removed))
    return FeatureSound(number, measure_feature(responses, kept, removed, number), one)


def filled_way(classifier: Classifier, how: Way) -> tuple[Any, Any, str]:
    """Method, domain and mask, with defaults for a network."""
    way, domain, mask = how
    if domain is None:
        domain = DEFAULT_DOMAIN if classifier.frontend is None else "features"
    if mask is None:
        published = registered_name(way) == WAY and getattr(classifier.frontend, "unit", "") == "magnitude"
        mask = "positive" if published else default_mask(way)
    return way, domain, mask


def _numbers(numbers: Sequence[int] | None, responses: np.ndarray, top: int, layer: str) -> list[int]:
    """The features that are asked for, or those that respond most."""
    if numbers is None:
        order = np.argsort(-responses, kind="stable")[:top]
        return [int(n) for n in order if responses[n] > SILENT] or [int(order[0])]
    found = []
    for n in numbers:
        if isinstance(n, bool) or not isinstance(n, int | np.integer) or not 0 <= n < len(responses):
            raise ParameterError(f"layer {layer!r} has features 0 to {len(responses) - 1}; got {n!r}")
        found.append(int(n))
    if not found:
        raise ParameterError("give at least one feature")
    return found


def notes_on(features: Classifier, source: AudioSource, responses: np.ndarray) -> tuple[str, ...]:
    """What to bear in mind with this clip."""
    notes, silent = [], int((responses <= SILENT).sum())
    if silent:
        notes.append(f"{silent} of {len(responses)} features of this layer do not respond to this sound")
    try:
        reach = reach_s(features)
    except OtoscopeError:
        return tuple(notes)
    if source.duration < reach:
        notes.append(
            f"the sound ({source.duration:.2f} s) is shorter than what one value of this layer depends on ({reach:.2f} s): part of "
            "the response is to the silence around it"
        )
    return tuple(notes)
