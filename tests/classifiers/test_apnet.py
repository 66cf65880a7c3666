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


def slow_distances(latent, maps, published):
    """In float64, with the differences written out."""
    difference = (latent.double()[:, None] - maps.double()[None]).square()
    return difference.sum((2, 4)) if published else 672 * difference.mean((2, 4))


@given(
    batch=st.integers(1, 4), n=st.integers(1, 5), channels=st.integers(1, 4), freq=st.integers(1, 4), frames=st.integers(1, 5),
    published=st.booleans(), size=st.sampled_from([1e-3, 1.0, 30.0]),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_distances_are_those_written_out(batch, n, channels, freq, frames, published, size):
    layer = PrototypeLayer(n, (channels, freq, frames), published)
    torch.nn.init.normal_(layer.maps, std=size)
    latent = size * torch.randn(batch, channels, freq, frames)
    expected = slow_distances(latent, layer.maps, published)
    found = layer.distances(latent)
    assert found.shape == (batch, n, freq)
    scale = size**2 * (channels * frames if published else 672)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5 * scale)
    assert (layer.distances(layer.maps)[range(n), range(n)] <= 1e-5 * scale).all()


def test_similarities_are_weighted_sums():
    layer = PrototypeLayer(4, (2, 3, 5))
    torch.nn.init.normal_(layer.weights)
    latent = torch.randn(2, 2, 3, 5)
    similarities, distances = layer(latent)
    expected = (torch.exp(-slow_distances(latent, layer.maps, False)) * layer.weights.double()).sum(-1)
    torch.testing.assert_close(similarities.double(), expected, rtol=1e-5, atol=1e-6)
    assert distances.shape == (2, 4, 3)


def test_large_latent_maps_do_not_underflow_unless_published():
    """300 channels by 200 frames that differ by 0.04 each: a sum of 96, whose exponential is 0; 672 times the mean is 1.1."""
    for published, expected in ((False, np.exp(-672 * 0.04**2)), (True, 0.0)):
        layer = PrototypeLayer(1, (300, 2, 200), published)
        similarity, _ = layer(layer.maps.detach() + 0.04)
        assert float(similarity.detach()) == pytest.approx(expected, abs=1e-4)


def test_both_forms_are_the_same_for_the_published_size():
    published, ours = PrototypeLayer(3, (32, 4, 21), True), PrototypeLayer(3, (32, 4, 21))
    ours.load_state_dict(published.state_dict())
    latent = 0.02 * torch.randn(2, 32, 4, 21)
    torch.testing.assert_close(ours.distances(latent), published.distances(latent))


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
        torch.testing.assert_close(row[mine].sum(), torch.tensor(1.0))


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
