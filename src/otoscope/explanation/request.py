"""Requests: model, method, domain, target, mask and options, checked before anything runs."""

from __future__ import annotations

import copy
import itertools
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from otoscope.attribution import method_name
from otoscope.attribution.run import check_domain
from otoscope.classifiers import Classifier, load_classifier
from otoscope.classifiers.model_folder import CONFIG
from otoscope.core import registry
from otoscope.core.errors import ParameterError
from otoscope.core.runtime import resolve_device
from otoscope.domains import Domain, make_domain
from otoscope.explanation.artifacts import absolute
from otoscope.explanation.describe import LEVEL
from otoscope.masks import MaskSpec, parse_mask

# Chosen by measurement: docs/choosing.md.
DEFAULT_MODEL = "esc10-mn"
DEFAULT_METHOD = "mask_optimisation"
DEFAULT_DOMAIN = "mel"
DEFAULT_MASK = "positive"
RANKED_MASK = "positive:topk:0.5"
FORWARD_METHOD, FORWARD_DOMAIN = "mask_evolution", "mel,bands=20,ms=150"
SOUND_METHOD = "like-to-hear"


@dataclass(frozen=True)
class Request:
    """A checked request.

    Parameters
    ----------
    method : str or captum object
        A name in the registry, or any captum attribution method.
    method_settings : mapping
        Every parameter of the method.
    domain : Domain
        Domain of the explanation.
    mask : MaskSpec
        How attributions become a mask.
    target : int, str or None
        None: the class that the classifier finds most probable.
    seed : int
        Seed of methods that draw random numbers.
    batch_size : int
        Most clips in one pass.
    """

    method: Any
    method_settings: Mapping[str, Any]
    domain: Domain
    mask: MaskSpec
    target: int | str | None = None
    seed: int = 0
    batch_size: int = 16
    spec: Mapping[str, str] = field(default_factory=dict)


def defaults_for(classifier: Classifier, method: Any, domain: Any, mask: str | None) -> tuple[Any, Any, str]:
    """Method, domain and mask, with the defaults for a classifier in place of None.

    Optimising a mask needs gradients. For a classifier that gives none, masks of few, coarse cells evolve. Each method has a mask
    of its own.
    """
    if method is None and not classifier.differentiable:
        method, domain = FORWARD_METHOD, FORWARD_DOMAIN if domain is None else domain
    method = DEFAULT_METHOD if method is None else method
    return method, DEFAULT_DOMAIN if domain is None else domain, default_mask(method) if mask is None else mask


def default_mask(method: Any) -> str:
    """The mask of a method for which none is requested; one for a sound that a method gives itself stands for none."""
    if not isinstance(method, str | tuple):
        return RANKED_MASK
    facts = registry.get("method", registered_name(method)).facts
    return DEFAULT_MASK if facts["gives"] == "sound" else str(facts["mask"])


def registered_name(method: Any) -> str:
    """The name in the registry of a method with or without its settings; empty for an object, such as one of captum."""
    if not isinstance(method, str | tuple):
        return ""
    return str(method if isinstance(method, str) else method[0]).split(",")[0].strip()


def make_request(
    method: Any, domain: Any, mask: str | None, target: int | str | None, seed: int, batch_size: int
) -> Request:
    """Check names, settings and ranges; nothing has run yet when something is wrong. None stands for the usual default.

    Parameters are those of `explain`; a method that gives the sound itself takes no mask. A domain with its settings apart
    is ``(NAME, {setting: value})``, as a method is.
    """
    method, domain = DEFAULT_METHOD if method is None else method, DEFAULT_DOMAIN if domain is None else domain
    mask = DEFAULT_MASK if mask is None else mask
    seed, batch_size = check_whole("seed", seed, 0), check_whole("batch_size", batch_size, 1)
    if isinstance(target, bool) or not isinstance(target, str | int | np.integer | None):
        raise ParameterError(f"target must be a label or the number of a class; got {target!r}")
    target = int(target) if isinstance(target, np.integer) else target
    method, settings, said, gives = _method(method)
    domain_entry, domain_settings = _parsed("domain", domain)
    if domain_settings.get("stems"):  # by its whole path, so that a record can be replayed from another folder
        domain_settings["stems"] = os.path.abspath(domain_settings["stems"])
    parsed = _mask_of_sound(method, mask) if gives == "sound" else parse_mask(mask)
    if isinstance(method, str):
        check_domain(method, domain_entry.name)
    if parsed.smooth_freq and domain_entry.family == "components":
        raise ParameterError(
            "smooth_freq blends neighbouring bands of frequency; the rows of the domain 'components' are parts of the sound"
        )
    spec = {"method": said, "domain": registry.format_spec(domain_entry, domain_settings), "mask": str(parsed)}
    made = make_domain(domain_entry.name, domain_settings)
    return Request(method, settings, made, parsed, target, seed, batch_size, spec)


def with_autoencoder(method: str | None, autoencoder: str | None) -> Any:
    """The method of a command that may name an autoencoder, for `make_request`.

    Parameters
    ----------
    method : str, optional
        ``NAME`` or ``NAME,setting=value``; by default ``like-to-hear`` where an autoencoder is named, else None.
    autoencoder : str, optional
        A name or a folder, whatever characters it holds.

    Raises
    ------
    ParameterError
        If the method takes no autoencoder, or names another one itself.
    """
    if autoencoder is None:
        return method
    entry, settings = registry.parse("method", SOUND_METHOD if method is None else method)
    if "autoencoder" not in settings:
        raise ParameterError(
            f"an autoencoder goes with the method {SOUND_METHOD}, not with {entry.name!r}; leave out one of the two"
        )
    if settings["autoencoder"] not in (autoencoder, entry.settings({})["autoencoder"]):
        raise ParameterError(
            f"two autoencoders are named: {settings['autoencoder']!r} with the method and {autoencoder!r}; name one"
        )
    return entry.name, {**settings, "autoencoder": autoencoder}


def _parsed(kind: str, given: Any) -> tuple[registry.Entry, dict[str, Any]]:
    """An entry and its checked settings, in one text or apart."""
    if not isinstance(given, tuple):
        return registry.parse(kind, given)
    if len(given) != 2 or not isinstance(given[0], str) or not isinstance(given[1], Mapping):
        raise ParameterError(f"a {kind} with its settings apart is written (NAME, {{setting: value}}); got {given!r}")
    entry = registry.get(kind, given[0])
    return entry, entry.settings(given[1])


def _method(method: Any) -> tuple[Any, Mapping[str, Any], str, str]:
    """Method, its settings, how to ask for it again, and what it gives."""
    if not isinstance(method, str | tuple):
        return method, {}, method_name(method), "attributions"
    entry, settings = _parsed("method", method)
    gives = entry.facts["gives"]
    if gives == "sound":  # a folder by its whole path, so that a record can be replayed from another folder
        settings = {k: absolute(v, CONFIG) if isinstance(v, str) else v for k, v in settings.items()}
    return entry.name, settings, registry.format_spec(entry, settings), gives


def _mask_of_sound(method: str, mask: str | MaskSpec) -> MaskSpec:
    if str(mask) not in (DEFAULT_MASK, str(LEVEL)):
        raise ParameterError(
            f"the method {method!r} gives the kept sound itself: no mask makes it, so there is none to choose; got the mask "
            f"{str(mask)!r}, leave it out"
        )
    return LEVEL


def check_whole(name: str, value: Any, low: int) -> int:
    """A whole number of at least ``low`` that fits 31 bits, or a `ParameterError`."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not low <= value < 2**31:
        raise ParameterError(f"{name} must be a whole number from {low} to {2**31 - 1}; got {value!r}")
    return int(value)


def resolve_model(
    model: Any,
    weights: str | os.PathLike[str] | None = None,
    device: str = "auto",
    labels: Any = None,
    options: Mapping[str, Any] | None = None,
) -> Classifier:
    """A classifier on a device; ``options`` as `load_classifier` takes them. The caller's own is never
    moved, but copied for another device.

    Raises
    ------
    ParameterError
        If it is not a name, folder or classifier.
    """
    if isinstance(model, Classifier):
        if weights is not None or labels is not None or options:
            raise ParameterError(
                "weights=, labels= and options= go with a model name; a Classifier has its own already"
            )
        wanted = model.device if device == "auto" else _device(device)
        if next(itertools.chain(model.parameters(), model.buffers()), None) is None:
            return model  # a function, or a file that another runtime runs: nothing of it is on a device of torch
        if wanted.type == model.device.type and wanted.index in (None, model.device.index):
            return model
        return copy.deepcopy(model).to(wanted)
    if isinstance(model, nn.Module):
        raise ParameterError(
            f"{type(model).__name__} is a plain module, and only you know its rate and classes: "
            "pass otoscope.wrap(module, sample_rate=..., labels=...)"
        )
    if not isinstance(model, str | os.PathLike):
        raise ParameterError(
            f"model must be a name, a model folder or an otoscope classifier; got {type(model).__name__}"
        )
    chosen = _device(device)
    return load_classifier(model, "published" if weights is None else weights, labels, options).to(chosen)


def _device(device: str) -> torch.device:
    """A device that is here and that Otoscope works on."""
    chosen: torch.device = resolve_device(device)
    if chosen.type not in ("cpu", "cuda"):
        raise ParameterError(f"device {device!r} is not supported; use auto, cpu, cuda or cuda:N")
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise ParameterError(f"device {device!r} is not here; this machine has {torch.cuda.device_count()} GPUs")
    return chosen
