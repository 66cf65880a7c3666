"""Fewer prototypes and channels."""

from __future__ import annotations

import pytest
import torch

from otoscope.core.errors import ParameterError
from otoscope.prototypes import (
    add,
    list_prototypes,
    owners,
    prototype_network,
    refine_channels,
    refine_prototypes,
    similar_groups,
)
from otoscope.prototypes.refine import (
    channel_distances,
    compat_deletions,
    distance_matrix,
    paper_threshold,
)


def placed(model, values):
    """The network with prototypes that are constant maps: their distances are those of the numbers, squared."""
    shape = model.network.prototypes.maps.shape[1:]
    maps = torch.stack([torch.full(shape, float(v)) for v in values])
    from otoscope.prototypes.edit import rebuilt

    network = prototype_network(model)
    return rebuilt(model, (maps, network.prototypes.weights, network.out.weight), list_prototypes(model))


def ids(model):
    return [p.id for p in list_prototypes(model)]


def test_distances_are_those_written_out(tones):
    maps = tones[0].network.prototypes.maps.detach()
    found = distance_matrix(maps)
    for i in range(6):
        for j in range(6):
            assert float(found[i, j]) == pytest.approx(float((maps[i] - maps[j]).square().mean()), rel=1e-4, abs=1e-12)
    by_channel = channel_distances(maps)
    slow = sum((maps[p, 1] - maps[p, 3]).square().sum() for p in range(6))
    assert float(by_channel[1, 3]) == pytest.approx(float(slow), rel=1e-4)


def test_groups_are_of_one_class_within_the_threshold(tones):
    model = placed(tones[0], [0, 1, 1.1, 5, 9, 9])  # classes 0, 0, 1, 1, 2, 2
    assert similar_groups(model, threshold=1.0) == [["p1", "p2"], ["p5", "p6"]]
    assert similar_groups(model, threshold=0.99) == [["p5", "p6"]]
    assert similar_groups(model, threshold=16.0) == [["p1", "p2"], ["p3", "p4"], ["p5", "p6"]]
    squares = distance_matrix(model.network.prototypes.maps)
    assert paper_threshold(squares) == pytest.approx(0.0 + float(squares.mean()) / 2)


def test_groups_grow_by_complete_linkage(tones):
    model, clips = tones
    bigger = add(add(placed(model, [0, 9, 20, 29, 40, 49]), clips.maps[0], 0, "p7"), clips.maps[0], 0, "p8")
    shape = bigger.network.prototypes.maps.shape[1:]
    bigger.network.prototypes.maps.data[6:] = torch.stack([torch.full(shape, 1.0), torch.full(shape, 2.0)])
    assert similar_groups(bigger, threshold=1.5) == [["p1", "p7"]]  # 2 is near to 1, but not to 0
    assert similar_groups(bigger, threshold=4.0) == [["p1", "p7", "p8"]]


def test_a_share_takes_the_nearest_pairs_first_and_leaves_one_of_each_class(tones):
    model = placed(tones[0], [0, 3, 10, 11, 20, 22])
    assert similar_groups(model, share=1 / 6) == [["p3", "p4"]]
    assert similar_groups(model, share=2 / 6) == [["p3", "p4"], ["p5", "p6"]]
    assert similar_groups(model, share=0.0) == []
    assert len(ids(refine_prototypes(model, share=0.9))) == 3


def test_groups_are_merged_and_copies_cost_nothing(tones):
    model = placed(tones[0], [0.0, 0.0, 0.1, 0.1, 0.2, 0.2])
    model.network.prototypes.weights.data.fill_(0.25)
    made = refine_prototypes(model, threshold=0.0)
    assert ids(made) == ["p1", "p3", "p5"]
    with torch.no_grad():
        torch.testing.assert_close(made.network.decide(tones[1].maps)[0], model.network.decide(tones[1].maps)[0])


def slow_compat(values, classes):
    """The authors' rule in loops, on prototypes that are numbers."""
    n = len(values)
    d = [[(values[i] - values[j]) ** 2 for j in range(n)] for i in range(n)]
    mean = sum(map(sum, d)) / n**2
    d = [[x or 8000 for x in row] for row in d]
    limit = min(map(min, d)) + mean / 2
    gone, keepers = [], []
    for j in range(n):
        k = d[j].index(min(d[j]))
        if d[j][k] < limit and j not in keepers and classes[k] == classes[j]:
            gone.append(j)
            keepers.append(k)
    return gone


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 1, 10, 11, 20, 22], [0, 2, 4]),
        ([0, 0, 10, 11, 20, 21], [2, 4]),  # exact copies are never found
        ([0, 100, 1, 90, 50, 51], [4]),  # the nearest is of another class
    ],
)
def test_compat_deletes_as_the_authors_program(tones, values, expected):
    maps = placed(tones[0], values).network.prototypes.maps
    classes = [0, 0, 1, 1, 2, 2]
    assert compat_deletions(maps, classes) == expected == slow_compat(values, classes)


def test_compat_leaves_votes_as_they_are(tones):
    model, _ = tones
    with torch.no_grad():
        classes = model.network.decide(model.network.prototypes.maps)[0].argmax(1).tolist()
    gone = compat_deletions(model.network.prototypes.maps, classes)
    made = refine_prototypes(model, compat=True)
    kept = [i for i in range(6) if i not in gone]
    assert ids(made) == [f"p{i + 1}" for i in kept]
    assert torch.equal(made.network.out.weight, model.network.out.weight[:, kept])
    with pytest.raises(ParameterError, match="takes no threshold; leave threshold and share out, or compat"):
        refine_prototypes(model, threshold=1.0, compat=True)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"threshold": 1.0, "share": 0.5}, "give a threshold or a share, not both"),
        ({"threshold": float("nan")}, "threshold must be at least 0; got nan"),
        ({"threshold": -1.0}, "threshold must be at least 0; got -1"),
        ({"share": 1.0}, "share must be at least 0 and below 1; got 1"),
        ({"share": -0.1}, "share must be at least 0 and below 1; got -0.1"),
    ],
)
def test_settings_that_are_refused(tones, given, said):
    with pytest.raises(ParameterError, match=said):
        similar_groups(tones[0], **given)


def with_copied_channel(model, scale=0.0):
    """The network in which channel 3 of the latent map is channel 1, but for a little."""
    from otoscope.prototypes.edit import rebuilt

    network = prototype_network(model)
    state = {k: v.clone() for k, v in network.state_dict().items()}
    state["encoder.conv3.weight"][3] = state["encoder.conv3.weight"][1]
    state["encoder.conv3.bias"][3] = state["encoder.conv3.bias"][1]
    maps = network.prototypes.maps.detach().clone()
    maps[:, 3] = maps[:, 1] + scale
    return rebuilt(model, (maps, network.prototypes.weights, network.out.weight), list_prototypes(model), state)


def test_a_channel_that_is_a_copy_goes_and_the_decoder_makes_the_same(tones):
    model = with_copied_channel(tones[0])
    made = refine_channels(model, 1)
    assert made.network.prototypes.maps.shape[1] == 3
    assert made.config["settings"]["latent_channels"] == 3
    features = torch.randn(2, 1, 16, 12)
    with torch.no_grad():
        old, new = model.network.encoder(features), made.network.encoder(features)
        torch.testing.assert_close(new.map, old.map[:, :3])
        torch.testing.assert_close(made.network.decoder(new.map, new.masks), model.network.decoder(old.map, old.masks))
    assert owners(made) == owners(model)


def test_three_channels_that_are_one_leave_one(tones):
    model = with_copied_channel(tones[0])
    maps = model.network.prototypes.maps
    maps.data[:, 0] = maps[:, 1]
    made = refine_channels(model, 2)
    torch.testing.assert_close(made.network.prototypes.maps[:, 0], maps[:, 0])
    torch.testing.assert_close(made.network.prototypes.maps[:, 1], maps[:, 2])
    first = model.network.decoder.deconv1.weight
    torch.testing.assert_close(made.network.decoder.deconv1.weight[0], first[[0, 1, 3]].sum(0))


def test_compat_does_not_see_copies_and_begins_with_another_decoder(tones):
    model = with_copied_channel(tones[0])
    made = refine_channels(model, 1, compat=True)
    maps = model.network.prototypes.maps
    distances = channel_distances(maps).tril()
    distances[distances == 0] = 1000
    marked = int(distances.argmin()) // 4
    kept = [c for c in range(4) if c != marked]
    assert torch.equal(made.network.prototypes.maps, maps[:, kept])
    assert not torch.allclose(made.network.decoder.deconv1.weight, model.network.decoder.deconv1.weight[kept])
    assert (made.network.decoder.deconv1.bias == 0).all()
    assert torch.equal(made.network.encoder.conv2.weight, model.network.encoder.conv2.weight)


@pytest.mark.parametrize("n", [0, 4, 9])
def test_a_channel_stays(tones, n):
    with pytest.raises(ParameterError, match=f"has 4 channels, of which 1 to 3 can be dropped; got {n}"):
        refine_channels(tones[0], n)
