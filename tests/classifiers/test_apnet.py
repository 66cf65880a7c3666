"""APNet: sizes, distances, masks and the last layer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import otoscope
from otoscope.classifiers.apnet import ApNet, ApNetDecoder, ApNetEncoder, PrototypeLayer, own_class
from otoscope.core.errors import ParameterError

SMALL = {"n_mels": 16, "frames": 12, "channels": 3}
# classes, bands, frames, channels, prototypes: UrbanSound8K, Medley-solos-DB, Google Speech Commands
PUBLISHED = [
    ((10, 128, 84, 32, 50), (1_181_461, 52_096, 52_065, 1_076_800, 500)),
    ((8, 256, 128, 48, 40), (4_168_081, 116_544, 116_497, 3_934_720, 320)),
    ((35, 80, 60, 48, 105), (1_750_816, 116_544, 116_497, 1_514_100, 3_675)),
]


def count(module):
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(("sizes", "counts"), PUBLISHED)
def test_it_has_as_many_parameters_as_the_published_one(sizes, counts):
    with torch.device("meta"):
        network = ApNet(*sizes)
    parts = (network, network.encoder, network.decoder, network.prototypes, network.out)
    assert tuple(map(count, parts)) == counts


def test_the_parts_of_the_published_one():
    with torch.device("meta"):
        prototypes = ApNet(*PUBLISHED[0][0]).prototypes
    assert (prototypes.maps.numel(), prototypes.weights.numel()) == (1_075_200, 1_600)
    assert prototypes.maps.shape[1:] == (32, 32, 21)


def slow_distances(latent, maps, scale=None):
    """In float64, with the differences written out: sums, unless a scale of means is given."""
    difference = (latent.double()[:, None] - maps.double()[None]).square()
    return difference.sum((2, 4)) if scale is None else scale * difference.mean((2, 4))


@given(
    batch=st.integers(1, 4), n=st.integers(1, 5), channels=st.integers(1, 4), freq=st.integers(1, 4), frames=st.integers(1, 5),
    scale=st.sampled_from([None, 5.0]), size=st.sampled_from([1e-3, 1.0, 30.0]),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_distances_are_those_written_out(batch, n, channels, freq, frames, scale, size):
    layer = PrototypeLayer(n, (channels, freq, frames))
    if scale is not None:
        layer.scale.fill_(scale)
    torch.nn.init.normal_(layer.maps, std=size)
    latent = size * torch.randn(batch, channels, freq, frames)
    expected = slow_distances(latent, layer.maps, scale)
    found = layer.distances(latent)
    assert found.shape == (batch, n, freq)
    unit = size**2 * float(layer.scale)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5 * unit)
    assert (layer.distances(layer.maps)[range(n), range(n)] <= 1e-5 * unit).all()


def test_similarities_are_weighted_sums():
    layer = PrototypeLayer(4, (2, 3, 5))
    torch.nn.init.normal_(layer.weights)
    latent = torch.randn(2, 2, 3, 5)
    similarities, distances = layer(latent)
    expected = (torch.exp(-slow_distances(latent, layer.maps)) * layer.weights.double()).sum(-1)
    torch.testing.assert_close(similarities.double(), expected, rtol=1e-5, atol=1e-6)
    assert distances.shape == (2, 4, 3)


@pytest.mark.parametrize("published", [False, True])
def test_large_latent_maps_do_not_underflow_unless_published(published):
    """Sums over 60 channels and 40 frames are near 100 for sounds of one loudness; initialised with them, their median is 1."""
    torch.manual_seed(0)
    network = ApNet(2, 16, 160, 60, 4, published)
    sounds, targets = 4 * torch.randn(12, 1, 16, 160), torch.arange(12) % 2
    network.initialise(sounds, targets, torch.Generator())
    with torch.no_grad():
        similarities, distances = network.prototypes(network.encoder(sounds).map)
    if published:
        assert similarities.median() < 1e-20
        assert float(network.prototypes.scale) == 60 * 40
    else:
        assert float(distances.median()) == pytest.approx(1, rel=1e-4)
        assert similarities.amax(0).min() > 0.99


def test_prototypes_begin_as_maps_of_clips_of_their_class():
    torch.manual_seed(0)
    network = ApNet(3, 16, 12, 3, 7)
    features, targets = torch.randn(20, 1, 16, 12), torch.tensor([0] * 9 + [1] * 10 + [2])
    network.initialise(features, targets, torch.Generator())
    with torch.no_grad():
        maps = network.encoder(features).map
    owners, found = network.out.weight.argmax(0).tolist(), []
    for prototype, owner in zip(network.prototypes.maps.detach(), owners, strict=True):
        (clip,) = [i for i in range(20) if torch.allclose(maps[i], prototype, atol=1e-6)]
        assert int(targets[clip]) == owner
        found.append(clip)
    assert len(set(found)) == 6  # the class of one clip begins with it twice


def test_what_clips_contribute_sums_to_the_logits_and_frames_that_are_nearer_have_more():
    torch.manual_seed(0)
    network, features = ApNet(3, 16, 12, 3, 7), torch.randn(4, 1, 16, 12)
    network.initialise(features, torch.tensor([0, 1, 2, 0]), torch.Generator())
    targets = torch.tensor([2, 0, 1, 1])
    with torch.no_grad():
        cells, logits = network.contributions(features, targets), network(features)
        shares = network.prototypes.shares(network.encoder(features).map)
    torch.testing.assert_close(cells.sum((1, 2, 3)), logits[range(4), targets])
    torch.testing.assert_close(shares.sum(-1), torch.ones(4, 7, 4))
    z, p = network.encoder(features).map[1, :, 2].double(), network.prototypes.maps[5, :, 2].double()
    by_frame = torch.exp(-float(network.prototypes.scale) * (z - p).square().mean(0))
    torch.testing.assert_close(shares[1, 5, 2].double(), by_frame / by_frame.sum(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("published", [False, True])
def test_weights_over_frequency_are_constrained(published):
    layer = PrototypeLayer(5, (2, 3, 4), published)
    torch.nn.init.normal_(layer.weights)
    layer.constrain()
    if published:
        torch.testing.assert_close(layer.weights.square().sum(0), torch.ones(3))
    else:
        torch.testing.assert_close(layer.weights.abs().sum(1), torch.ones(5))


def test_a_step_needs_a_tenth_of_the_memory_of_a_broadcast():
    """Of the published sizes at batch 256, the array that is never made: 256 x 50 x 21 x 32 x 32 numbers are 1.1 GB."""
    layer, latent = PrototypeLayer(50, (32, 32, 21)), torch.randn(256, 32, 32, 21)
    broadcast = 256 * 50 * 32 * 32 * 21 * 4
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as watched:
        layer(latent.requires_grad_())[0].sum().backward()
    held = peak = 0
    for event in watched.profiler.kineto_results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            peak = max(peak, held)
    assert 0 < peak <= broadcast / 10


def test_the_decoder_puts_values_where_the_largest_were():
    torch.manual_seed(0)
    encoder, decoder = ApNetEncoder(3), ApNetDecoder(3)
    features = torch.randn(2, 1, 16, 12)
    latent = encoder(features)
    assert latent.map.shape == (2, 3, 4, 3)
    assert [mask.shape for mask in latent.masks] == [(2, 3, 16, 12), (2, 3, 8, 6)]
    for mask in latent.masks:
        blocks = mask.unfold(2, 2, 2).unfold(3, 2, 2).sum((-1, -2))
        assert (blocks >= 1).all()
    found = decoder(latent.map, latent.masks)
    assert found.shape == features.shape
    assert found.abs().max() <= 1
    nothing = tuple(torch.zeros_like(mask) for mask in latent.masks)
    silent = decoder(latent.map, nothing)
    assert silent.std((0, 2, 3))[0] < found.std()


def test_each_class_begins_with_prototypes_of_its_own():
    weights = own_class(3, 7)
    own = weights > 0
    assert own.sum(0).tolist() == [1] * 7
    assert own.sum(1).tolist() == [3, 2, 2]
    for row, mine in zip(weights, own, strict=True):
        assert set(row[mine].tolist()) == {1.0}
        assert set(row[~mine].tolist()) == {-1.0}
    torch.testing.assert_close(own_class(3, 7, published=True)[0, own[0]], torch.full((3,), 1 / 3))


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("apnet,frames=10", "multiples of 4; got 128 and 10"),
        ("apnet,n_mels=30", "multiples of 4; got 30 and 84"),
        ("apnet,prototypes=2", "at least one prototype for each of 3 classes; got prototypes=2"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(spec, said):
    with pytest.raises(ParameterError, match=said):
        otoscope.load_classifier(spec, "random", labels=3)


def test_longer_sounds_are_heard_in_windows_and_shorter_ones_padded():
    spec = "apnet,n_mels=16,frames=12,channels=2,prototypes=4,sample_rate=8000,n_fft=256,hop=128"
    model = otoscope.load_classifier(spec, "random", labels=2)
    assert model.minimum_length == model.maximum_length == 11 * 128 + 256
    x = torch.randn(1, 500)
    padded = torch.nn.functional.pad(x, (0, model.minimum_length - 500))
    assert torch.equal(model(x), model(padded))
    rng = np.random.default_rng(0)
    made = otoscope.explain(rng.normal(0, 0.1, 8000).astype(np.float32), model, sample_rate=8000, method="gradient")
    assert made.removed.samples.shape[-1] == 8000
