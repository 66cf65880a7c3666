"""Changes of a prototype network, each of which gives a new one: delete, merge, add, rename."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from otoscope.classifiers.architecture import build
from otoscope.classifiers.base import Classifier
from otoscope.classifiers.prototype_network import (
    Prototype,
    checked_name,
    editable_network,
    list_prototypes,
    owners,
    prototype_network,
)
from otoscope.core.errors import ParameterError, UnknownNameError


def delete(classifier: Classifier, ids: Sequence[str], rescale: bool = True) -> Classifier:
    """A network without some prototypes.

    Parameters
    ----------
    classifier : Classifier
        A prototype network.
    ids : sequence of str
        Identities of the prototypes to delete.
    rescale : bool
        Scale what is left of a class so that its votes for each class have the sum of sizes that they had.

    Raises
    ------
    ParameterError
        If a class would be left without a prototype.
    UnknownNameError
        For an unknown prototype.

    Examples
    --------
    >>> [p.id for p in list_prototypes(delete(model, ["p1", "p4"]))]
    ['p2', 'p3', 'p5', 'p6']
    """
    network, gone = prototype_network(classifier), set(positions(classifier, ids))
    classes = owners(classifier)
    kept = [i for i in range(len(classes)) if i not in gone]
    if bare := sorted({classes[i] for i in gone} - {classes[i] for i in kept}):
        names = ", ".join(classifier.labels[c] for c in bare)
        raise ParameterError(
            f"class {names} would be left without a prototype; keep one of them, or add a clip as a prototype of the class first"
        )
    out = network.out.weight.detach()
    votes = votes_without(out, classes, gone) if rescale else out[:, kept]
    parts = (network.prototypes.maps[kept], network.prototypes.weights[kept], votes)
    return rebuilt(classifier, parts, [p for i, p in enumerate(list_prototypes(classifier)) if i in kept])


def merge(classifier: Classifier, ids: Sequence[str]) -> Classifier:
    """A network with one prototype in the place of several of a class: the mean map, and the sum of their votes.

    Raises
    ------
    ParameterError
        If there are fewer than two, or they vote for different classes.
    UnknownNameError
        For an unknown prototype.

    Examples
    --------
    >>> [p.id for p in list_prototypes(merge(model, ["p1", "p2"]))]
    ['p1', 'p3', 'p4', 'p5', 'p6']
    """
    network, places = prototype_network(classifier), positions(classifier, ids)
    classes, names = owners(classifier), list_prototypes(classifier)
    if len(places) < 2:
        raise ParameterError(f"at least two different prototypes are merged; got {', '.join(map(str, ids)) or 'none'}")
    if len({classes[i] for i in places}) > 1:
        said = ", ".join(f"{names[i].name} ({classifier.labels[classes[i]]})" for i in places)
        raise ParameterError(f"prototypes that are merged must vote for the same class; got {said}")
    first, gone = places[0], set(places[1:])
    maps, weights, out = (
        t.detach().clone() for t in (network.prototypes.maps, network.prototypes.weights, network.out.weight)
    )
    maps[first], weights[first] = maps[places].mean(0), weights[places].mean(0)
    out[:, first] = out[:, places].sum(1)
    kept = [i for i in range(len(classes)) if i not in gone]
    names[first] = replace(names[first], clip="")
    return rebuilt(classifier, (maps[kept], weights[kept], out[:, kept]), [names[i] for i in kept])


def add(classifier: Classifier, latent: Tensor, label: int, id: str, name: str = "", clip: str = "") -> Classifier:
    """A network with one more prototype: the latent map of a clip.

    Its vote for its class is the mean of all weights above 0, that against the others the mean of those below 0; then the votes of
    this class's prototypes are scaled to the sum of sizes that they had. Its weights over frequency are the mean of all.

    Parameters
    ----------
    classifier : Classifier
        A prototype network.
    latent : Tensor (channel, freq, frame)
        Of the clip; see `encode_clips`.
    label : int
        The class that it votes for.
    id : str
        A new identity.
    name, clip : str
        For people; and the file.

    Raises
    ------
    ParameterError

    Notes
    -----
    Source: zinemanas2021apnet, the authors' program for refinement by hand.

    Examples
    --------
    >>> list_prototypes(add(model, clips.maps[9], 1, "p7", clip="low-3.wav"))[-1]
    Prototype(id='p7', name='low from a clip', clip='low-3.wav')
    """
    network = prototype_network(classifier)
    if not 0 <= label < len(classifier.labels):
        raise ParameterError(f"classes are numbered 0 to {len(classifier.labels) - 1}; got {label}")
    if id in {p.id for p in list_prototypes(classifier)}:
        raise ParameterError(f"there is a prototype {id!r} already; give another identity")
    layer, out = network.prototypes, network.out.weight.detach()
    vote = torch.full_like(out[:, :1], float(_mean(out[out < 0])))
    vote[label] = float(_mean(out[out > 0]))
    votes, classes = torch.cat([out, vote], 1), owners(classifier)
    if label in classes:
        own = [i for i, owner in enumerate(classes) if owner == label]
        _keep_sums(votes, [*own, len(classes)], _sums(out, classes, label))
    weights = layer.weights.detach()
    parts = (
        torch.cat([layer.maps.detach(), latent.to(layer.maps)[None]]),
        torch.cat([weights, weights.mean().expand(1, weights.shape[1])]),
        votes,
    )
    new = Prototype(id, checked_name(name or f"{classifier.labels[label]} from a clip"), clip)
    return rebuilt(classifier, parts, [*list_prototypes(classifier), new])


def rename(classifier: Classifier, id: str, name: str) -> Classifier:
    """A network in which a prototype has another name.

    Raises
    ------
    ParameterError
        If the name is empty, or longer than 80 characters.
    UnknownNameError
        For an unknown prototype.

    Examples
    --------
    >>> list_prototypes(rename(model, "p2", "whistle"))[1].name
    'whistle'
    """
    (place,), names = positions(classifier, [id]), list_prototypes(classifier)
    names[place] = replace(names[place], name=checked_name(name))
    network = prototype_network(classifier)
    return rebuilt(classifier, (network.prototypes.maps, network.prototypes.weights, network.out.weight), names)


def positions(classifier: Classifier, ids: Sequence[str]) -> list[int]:
    """Numbers of prototypes, each once, in their order.

    Raises
    ------
    UnknownNameError
    ParameterError
        If none is given.
    """
    known = {p.id: i for i, p in enumerate(list_prototypes(classifier))}
    if not ids or not isinstance(ids, list | tuple):
        raise ParameterError(f"give at least one prototype, such as ['p1']; got {ids!r}")
    for id in ids:
        if not isinstance(id, str) or id not in known:
            raise UnknownNameError("prototype", str(id), known)
    return sorted({known[id] for id in ids})


def rebuilt(
    classifier: Classifier,
    parts: tuple[Tensor, Tensor, Tensor],
    prototypes: Sequence[Prototype],
    state: Mapping[str, Tensor] | None = None,
    **settings: int,
) -> Classifier:
    """A new classifier with other prototypes.

    Parameters
    ----------
    classifier : Classifier
        What it is made from; it stays as it is.
    parts : tuple of Tensor
        Maps ``(prototype, channel, freq, frame)``, weights over frequency ``(prototype, freq)`` and votes ``(class, prototype)``.
    prototypes : sequence of Prototype
        Their names.
    state : mapping of str to Tensor, optional
        Of encoder and decoder, if it changes.
    **settings
        Of the architecture, if they change.

    Returns
    -------
    Classifier
        In evaluation mode, on the same device.
    """
    editable_network(classifier)
    config = classifier.config or {}
    info = {**classifier.info, "prototypes": [vars(p) for p in prototypes]}
    with torch.random.fork_rng(devices=[]):  # the weights that it draws are replaced
        made = build(
            "apnet", classifier.labels, multilabel=classifier.multilabel, name=classifier.name, info=info,
            settings={**config.get("settings", {}), "prototypes": len(prototypes), **settings},
        )  # fmt: skip
    maps, weights, out = parts
    own = {k: v for k, v in classifier.network.state_dict().items() if not k.startswith(("prototypes.maps", "out."))}
    own |= {**(state or {}), "prototypes.maps": maps, "prototypes.weights": weights, "out.weight": out}
    made.network.load_state_dict({key: value.detach().clone() for key, value in own.items()})
    made.origin = None
    return made.eval().to(classifier.device, classifier.dtype)


def votes_without(out: Tensor, classes: Sequence[int], gone: Collection[int]) -> Tensor:
    """Votes ``(class, prototype)`` of those that stay; those of a class that lost some are scaled to the sums that it had."""
    kept = [i for i in range(len(classes)) if i not in gone]
    votes = out[:, kept].clone()
    for owner in {classes[i] for i in gone}:
        _keep_sums(votes, [k for k, i in enumerate(kept) if classes[i] == owner], _sums(out, classes, owner))
    return votes


def _sums(votes: Tensor, classes: Sequence[int], owner: int) -> Tensor:
    """Sums of the sizes of the votes of a class's prototypes, for each class ``(class,)``."""
    return votes[:, [i for i, c in enumerate(classes) if c == owner]].abs().sum(1)


def _keep_sums(votes: Tensor, columns: Sequence[int], sums: Tensor) -> None:
    """Scale votes of a class's prototypes, in place, to sums for each class; by one factor if one would change its class."""
    if not columns:
        return
    own = votes[:, columns]
    sizes = own.abs().sum(1)
    scaled = own * torch.where(sizes > 0, sums / sizes.clamp_min(1e-12), 1.0)[:, None]
    if not bool((scaled.argmax(0) == own.argmax(0)).all()):
        scaled = own * (sums.sum() / sizes.sum().clamp_min(1e-12))
    votes[:, columns] = scaled


def _mean(values: Tensor) -> Tensor:
    return values.mean() if len(values) else values.new_zeros(())
