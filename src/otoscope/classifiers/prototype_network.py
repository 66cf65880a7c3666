"""Networks that decide by learned prototypes, and what their prototypes are called.

A prototype has an identity, which never changes, and a name, which people give. Both are kept in ``classifier.info``.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from otoscope.audio import peak
from otoscope.classifiers.apnet import ApNet
from otoscope.classifiers.base import Classifier
from otoscope.core.errors import ParameterError, UnsupportedError
from otoscope.spectral import LogMel, features_to_sound

MAX_NAME = 80


def prototype_network(classifier: Classifier) -> ApNet:
    """The network of a classifier that decides by learned prototypes.

    Raises
    ------
    UnsupportedError
        If the classifier is of another kind.

    Examples
    --------
    >>> len(prototype_network(model).prototypes.maps)
    6
    """
    network = classifier.network
    if not isinstance(network, ApNet):
        raise UnsupportedError(
            f"classifier {classifier.name!r} is not a prototype network, such as apnet; "
            "find prototypes of any other classifier with `otoscope prototypes fit`"
        )
    return network


def editable_network(classifier: Classifier) -> ApNet:
    """The network of a classifier whose prototypes can be changed and tuned.

    Raises
    ------
    UnsupportedError
        If it is of another kind, cannot be built again, or its classes do not exclude one another.
    """
    network = prototype_network(classifier)
    if (classifier.config or {}).get("architecture") != "apnet":
        raise UnsupportedError(
            f"classifier {classifier.name!r} was wrapped, and only you know how to build it; change prototypes of networks that "
            "Otoscope trained or loaded"
        )
    if classifier.multilabel or len(classifier.labels) < 2:
        raise UnsupportedError(
            f"prototypes are changed in networks of two or more classes that exclude one another; {classifier.name!r} has "
            f"{len(classifier.labels)} {'independent' if classifier.multilabel else ''} class(es)".replace("  ", " ")
        )
    if not all(bool(torch.isfinite(p).all()) for p in network.parameters()):
        raise UnsupportedError(
            f"the weights of {classifier.name!r} hold NaN or infinity; train it again with a lower learning rate"
        )
    return network


@dataclass(frozen=True)
class Prototype:
    """One prototype of a network.

    Parameters
    ----------
    id : str
        Its identity, such as ``p7``: it stays when others are deleted.
    name : str
        For people.
    clip : str
        The file whose latent map it was made of by hand; empty for learned ones.

    Examples
    --------
    >>> Prototype("p1", "dog 1").clip
    ''
    """

    id: str
    name: str
    clip: str = ""


def owners(classifier: Classifier) -> list[int]:
    """The class that each prototype votes for most.

    Examples
    --------
    >>> owners(model)
    [0, 0, 1, 1, 2, 2]
    """
    found: list[int] = prototype_network(classifier).out.weight.argmax(0).tolist()
    return found


def list_prototypes(classifier: Classifier) -> list[Prototype]:
    """The prototypes of a network; those that nobody has named are called by the class that they vote for.

    Examples
    --------
    >>> [p.name for p in list_prototypes(model)]
    ['high 1', 'high 2', 'low 1', 'low 2', 'middle 1', 'middle 2']
    """
    stored = classifier.info.get("prototypes")
    classes = owners(classifier)
    if isinstance(stored, Sequence) and len(stored) == len(classes):
        try:
            rows = [Prototype(str(row["id"]), str(row["name"]), str(row.get("clip", ""))) for row in stored]
        except (KeyError, TypeError, AttributeError):
            rows = []
        if rows and len({p.id for p in rows}) == len(rows) and all(map(_is_fit, rows)):
            return rows  # else written by another program: numbered anew
    counts = [0] * len(classifier.labels)
    found = []
    for number, owner in enumerate(classes, 1):
        counts[owner] += 1
        found.append(Prototype(f"p{number}", f"{classifier.labels[owner]} {counts[owner]}"))
    return found


def checked_name(name: object) -> str:
    """A name for people.

    Raises
    ------
    ParameterError
        If it is empty, longer than 80 characters, or not printable.
    """
    if not isinstance(name, str) or not name.strip() or len(name.strip()) > MAX_NAME or not name.strip().isprintable():
        raise ParameterError(f"a name is a text of 1 to {MAX_NAME} printable characters; got {str(name)[:100]!r}")
    return name.strip()


def _is_fit(prototype: Prototype) -> bool:
    """Whether an identity can be part of a file's name, and a name be shown."""
    fit = re.fullmatch(r"[A-Za-z0-9_-]{1,40}", prototype.id) and 0 < len(prototype.name) <= MAX_NAME
    return bool(fit) and prototype.name.isprintable()


def decode_latent(
    classifier: Classifier, latent: Tensor, donor: Tensor, iterations: int = 16, seed: int = 0
) -> np.ndarray:
    """A latent map as a sound, through the decoder and with the pooling masks of a sound.

    Parameters
    ----------
    classifier : Classifier
        A prototype network with a log-mel front end.
    latent : Tensor (channel, freq, frame)
        The map.
    donor : Tensor (1, 1, freq, frame)
        Features of the sound whose masks place what the decoder makes.
    iterations, seed : int
        Of `features_to_sound`.

    Returns
    -------
    ndarray (time,), float32
        At the level at which it was decoded, or less where it would clip.

    Raises
    ------
    UnsupportedError
        If the features cannot be brought back to a sound.
    """
    network, front = prototype_network(classifier), classifier.frontend
    if not isinstance(front, LogMel):
        raise UnsupportedError(
            f"the features of classifier {classifier.name!r} cannot be brought back to a sound; the front end must be a log-mel one"
        )
    with torch.no_grad():
        made = network.decoder(latent[None].to(donor), network.encoder(donor).masks)[0, 0]
    sound = features_to_sound(made.float().cpu(), copy.deepcopy(front).cpu(), iterations, seed)
    return sound / np.float32(max(1.0, peak(sound)))
