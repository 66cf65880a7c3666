"""The network of the paper: its size, its shapes, its numbers, and what it refuses."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from otoscope.autoencoders import SMALL, AutoencoderConfig, AutoencoderNetwork
from otoscope.autoencoders.autoencoder import random_autoencoder
from otoscope.core.errors import OtoscopeError, ParameterError, ShapeError, UnknownNameError
from reference import autoencoder as slow

TINY = AutoencoderConfig(
    in_channels=2, channels=4, multipliers=(2, 3, 1), factors=(3, 1), num_blocks=(1, 2), patch_size=4, resnet_groups=4
)


@pytest.fixture(scope="module")
def published():
    torch.manual_seed(0)
    return AutoencoderNetwork(AutoencoderConfig()).eval()


def jittered(config: AutoencoderConfig, seed: int = 0) -> AutoencoderNetwork:
    """Every parameter away from its start, so that none can be forgotten unseen."""
    network = random_autoencoder(config, seed, zero_residuals=False).network
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in network.parameters():
            p += 0.1 * torch.randn(p.shape, generator=rng)
    return network.eval()


def plain(network) -> dict[str, np.ndarray]:
    return {k: v.double().numpy() for k, v in network.state_dict().items()}


def size(module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_the_published_network_has_its_size(published):
    assert size(published) == 20_770_642
    assert size(published.encoder) == 10_406_924
    assert size(published.decoder) == 10_363_718
    assert size(published.encoder.to_in) == 300
    assert [size(s) for s in published.encoder.downsamples] == [
        60_224,
        239_232,
        3_322_112,
        3_354_880,
        3_354_880,
        75_296,
    ]
    assert [size(s) for s in published.decoder.upsamples] == [75_520, 3_354_880, 3_354_880, 3_289_216, 230_976, 58_144]
    assert size(published.decoder.to_out) == 102
    assert not list(published.buffers())


def test_the_small_one_suits_a_laptop():
    network = AutoencoderNetwork(SMALL)
    assert size(network) <= 2_000_000
    assert (SMALL.in_channels, SMALL.sample_rate, SMALL.compression) == (1, 32000, 32)


def test_every_stage_has_the_papers_shape(published):
    seen = []
    parts = [published.encoder.to_in, *published.encoder.downsamples, *published.decoder.upsamples]
    hooks = [p.register_forward_hook(lambda _m, _i, out: seen.append(tuple(out.shape))) for p in parts]
    with torch.no_grad():
        out = published(torch.zeros(1, 2, 3200))
    for hook in hooks:
        hook.remove()
    t = 3200
    down = [(32, t // 4), (64, t // 8), (128, t // 16), (256, t // 32), (256, t // 32), (256, t // 32), (32, t // 32)]
    up = [(256, t // 32), (256, t // 32), (256, t // 32), (128, t // 16), (64, t // 8), (32, t // 4)]
    assert seen == [(1, *shape) for shape in down + up]
    assert out.shape == (1, 2, t)


def test_the_whole_network_is_the_papers(published):
    """Against the slow twin, at the published size, with every parameter changed."""
    network = jittered(published.config)
    sound = torch.randn(1, 2, 96, generator=torch.Generator().manual_seed(1))
    state = plain(network)
    latent = slow.encode(sound[0].double().numpy(), state, network.config)
    expected = slow.decode(latent, state, network.config)
    with torch.no_grad():
        network.double()
        assert network.encode(sound.double())[0].numpy() == pytest.approx(latent, abs=1e-9)
        assert network(sound.double())[0].numpy() == pytest.approx(expected, abs=1e-9 * np.abs(expected).max())


@pytest.mark.parametrize("config", [TINY, SMALL, dataclasses.replace(TINY, factors=(2, 5)),
                                    dataclasses.replace(TINY, patch_size=1), dataclasses.replace(TINY, patch_size=2)])  # fmt: skip
def test_other_shapes_are_the_slow_twins(config):
    network = jittered(config).double()
    sound = 0.3 * torch.randn(2, config.in_channels, 3 * config.compression, dtype=torch.float64)
    state = plain(network)
    with torch.no_grad():
        latent, made = network.encode(sound), network(sound)
    for clip, code, out in zip(sound.numpy(), latent.numpy(), made.numpy(), strict=True):
        expected = slow.encode(clip, state, config)
        assert code == pytest.approx(expected, abs=1e-10)
        assert out == pytest.approx(slow.decode(expected, state, config), abs=1e-8)


@given(
    patch=st.sampled_from((1, 2, 4)),
    factors=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    channels=st.integers(1, 2),
    frames=st.integers(1, 4),
)
@settings(max_examples=25, deadline=None)
def test_what_comes_out_is_as_long_as_what_went_in(patch, factors, channels, frames):
    n = len(factors)
    config = AutoencoderConfig(channels, 4, (2,) * (n + 1), tuple(factors), (1,) * n, patch, 4)
    network = AutoencoderNetwork(config)
    sound = torch.randn(2, channels, frames * config.compression)
    with torch.no_grad():
        latent = network.encode(sound)
        assert latent.shape == (2, 8, frames)
        assert network.decode(latent).shape == sound.shape


def test_latents_are_squashed(published):
    with torch.no_grad():
        latent = published.encode(100 * torch.randn(2, 2, 64))
    assert latent.shape == (2, 32, 2)
    assert latent.abs().max() < 1
    pushed = jittered(TINY)
    with torch.no_grad():
        pushed.encoder.downsamples[-1].downsample.weight.mul_(1e3)
        for block in pushed.encoder.downsamples[-1].blocks:
            block.block2.project.weight.zero_()
        assert 0.99 < pushed.encode(torch.randn(1, 2, 24)).abs().max() <= 1


def test_a_batch_is_as_its_clips():
    network = jittered(SMALL).double()
    sound = torch.randn(3, 1, 320, dtype=torch.float64)
    with torch.no_grad():
        whole, parts = network(sound), torch.cat([network(s[None]) for s in sound])
    assert torch.allclose(whole, parts, atol=1e-10)


@pytest.mark.parametrize("shape", [(1, 1, 32), (2, 32), (1, 2, 31), (1, 2, 33), (1, 2, 0), (1, 3, 64)])
def test_waveforms_that_do_not_fit_are_refused(published, shape):
    words = "multiple of 32" if len(shape) == 3 and shape[1] == 2 else r"\(batch, 2, time\)"
    with pytest.raises(ShapeError, match=words):
        published(torch.zeros(shape))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"in_channels": 0}, "in_channels must be a whole number from 1 to 64; got 0"),
        ({"channels": 2.0}, "channels must be a whole number from 1 to 4096; got 2.0"),
        ({"channels": (32,)}, r"channels must be a whole number from 1 to 4096; got \(32,\)"),
        ({"patch_size": True}, "patch_size must be a whole number .* got True"),
        ({"multipliers": 3}, "multipliers must be a list of whole numbers from 1 to 1024; got 3"),
        ({"multipliers": (1, 2, -1)}, "multipliers must be a list"),
        ({"factors": ()}, r"factors must be a list of whole numbers from 1 to 64; got \(\)"),
        ({"factors": (2, "2")}, "factors must be a list"),
        ({"num_blocks": None}, "num_blocks must be a list"),
        ({"factors": (2, 2)}, "one number per stage and multipliers one more; got 2, 6 and 7"),
        ({"multipliers": (1, 2, 3)}, "got 6, 6 and 3"),
        ({"resnet_groups": 7}, r"channels \[32, 64, .*must all be divisible by resnet_groups=7"),
        ({"patch_size": 5}, "32 channels cannot be folded from patches of 5 samples"),
        ({"in_channels": 3}, "with 3 groups of 3 channels"),
        ({"in_channels": 5}, "with 4 groups of 5 channels"),
        ({"sample_rate": 50}, "sample_rate must lie between 100 Hz"),
        ({"sample_rate": 10**7}, "sample_rate must be a whole number from 1 to 1000000"),
        ({"sample_rate": "48k"}, "sample_rate must be a whole number"),
    ],
)
def test_bad_shapes_are_named(changes, words):
    with pytest.raises(ParameterError, match=words):
        AutoencoderConfig(**changes)


def test_a_config_is_plain_data_and_back():
    assert AutoencoderConfig.from_dict(TINY.as_dict()) == TINY
    listed = {k: list(v) if isinstance(v, tuple) else v for k, v in TINY.as_dict().items()}
    assert AutoencoderConfig.from_dict(listed) == TINY
    with pytest.raises(UnknownNameError, match="did you mean 'patch_size'"):
        AutoencoderConfig.from_dict({"patch": 4})
    for wrong in ({"channels": [32]}, {"factors": {"a": 1}}, {"multipliers": 2}):
        with pytest.raises(OtoscopeError):
            AutoencoderConfig.from_dict(wrong)


def test_random_weights_depend_on_the_seed_alone_and_leave_torchs_state():
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first, same, other = (random_autoencoder(TINY, seed) for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert first.digest() == same.digest() != other.digest()


def test_random_weights_are_drawn_as_in_the_experiment():
    network = random_autoencoder(AutoencoderConfig(), 0, zero_residuals=False).network
    weight = network.encoder.downsamples[2].blocks[0].block2.project.weight.detach()
    bound = (6 / (256 * 3 + 256 * 3)) ** 0.5
    assert weight.abs().max() <= bound
    assert weight.abs().max() == pytest.approx(bound, rel=1e-3)
    assert weight.std() == pytest.approx(bound / 3**0.5, rel=0.01)
    for name, p in network.named_parameters():
        if name.endswith("bias"):
            assert not p.any(), name
        elif "groupnorm" in name:
            assert (p == 1).all(), name


def test_residual_blocks_can_start_as_the_way_around_them():
    network = random_autoencoder(TINY, 0).network
    block = network.encoder.downsamples[1].blocks[0]
    x = torch.randn(2, 4, 9)
    assert torch.equal(block(x), x)
    drawn = random_autoencoder(TINY, 0, zero_residuals=False).network.encoder.downsamples[1].blocks[0]
    assert not torch.allclose(drawn(x), x, atol=0.1)
