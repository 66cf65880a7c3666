"""Networks that decide by learned prototypes, and what their prototypes are called.

A prototype has an identity, which never changes, and a name, which people give. Both are kept in ``classifier.info``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from otoscope.classifiers.apnet import ApNet
from otoscope.classifiers.base import Classifier
from otoscope.core.errors import UnsupportedError


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
            return [Prototype(str(row["id"]), str(row["name"]), str(row.get("clip", ""))) for row in stored]
        except (KeyError, TypeError, AttributeError):
            pass  # written by another program: numbered anew
    counts = [0] * len(classifier.labels)
    found = []
    for number, owner in enumerate(classes, 1):
        counts[owner] += 1
        found.append(Prototype(f"p{number}", f"{classifier.labels[owner]} {counts[owner]}"))
    return found
