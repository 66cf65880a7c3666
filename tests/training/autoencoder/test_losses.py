"""Distances between waveforms, against their definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from otoscope.training.autoencoder.losses import mean_squared, multi_resolution_stft


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def slow_stft_loss(made, wanted, resolutions):
    """One clip, float64: frames by hand with reflected ends, windows from their formula."""
    total = 0.0
    for n_fft in resolutions:
        window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)
        magnitudes = []
        for x in (made, wanted):
            around = np.pad(np.asarray(x, np.float64), n_fft // 2, mode="reflect")
            count = (len(around) - n_fft) // (n_fft // 4) + 1
            frames = [np.fft.rfft(window * around[i * n_fft // 4 : i * n_fft // 4 + n_fft]) for i in range(count)]
            magnitudes.append(np.maximum(np.abs(frames), 1e-4))
        ours, theirs = magnitudes
        convergence = math.sqrt(((theirs - ours) ** 2).sum()) / math.sqrt((theirs**2).sum())
        total += convergence + np.abs(np.log(theirs) - np.log(ours)).mean()
    return total / len(resolutions)


def test_squared_errors_are_means_of_each_clip():
    made, wanted = noise(3, 50), noise(3, 50, seed=1)
    expected = [
        sum((float(a) - float(b)) ** 2 for a, b in zip(m, w, strict=True)) / 50
        for m, w in zip(made, wanted, strict=True)
    ]
    assert mean_squared(made, wanted).tolist() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("n", "resolutions"), [(3000, (512, 1024, 2048)), (700, (64, 256)), (400, (128,))])
def test_the_spectral_distance_is_the_papers(n, resolutions):
    made, wanted = noise(2, n, seed=2), 0.3 * noise(2, n, seed=3)
    expected = [slow_stft_loss(m.numpy(), w.numpy(), resolutions) for m, w in zip(made, wanted, strict=True)]
    assert multi_resolution_stft(made, wanted, resolutions).tolist() == pytest.approx(expected, rel=1e-4)
    exact = multi_resolution_stft(made.double(), wanted.double(), resolutions)
    assert exact.tolist() == pytest.approx(expected, rel=1e-9)


def test_the_default_resolutions():
    made, wanted = noise(1, 5000), noise(1, 5000, seed=1)
    assert torch.equal(multi_resolution_stft(made, wanted), multi_resolution_stft(made, wanted, (512, 1024, 2048)))


def test_copies_cost_nothing_and_levels_are_logarithms():
    sound = noise(2, 3000)
    assert multi_resolution_stft(sound, sound).tolist() == [0, 0]
    double = multi_resolution_stft(2 * sound, sound)
    assert double.tolist() == pytest.approx([1 + math.log(2)] * 2, rel=1e-3)


@pytest.mark.parametrize("n", [1, 100, 2047])
def test_short_clips_are_padded(n):
    made, wanted = noise(1, n), noise(1, n, seed=1)
    longer = [torch.nn.functional.pad(x, (0, 2048 - n)) for x in (made, wanted)]
    assert torch.allclose(multi_resolution_stft(made, wanted), multi_resolution_stft(*longer))


def test_silence_gives_finite_losses_and_gradients():
    zero = torch.zeros(2, 3000)
    for made, wanted in ((zero, zero), (noise(2, 3000), zero), (zero, noise(2, 3000))):
        own = made.clone().requires_grad_()
        loss = multi_resolution_stft(own, wanted)
        loss.sum().backward()
        assert loss.isfinite().all()
        assert own.grad.isfinite().all()
    assert multi_resolution_stft(zero, zero).tolist() == [0, 0]


def test_gradients_are_right():
    made, wanted = noise(1, 96).double().requires_grad_(), noise(1, 96, seed=1).double()
    assert torch.autograd.gradcheck(lambda x: multi_resolution_stft(x, wanted, (16, 64)), (made,))


def test_each_clip_has_its_own():
    made, wanted = noise(4, 2500), noise(4, 2500, seed=1)
    whole = multi_resolution_stft(made, wanted)
    parts = torch.cat([multi_resolution_stft(m[None], w[None]) for m, w in zip(made, wanted, strict=True)])
    assert torch.allclose(whole, parts, rtol=1e-5)
