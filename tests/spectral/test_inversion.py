"""From mel features back to a sound."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from otoscope.spectral import (
    FrameConfig,
    LogMel,
    MelBands,
    apnet_log_mel,
    features_to_sound,
    griffin_lim,
    mel_to_magnitude,
)
from otoscope.spectral.inversion import synthesise


def front(center=True, n_fft=256, hop=64):
    return LogMel(FrameConfig(8000, n_fft, hop, center), MelBands(40, 0.0, 4000.0, "htk", "slaney", 35.0, 65.0))


def noise(n=4000, seed=0):
    return 0.1 * torch.from_numpy(np.random.default_rng(seed).standard_normal(n).astype(np.float32))


def divergence(mel, power, bank):
    """Kullback-Leibler, in float64."""
    made = (power.double() @ bank.T.double()).clamp_min(1e-30)
    wanted = mel.double()
    return float((wanted * (wanted.clamp_min(1e-30) / made).log() - wanted + made).sum())


def test_bands_that_do_not_overlap_are_met_at_once():
    bank = torch.tensor([[1.0, 1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.5, 2.0, 0.0]])
    mel = torch.tensor([[2.0, 5.0], [0.0, 1.0]])
    for iterations in (0, 10):
        found = mel_to_magnitude(mel, bank, iterations)
        torch.testing.assert_close(found.square() @ bank.T, mel)
        assert (found[:, 4] == 0).all()  # no band hears it
        assert found[1, 0] == 0


@given(seed=st.integers(0, 1000), bands=st.integers(1, 20))
@settings(max_examples=25, deadline=None)
def test_each_update_lowers_the_divergence(seed, bands):
    rng = torch.Generator().manual_seed(seed)
    bank = torch.rand(bands, 30, generator=rng) * (torch.rand(bands, 30, generator=rng) > 0.7)
    mel = torch.rand(4, 30, generator=rng).square() @ bank.T
    found = [divergence(mel, mel_to_magnitude(mel, bank, n).square(), bank) for n in (0, 1, 5, 50)]
    assert all(after <= before + 1e-4 for before, after in itertools.pairwise(found))


def test_magnitudes_of_a_sound_have_its_mel_bands():
    made = front()
    mel = made.stft(noise()[None])[0].abs().square() @ made.bank.T
    found = mel_to_magnitude(mel, made.bank).square() @ made.bank.T
    error = 10 * (found.clamp_min(1e-10) / mel.clamp_min(1e-10)).log10()
    assert float(error.abs().mean()) < 0.1


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize(("n_fft", "hop"), [(256, 64), (256, 128), (128, 50)])
def test_an_stft_gives_its_sound_back(center, n_fft, hop):
    made, x = front(center, n_fft, hop), noise(20 * hop + (0 if center else n_fft))
    back = synthesise(made.stft(x[None])[0], made)
    assert len(back) == len(x)
    inside = slice(n_fft, -n_fft)  # at the ends a single frame has little weight
    torch.testing.assert_close(back[inside], x[inside], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("center", [True, False])
def test_magnitudes_and_phases_of_a_sound_stay_as_they_are(center):
    made, x = front(center), noise()
    spec = made.stft(x[None])[0]
    back = griffin_lim(spec.abs(), made, 5, phase=spec.angle())
    torch.testing.assert_close(back[600:3400], x[600:3400], atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("center", [True, False])
def test_features_come_back(center):
    """A tone with a click in noise: within 1 dB where it is loud; the same seed gives the same sound."""
    made = front(center)
    t = torch.arange(8000) / 8000
    x = 0.3 * torch.sin(2 * torch.pi * 1000 * t) + 0.01 * noise(8000)
    x[4000:4010] += 0.5
    wanted = made(x[None])[0, 0]
    sound = features_to_sound(wanted, made)
    assert sound.dtype == np.float32
    assert abs(len(sound) - 8000) <= made.frames.hop_length
    found = made(torch.from_numpy(sound)[None])[0, 0][:, : wanted.shape[1]]
    level = 65 * wanted - 35
    loud = level > level.max() - 40
    error = 65 * (found - wanted)
    assert float(error[loud].square().mean().sqrt()) < 1.5
    assert int(found.mean(1).argmax()) == int(wanted.mean(1).argmax())
    np.testing.assert_array_equal(sound, features_to_sound(wanted, made))
    assert not np.array_equal(sound, features_to_sound(wanted, made, seed=1))


def test_more_iterations_and_momentum_come_nearer():
    made = front()
    magnitude = made.stft(noise()[None])[0].abs()

    def error(**settings):
        found = made.stft(griffin_lim(magnitude, made, **settings)[None])[0].abs()[: len(magnitude)]
        return float((found - magnitude).square().mean())

    start, plain, fast = error(iterations=0), error(iterations=30, momentum=0.0), error(iterations=30)
    assert fast < plain < start


def test_silence_and_a_single_frame():
    made = apnet_log_mel(8000, 256, 128, 20, 1, fixed=True)
    silent = made(torch.zeros(1, made.minimum_length))[0, 0]
    assert silent.shape == (20, 1)
    sound = features_to_sound(silent, made)
    assert sound.shape == (256,)
    assert np.abs(sound).max() < 1e-2
