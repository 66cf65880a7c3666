"""Choose prototypes from candidates: k-medoids of the vote, k-means, and the baselines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from otoscope.prototypes.candidates import Candidates, FitSettings

TEMPERATURES = (0.01, 0.02, 0.05, 0.1, 0.2)
START = 0.1  # temperature with which medoids are chosen
SWEEPS, STEPS = 5, 50
LITTLE = 1e-6  # of a vote: no class is without any


@dataclass(frozen=True, eq=False)
class Chosen:
    """What was chosen: vectors and classes, and the candidates that they are (none for centres)."""

    vectors: Tensor
    classes: Tensor
    numbers: list[int]


def choose(
    found: Candidates, similarity: Tensor, predicted: Tensor, settings: FitSettings, refused: Sequence[int]
) -> Chosen:
    """Prototypes of each predicted class, by the method of the settings, without the candidates that are refused."""
    allowed = torch.ones(len(found.vectors), dtype=torch.bool)
    allowed[list(refused)] = False
    classes = predicted.unique().tolist()
    own = {c: ((predicted[found.clips] == c) & allowed).nonzero()[:, 0] for c in classes}
    own = {c: numbers for c, numbers in own.items() if len(numbers)}
    vectors, numbers, labels = [], list[int](), list[int]()
    if settings.method == "medoids":
        for c, some in medoids(similarity, predicted, found.clips, own, settings.per_class).items():
            numbers += some
            labels += [c] * len(some)
        return Chosen(found.vectors[numbers], torch.tensor(labels, dtype=torch.int64), numbers)
    for c, some in own.items():
        k = min(settings.per_class, len(some))
        draw = torch.Generator().manual_seed(settings.seed + c)
        if settings.method == "random":
            picked = some[torch.randperm(len(some), generator=draw)[:k]].tolist()
        elif settings.method == "energy":
            picked = _loudest(found, some, k)
        else:
            points = found.seen(found.vectors[some])
            centres = kmeans(points, k, draw)
            if settings.method == "kmeans":
                vectors.append(_unseen(centres, found))
                labels += [c] * len(centres)
                continue
            picked = list(dict.fromkeys(some[torch.cdist(points, centres).argmin(0)].tolist()))
        numbers += picked
        labels += [c] * len(picked)
    made = torch.cat(vectors) if vectors else found.vectors[numbers]
    return Chosen(made, torch.tensor(labels, dtype=torch.int64), numbers)


def _unseen(centres: Tensor, found: Candidates) -> Tensor:
    """Centres in the layer's units: the inverse of `Candidates.seen`."""
    length = centres.norm(dim=1, keepdim=True)
    return found.mean + centres * found.radius / (1 - length).clamp_min(1e-6)


def _loudest(found: Candidates, some: Tensor, k: int) -> list[int]:
    """The loudest candidates, one a clip."""
    order = some[np.argsort(-found.levels[some.numpy()], kind="stable").copy()].tolist()
    first: dict[int, int] = {}
    for number in order:
        first.setdefault(int(found.clips[number]), number)
    return list(first.values())[:k]


def kmeans(points: Tensor, k: int, draw: torch.Generator) -> Tensor:
    """Centres ``(centre, channel)`` of points ``(point, channel)``: Lloyd's iterations from k-means++."""
    centres = points[torch.randint(len(points), (1,), generator=draw)]
    while len(centres) < k:
        distance = torch.cdist(points, centres).amin(1).square()
        if float(distance.max()) <= 1e-12:
            break
        centres = torch.cat([centres, points[torch.multinomial(distance, 1, generator=draw)]])
    for _ in range(STEPS):
        nearest = torch.cdist(points, centres).argmin(1)
        moved = torch.stack(
            [points[nearest == i].mean(0) if (nearest == i).any() else centres[i] for i in range(len(centres))]
        )
        if torch.equal(moved, centres):
            break
        centres = moved
    return centres


def medoids(
    similarity: Tensor, predicted: Tensor, clips: Tensor, own: dict[int, Tensor], k: int
) -> dict[int, list[int]]:
    """For each class, the candidates whose votes together come nearest to the decisions: added one by one, then exchanged.

    Of one clip, a class gets one at most.

    Parameters
    ----------
    similarity : Tensor (clip, candidate)
        Best similarity of each clip to each candidate.
    predicted : Tensor (clip,)
        The decisions.
    clips : Tensor (candidate,)
        The clip of each candidate.
    own : dict of int to Tensor
        Candidates of each class.
    k : int
        Most of a class.
    """
    weight = ((similarity - 1) / START).exp()  # unnormalised shares
    place = {c: i for i, c in enumerate(own)}
    target = torch.tensor([place.get(int(c), -1) for c in predicted])
    weight, target = weight[target >= 0], target[target >= 0]
    votes = weight.new_full((len(weight), len(own)), LITTLE)
    chosen: dict[int, list[int]] = {c: [] for c in own}

    def best(c: int) -> int:
        """The candidate that lowers the loss most, of a clip that the class has none of."""
        added = weight[:, own[c]]
        mine = votes.gather(1, target[:, None]) + added * (target == place[c])[:, None]
        loss = (votes.sum(1, keepdim=True) + added).log().mean(0) - mine.log().mean(0)
        taken = torch.isin(clips[own[c]], clips[chosen[c]])
        return int(own[c][loss.masked_fill(taken, torch.inf).argmin()])

    for number in range(k):
        for c in own:
            if number < len(clips[own[c]].unique()):
                chosen[c].append(best(c))
                votes[:, place[c]] += weight[:, chosen[c][-1]]
    for _ in range(SWEEPS):
        before = {c: list(some) for c, some in chosen.items()}
        for c, some in chosen.items():
            for _ in range(len(some)):
                some.pop(0)
                votes[:, place[c]] = LITTLE + weight[:, some].sum(1)
                some.append(best(c))
                votes[:, place[c]] += weight[:, some[-1]]
        if all(set(before[c]) == set(some) for c, some in chosen.items()):
            break
    return chosen


def temperature(similarity: Tensor, classes: Tensor, predicted: Tensor) -> float:
    """The largest temperature at which the vote agrees with most decisions, of similarities ``(clip, prototype)``."""
    agreed = []
    for value in TEMPERATURES:
        share = (similarity / value).softmax(1)
        votes = share.new_zeros(len(share), int(max(classes.max(), predicted.max())) + 1).index_add_(1, classes, share)
        agreed.append(int((votes.argmax(1) == predicted).sum()))
    return max(t for t, n in zip(TEMPERATURES, agreed, strict=True) if n == max(agreed))
