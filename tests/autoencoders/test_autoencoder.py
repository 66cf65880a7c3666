"""An autoencoder as people use it: any length, any rate, one channel in and one out."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from otoscope.autoencoders import Autoencoder, AutoencoderConfig
from otoscope.autoencoders.autoencoder import random_autoencoder
from otoscope.core.errors import ParameterError, ShapeError, UnknownNameError
from otoscope.spectral import resample_waveform
from worlds import linear

TINY = AutoencoderConfig(
    in_channels=1, channels=8, multipliers=(1, 1), factors=(2,), num_blocks=(1,), patch_size=4, resnet_groups=4,
    sample_rate=16000,
)  # fmt: skip
STEREO = AutoencoderConfig(**{**TINY.as_dict(), "in_channels": 2})


def tiny(config=TINY, **info) -> Autoencoder:
    made = random_autoencoder(config, 0, zero_residuals=False).eval()
    return Autoencoder(made.network, "tiny", info)


def as_identity(autoencoder, monkeypatch):
    monkeypatch.setattr(autoencoder.network, "forward", lambda x: x)
    return autoencoder


@given(
    n=st.one_of(st.integers(1, 40), st.sampled_from((997, 1009, 1024))),
    rate=st.sampled_from((None, 8000, 44100, 16001)),
)
@settings(max_examples=30, deadline=None)
def test_any_length_at_any_rate_keeps_its_length(n, rate):
    with torch.no_grad():
        out = tiny()(torch.randn(2, n), rate)
    assert out.shape == (2, n)
    assert out.isfinite().all()


@pytest.mark.parametrize("n", [1, 7, 8, 9, 997])
def test_padding_is_silence_at_the_end_and_is_cut_off_again(n):
    autoencoder = tiny()
    sound = torch.randn(1, n)
    padded = torch.cat([sound, torch.zeros(1, max(-n % 8, 16 - n))], 1)  # at least two frames
    with torch.no_grad():
        assert torch.equal(autoencoder(sound), autoencoder.network(padded[:, None])[:, 0, :n])


def test_a_stereo_network_hears_both_ears_alike_and_is_heard_as_their_mean():
    autoencoder = tiny(STEREO)
    sound = torch.randn(2, 16)
    with torch.no_grad():
        both = autoencoder.network(torch.stack([sound, sound], 1))
        assert not torch.allclose(both[:, 0], both[:, 1], atol=1e-3)
        assert torch.allclose(autoencoder(sound), (both[:, 0] + both[:, 1]) / 2, atol=1e-6)


def test_at_another_rate_the_network_hears_the_sound_at_its_own(monkeypatch):
    autoencoder, heard = tiny(), []
    monkeypatch.setattr(autoencoder.network, "forward", lambda x: heard.append(x) or x)
    sound = torch.randn(2, 441)
    out = autoencoder(sound, 44100)
    assert heard[0].shape == (2, 1, 160)
    assert torch.equal(heard[0][:, 0], resample_waveform(sound, 44100, 16000))
    assert torch.equal(out, resample_waveform(heard[0][:, 0], 16000, 44100))


def test_through_an_identity_the_audible_comes_back(monkeypatch):
    """Below the reach of the lower rate, at a rate above and one below the autoencoder's."""
    autoencoder = as_identity(tiny(), monkeypatch)
    for rate, hz in ((44100, 3000.0), (8000, 3000.0), (48000, 7000.0)):
        t = torch.arange(rate // 2, dtype=torch.float64) / rate
        tone = torch.sin(2 * torch.pi * hz * t)[None].float()
        inner = slice(1000, -1000)
        assert torch.allclose(autoencoder(tone, rate)[:, inner], tone[:, inner], atol=1e-4), rate


def test_gradients_reach_the_sound_and_the_weights_at_another_rate():
    autoencoder = tiny()
    sound = torch.randn(1, 300, requires_grad=True)
    autoencoder(sound, 22050).square().sum().backward()
    assert (sound.grad.abs() > 0).float().mean() > 0.99
    assert all(p.grad is not None and p.grad.isfinite().all() for p in autoencoder.parameters())


def test_autocast_leaves_resampling_and_the_sound_in_float32(monkeypatch):
    autoencoder, seen = tiny(), []
    network = autoencoder.network.forward

    def look(x):
        out = network(x)
        seen.append((x.dtype, out.dtype))
        return out

    monkeypatch.setattr(autoencoder.network, "forward", look)
    sound = torch.randn(1, 320)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        out = autoencoder(sound, 32000)
        assert torch.equal(resample_waveform(sound, 32000, 16000), resample_waveform(sound.clone(), 32000, 16000))
        inside = resample_waveform(sound, 32000, 16000)
    assert out.dtype == torch.float32
    assert seen == [(torch.float32, torch.bfloat16)]
    assert torch.equal(inside, resample_waveform(sound, 32000, 16000))


def test_a_sound_of_another_precision_is_taken():
    autoencoder = tiny()
    sound = torch.randn(1, 50, dtype=torch.float64)
    with torch.no_grad():
        expected = autoencoder(sound.float())
        assert torch.allclose(autoencoder(sound).float(), expected, atol=1e-6)
        fine = autoencoder.double()(sound)
    assert fine.dtype == torch.float64
    assert torch.allclose(fine.float(), expected, atol=1e-4)
    assert not torch.equal(fine, fine.float().double())  # not rounded on the way


@pytest.mark.parametrize("shape", [(5,), (1, 1, 5), (1, 0), ()])
def test_what_is_no_waveform_is_refused(shape):
    with pytest.raises(ShapeError, match=r"waveforms \(batch, time\)"):
        tiny()(torch.zeros(shape))


def test_whole_numbers_and_impossible_rates_are_refused():
    with pytest.raises(ParameterError, match=r"full scale 1; got torch\.int16"):
        tiny()(torch.zeros(1, 10, dtype=torch.int16))
    for rate in (0, -1, 50, 44100.5, "44100", True):
        with pytest.raises(ParameterError, match="source_rate must"):
            tiny()(torch.zeros(1, 10), rate)


@pytest.mark.parametrize("scope", ["both", "encoder", "decoder"])
def test_the_scope_says_which_half_learns(scope):
    autoencoder = tiny()
    autoencoder.set_scope(scope)
    halves = {
        half: {p.requires_grad for p in getattr(autoencoder.network, half).parameters()}
        for half in ("encoder", "decoder")
    }
    assert halves == {half: {scope in ("both", half)} for half in halves}


def test_a_scope_that_does_not_exist_is_refused_and_nothing_changes():
    autoencoder = tiny()
    with pytest.raises(UnknownNameError, match="did you mean 'encoder'"):
        autoencoder.set_scope("encode")
    assert all(p.requires_grad for p in autoencoder.parameters())


def test_it_says_whom_it_was_tuned_to():
    mine, other = linear(100, seed=0), linear(100, seed=1)
    tuned = tiny(tuned_to={"name": mine.name, "sha256": mine.digest()})
    assert tuned.mismatch(mine) is None
    assert "tuned to 'linear' of other weights, not to this 'linear'" in tuned.mismatch(other)
    other.name = "another"
    said = tuned.mismatch(other)
    assert "'tiny' was tuned to 'linear', not to this 'another': its sound tells what that one likes to hear" in said
    for info in ({}, {"tuned_to": None}, {"tuned_to": "linear"}):
        assert "'tiny' was not tuned to any classifier" in tiny(**info).mismatch(mine)


def test_the_digest_is_of_every_weight():
    autoencoder = tiny()
    before = autoencoder.digest()
    assert tiny().digest() == before
    seen = {before}
    for p in autoencoder.parameters():
        with torch.no_grad():
            p.view(-1)[0] += 1e-3
        seen.add(autoencoder.digest())
    assert len(seen) == 1 + len(list(autoencoder.parameters()))


def test_one_sample_through_norms_of_one_channel_a_group():
    """A norm over one frame of one channel has nothing to normalise: two frames are made."""
    config = AutoencoderConfig(1, 8, (1, 1), (1,), (1,), 4, 8, 8000)
    made = random_autoencoder(config).eval()
    with torch.no_grad():
        assert made(torch.ones(1, 1)).shape == (1, 1)


def test_absurd_compression_is_refused():
    with pytest.raises(ParameterError, match="samples a frame; at most 65536"):
        AutoencoderConfig(factors=(64, 64, 64, 1, 1, 1))
