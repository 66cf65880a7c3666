"""Automatic refinement: fewer prototypes, and fewer channels of the latent map.

``compat=True`` follows the authors' program, including its bugs; by default they are fixed.
"""

from __future__ import annotations

import torch
from torch import Tensor

from otoscope.classifiers.base import Classifier
from otoscope.classifiers.prototype_network import list_prototypes, owners, prototype_network
from otoscope.core.errors import ParameterError
from otoscope.prototypes.edit import delete, merge, rebuilt

FAR = 8000.0  # what the authors put in the place of a distance of 0
FAR_CHANNEL = 1000.0


def distance_matrix(maps: Tensor) -> Tensor:
    """Mean squared differences of prototypes ``(prototype, prototype)``, in float64.

    Examples
    --------
    >>> distance_matrix(torch.tensor([[0.0, 0.0], [1.0, 3.0]]).reshape(2, 1, 1, 2))[0, 1].item()
    5.0
    """
    flat = maps.detach().double().flatten(1)
    return torch.stack([(flat - row).square().mean(1) for row in flat])


def similar_groups(
    classifier: Classifier, threshold: float | None = None, share: float | None = None
) -> list[list[str]]:
    """Groups of prototypes of one class that are alike, nearest pairs first.

    Parameters
    ----------
    classifier : Classifier
        A prototype network.
    threshold : float, optional
        Largest mean squared difference of two prototypes in a group; by default that of the paper: the smallest difference of any
        two prototypes plus half of the mean.
    share : float in [0, 1), optional
        Share of the prototypes to save, in place of a threshold; one of each class always stays.

    Returns
    -------
    list of list of str
        Identities, of groups of two or more.

    Raises
    ------
    ParameterError

    Notes
    -----
    Groups grow by complete linkage: all pairs of a group are alike.

    Examples
    --------
    >>> similar_groups(model, share=0.5)
    [['p1', 'p2'], ['p3', 'p4'], ['p5', 'p6']]
    """
    if threshold is not None and share is not None:
        raise ParameterError("give a threshold or a share, not both")
    if threshold is not None and not threshold >= 0:
        raise ParameterError(f"threshold must be at least 0; got {threshold:g}")
    if share is not None and not 0 <= share < 1:
        raise ParameterError(f"share must be at least 0 and below 1; got {share:g}")
    network, classes = prototype_network(classifier), owners(classifier)
    distances = distance_matrix(network.prototypes.maps)
    n = len(distances)
    if threshold is None:
        threshold = float("inf") if share is not None else paper_threshold(distances)
    most = round(share * n) if share is not None else n
    groups = {i: [i] for i in range(n)}
    far = torch.full((n, n), float("inf"), dtype=torch.double)
    for i in range(n):
        for j in range(i + 1, n):
            if classes[i] == classes[j]:
                far[i, j] = distances[i, j]
    for _ in range(min(most, n - 1)):
        i, j = divmod(int(far.argmin()), n)
        if not far[i, j] <= threshold or far[i, j].isinf():
            break
        groups[i] += groups.pop(j)
        for k in groups:
            if k != i:
                a, b = (min(i, k), max(i, k)), (min(j, k), max(j, k))
                far[a] = torch.maximum(far[a], far[b])
        far[j, :] = far[:, j] = float("inf")
    names = [p.id for p in list_prototypes(classifier)]
    return [[names[i] for i in sorted(group)] for group in groups.values() if len(group) > 1]


def paper_threshold(distances: Tensor) -> float:
    """The smallest distance of two prototypes plus half of the mean of the matrix."""
    n = len(distances)
    apart = distances[~torch.eye(n, dtype=torch.bool)]
    return float(apart.min() + 0.5 * distances.mean()) if n > 1 else 0.0


def refine_prototypes(
    classifier: Classifier, threshold: float | None = None, share: float | None = None, compat: bool = False
) -> Classifier:
    """A network in which prototypes that are alike are one.

    Parameters
    ----------
    classifier : Classifier
        A prototype network.
    threshold, share : float, optional
        See `similar_groups`.
    compat : bool
        As the authors' program does: of two prototypes of a class that are nearest to each other one is deleted, exact copies are
        never merged (their distance of 0 is taken for 8000), and no threshold can be given.

    Returns
    -------
    Classifier
        Each group is merged: the mean of the maps, and the sum of the votes. To be tuned: `tune`.

    Raises
    ------
    ParameterError

    Notes
    -----
    Source: zinemanas2021apnet, sec. 4.4; compat: the authors' program.

    Examples
    --------
    >>> len(list_prototypes(refine_prototypes(model, share=0.5)))
    3
    """
    if compat:
        if threshold is not None or share is not None:
            raise ParameterError("the authors' program takes no threshold; leave threshold and share out, or compat")
        network, names = prototype_network(classifier), [p.id for p in list_prototypes(classifier)]
        with torch.no_grad():
            classes = network.decide(network.prototypes.maps)[0].argmax(1).tolist()
        gone = [names[i] for i in compat_deletions(network.prototypes.maps, classes)]
        return delete(classifier, gone, rescale=False) if gone else classifier
    for group in similar_groups(classifier, threshold, share):
        classifier = merge(classifier, group)
    return classifier


def compat_deletions(maps: Tensor, classes: list[int]) -> list[int]:
    """The prototypes that the authors' program deletes, given the class that the network gives to each."""
    distances = distance_matrix(maps)
    mean = float(distances.mean())
    distances[distances == 0] = FAR
    limit = float(distances.min()) + mean / 2
    gone: list[int] = []
    keepers: set[int] = set()
    for j in sorted(range(len(classes)), key=classes.__getitem__):
        row = distances[j]
        nearest = int(row.argmin())
        if row[nearest] < limit and classes[nearest] == classes[j] and j not in keepers:
            gone.append(j)
            keepers.add(nearest)
    return gone


def channel_distances(maps: Tensor) -> Tensor:
    """Squared differences of channels over all prototypes, ``(channel, channel)``, in float64."""
    flat = maps.detach().double().transpose(0, 1).flatten(1)
    return torch.stack([(flat - row).square().sum(1) for row in flat])


def refine_channels(classifier: Classifier, n: int = 8, compat: bool = False) -> Classifier:
    """A network whose latent map has fewer channels: of the pairs that are most alike, one each is dropped.

    Parameters
    ----------
    classifier : Classifier
        A prototype network.
    n : int
        How many channels to drop.
    compat : bool
        As the authors' program does: identical channels are never found (a distance of 0 is taken for 1000), the number of pairs is
        raised until ``n`` channels are marked, and the decoder begins with random weights.

    Returns
    -------
    Classifier
        Without ``compat``, the decoder reads the channel that stayed in the place of the one that is gone. To be tuned: `tune`.

    Raises
    ------
    ParameterError
        If there are not enough channels, or, with ``compat``, no number of pairs marks just ``n`` of them.

    Examples
    --------
    >>> refine_channels(model, 1).network.prototypes.maps.shape[1]
    3
    """
    network = prototype_network(classifier)
    maps = network.prototypes.maps
    channels = maps.shape[1]
    if not 1 <= n < channels:
        raise ParameterError(
            f"the latent map has {channels} channels, of which 1 to {channels - 1} can be dropped; got {n}"
        )
    distances = channel_distances(maps)
    gone = dict.fromkeys(_compat_channels(distances, n)) if compat else _alike_channels(distances, n)
    kept = [c for c in range(channels) if c not in gone]
    state = {k: v.detach().clone() for k, v in network.state_dict().items() if k.startswith(("encoder.", "decoder."))}
    first = state["decoder.deconv1.weight"]  # (latent channel, channel, 5, 5)
    for dropped, stays in gone.items():
        if stays is not None:
            first[stays] += first[dropped]
    state["decoder.deconv1.weight"] = first[kept]
    if compat:
        _begin_anew(state)
    for name in ("encoder.conv3.weight", "encoder.conv3.bias"):
        state[name] = state[name][kept]
    scale = (
        network.prototypes.scale * len(kept) / channels if network.prototypes.published else network.prototypes.scale
    )
    parts = (maps[:, kept], network.prototypes.weights, network.out.weight)
    return rebuilt(
        classifier, parts, list_prototypes(classifier), {**state, "prototypes.scale": scale}, latent_channels=len(kept)
    )


def _alike_channels(distances: Tensor, n: int) -> dict[int, int]:
    """Channels to drop, and those that stay for them: the nearest pair, again and again, always two that are still there."""
    far = distances.clone()
    far.fill_diagonal_(float("inf"))
    gone: dict[int, int] = {}
    for _ in range(n):
        stays, dropped = divmod(int(far.argmin()), len(far))
        gone[dropped] = stays
        far[dropped, :] = far[:, dropped] = float("inf")
    return {dropped: _last(gone, stays) for dropped, stays in gone.items()}


def _last(gone: dict[int, int], channel: int) -> int:
    while channel in gone:
        channel = gone[channel]
    return channel


def _compat_channels(distances: Tensor, n: int) -> set[int]:
    """Channels that the authors' program drops: of each of the nearest pairs one that is not marked yet."""
    far = distances.clone().fill_diagonal_(FAR_CHANNEL).tril()
    far[far == 0] = FAR_CHANNEL  # also above the diagonal
    order = far.flatten().argsort(stable=True).tolist()
    for pairs in range(n, len(order) + 1):
        marked: set[int] = set()
        for place in order[:pairs]:
            row, column = divmod(place, len(far))
            marked.add(column if row in marked else row)
        if len(marked) == n:
            return marked
    raise ParameterError(
        f"the authors' rule marks fewer or more than {n} channels; choose another number, or leave compat out"
    )


def _begin_anew(state: dict[str, Tensor]) -> None:
    """Random weights for the decoder, in place."""
    drawn = torch.Generator().manual_seed(0)
    for name, value in state.items():
        if name.startswith("decoder."):
            if value.ndim > 1:
                torch.nn.init.xavier_uniform_(value, generator=drawn)
            else:
                value.zero_()
