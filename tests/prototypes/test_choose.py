"""How prototypes are chosen from candidates."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from otoscope.prototypes import FitSettings
from otoscope.prototypes.candidates import best_similarity, candidates
from otoscope.prototypes.choose import START, choose, kmeans, medoids, temperature
from tone_worlds import RATE


def slow_kmeans(points, centres):
    """Lloyd's iterations in loops and float64."""
    points, centres = points.double().tolist(), centres.double().tolist()
    for _ in range(100):
        groups = [[] for _ in centres]
        for p in points:
            distances = [sum((a - b) ** 2 for a, b in zip(p, c)) for c in centres]
            groups[distances.index(min(distances))].append(p)
        moved = [[sum(x) / len(g) for x in zip(*g)] if g else c for g, c in zip(groups, centres)]
        if np.allclose(moved, centres, atol=1e-12):
            break
        centres = moved
    return torch.tensor(centres)


def test_kmeans_is_at_rest_and_finds_what_is_apart():
    rng = torch.Generator().manual_seed(0)
    groups = [torch.randn(20, 3, generator=rng) * 0.1 + 5 * torch.eye(3)[i] for i in range(3)]
    points = torch.cat(groups)
    centres = kmeans(points, 3, torch.Generator().manual_seed(1))
    torch.testing.assert_close(slow_kmeans(points, centres).float(), centres, rtol=1e-4, atol=1e-5)
    found = sorted(centres.tolist())
    np.testing.assert_allclose(found, sorted(g.mean(0).tolist() for g in groups), atol=1e-5)


def test_kmeans_of_fewer_places_than_centres():
    points = torch.tensor([[0.0], [0.0], [1.0]])
    assert sorted(kmeans(points, 3, torch.Generator().manual_seed(0))[:, 0].tolist()) == [0, 1]


def slow_loss(similarity, predicted, own, chosen):
    total = 0.0
    for i, c in enumerate(predicted.tolist()):
        votes = {
            k: 1e-6 + sum(math.exp((float(similarity[i, j]) - 1) / START) for j in some) for k, some in chosen.items()
        }
        total -= math.log(votes[c] / sum(votes.values()))
    return total / len(predicted)


def test_no_exchange_of_a_medoid_lowers_the_loss():
    rng = torch.Generator().manual_seed(0)
    similarity = torch.rand(9, 24, generator=rng) * 2 - 1
    predicted, clips = torch.arange(9) % 3, torch.arange(24) % 9
    own = {c: (predicted[clips] == c).nonzero()[:, 0] for c in range(3)}
    chosen = medoids(similarity, predicted, clips, own, 2)
    loss = slow_loss(similarity, predicted, own, chosen)
    for c, some in chosen.items():
        assert len({int(clips[j]) for j in some}) == len(some) == 2
        for at in range(2):
            rest = [j for k, j in enumerate(some) if k != at]
            for other in own[c].tolist():
                if int(clips[other]) not in {int(clips[j]) for j in rest}:
                    changed = {**chosen, c: [*rest, other]}
                    assert slow_loss(similarity, predicted, own, changed) > loss - 1e-6


def test_a_class_with_one_clip_gets_one_medoid():
    similarity = torch.eye(3).repeat_interleave(2, 1)
    clips = torch.tensor([0, 0, 1, 1, 2, 2])
    own = {0: torch.tensor([0, 1]), 1: torch.tensor([2, 3, 4, 5])}
    chosen = medoids(similarity, torch.tensor([0, 1, 1]), clips, own, 3)
    assert [len(chosen[c]) for c in (0, 1)] == [1, 2]


@pytest.fixture
def work(known):
    _, _, clips = known
    settings = FitSettings(window_s=0.2, per_class=2)
    found = candidates(clips, settings, RATE)
    return found, best_similarity(found, clips, settings, RATE), torch.tensor([c.predicted for c in clips])


@pytest.mark.parametrize("method", ["medoids", "nearest", "random", "energy", "kmeans"])
def test_every_method_gives_stretches_of_each_class(work, method):
    found, similarity, predicted = work
    settings = FitSettings(window_s=0.2, per_class=2, method=method)
    one, two = (choose(found, similarity, predicted, settings, []) for _ in range(2))
    assert torch.equal(one.vectors, two.vectors)
    assert one.classes.tolist() == [0, 0, 1, 1, 2, 2]
    if method == "kmeans":
        assert one.numbers == []
        return
    assert [int(predicted[found.clips[n]]) for n in one.numbers] == one.classes.tolist()
    torch.testing.assert_close(one.vectors, found.vectors[one.numbers])
    again = choose(found, similarity, predicted, settings, one.numbers)
    assert not set(again.numbers) & set(one.numbers)


def test_the_nearest_are_those_nearest_to_the_centres(work):
    found, similarity, predicted = work
    centres, nearest = (
        choose(found, similarity, predicted, FitSettings(window_s=0.2, per_class=1, method=m), [])
        for m in ("kmeans", "nearest")
    )
    for c in range(3):
        some = (predicted[found.clips] == c).nonzero()[:, 0].tolist()
        points = found.seen(found.vectors[some])
        torch.testing.assert_close(found.seen(centres.vectors)[c], points.mean(0), rtol=1e-3, atol=1e-4)
        distances = [float((p - points.mean(0)).norm()) for p in points]
        assert nearest.numbers[c] == some[distances.index(min(distances))]


def test_the_loudest_are_of_different_clips(work):
    found, similarity, predicted = work
    chosen = choose(found, similarity, predicted, FitSettings(window_s=0.2, per_class=2, method="energy"), [])
    assert len(set(found.clips[chosen.numbers].tolist())) == 6
    for c in range(3):
        own = predicted[found.clips] == c
        assert found.levels[own.numpy()].max() in found.levels[chosen.numbers]


def test_the_temperature_is_the_largest_that_agrees_most():
    """Two prototypes at 0.9 outvote one at 1.0 as soon as the temperature is above 0.1 / log(2)."""
    classes, decided = torch.tensor([0, 1, 1]), torch.tensor([0])
    assert temperature(torch.tensor([[1.0, 0.9, 0.9]]), classes, decided) == 0.1
    assert temperature(torch.tensor([[1.0, 0.5, 0.5]]), classes, decided) == 0.2
    assert temperature(torch.tensor([[0.1, 0.9, 0.9]]), classes, decided) == 0.2  # none agrees
