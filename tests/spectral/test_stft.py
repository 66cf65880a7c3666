"""The STFT against its definition, and its exact inverse."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from otoscope.core.errors import ParameterError
from otoscope.spectral import StftConfig, istft, stft
from otoscope.spectral.stft import overlap_add
from reference import spectral as slow

CONFIGS = [(8, 4), (8, 2), (12, 3), (16, 8)]


def noise(n, *lead):
    return torch.randn(*lead, n, generator=torch.Generator().manual_seed(n), dtype=torch.float64)


@pytest.mark.parametrize(("n_fft", "hop"), CONFIGS)
@pytest.mark.parametrize("n", [1, 3, 7, 8, 9, 25])
def test_equals_the_definition(n_fft, hop, n):
    x = noise(n)
    spec = stft(x, StftConfig(n_fft, hop))
    np.testing.assert_allclose(spec.numpy(), slow.stft(x.tolist(), n_fft, hop), atol=1e-12)
    assert spec.shape == (n_fft // 2 + 1, StftConfig(n_fft, hop).n_frames(n))


@pytest.mark.parametrize(("n_fft", "hop"), CONFIGS)
@pytest.mark.parametrize("n", [1, 7, 8, 25])
def test_the_inverse_equals_overlap_add_also_of_a_masked_one(n_fft, hop, n):
    spec = stft(noise(n), StftConfig(n_fft, hop))
    rng = torch.Generator().manual_seed(1)
    spec = spec * torch.rand(spec.shape, generator=rng, dtype=torch.float64)
    wanted = slow.istft(spec.numpy(), n_fft, hop, n)
    np.testing.assert_allclose(istft(spec, StftConfig(n_fft, hop), n).numpy(), wanted, atol=1e-12)


@given(st.sampled_from([(4, 2), (8, 4), (64, 16), (512, 256), (1024, 512)]), st.integers(0, 3000))
@settings(max_examples=40, deadline=None)
def test_nothing_is_lost(sizes, n):
    config, x = StftConfig(*sizes), noise(n, 2)
    back = istft(stft(x, config), config, n)
    assert back.shape == x.shape
    assert torch.allclose(back, x, atol=1e-12)


@pytest.mark.parametrize("n", [1023, 1024, 1025, 1535, 1537])
def test_nothing_is_lost_around_the_window_length_in_float32(n):
    x = noise(n).float()
    assert (istft(stft(x, StftConfig()), StftConfig(), n) - x).abs().max() < 1e-5


def test_silence_stays_silence():
    assert not stft(torch.zeros(100), StftConfig(8, 4)).any()
    assert not istft(torch.zeros(5, 26, dtype=torch.complex64), StftConfig(8, 4), 100).any()


def test_a_batch_equals_its_singles():
    x = noise(50, 3, 2)
    spec = stft(x, StftConfig(8, 4))
    for i in range(3):
        assert torch.equal(spec[i, 1], stft(x[i, 1], StftConfig(8, 4)))


def test_a_tone_lies_in_its_bin():
    """Amplitude 1 at a bin's centre: half the sum of the window there."""
    n = torch.arange(4096, dtype=torch.float64)
    spec = stft(torch.cos(2 * torch.pi * 10 / 64 * n), StftConfig(64, 32))[:, 40].abs()
    assert int(spec.argmax()) == 10
    assert float(spec[10]) == pytest.approx(
        0.5 * float(torch.hann_window(64, dtype=torch.float64).sqrt().sum()), rel=1e-3
    )


def test_frame_i_is_centred_on_sample_i_hops():
    x = torch.zeros(64, dtype=torch.float64)
    x[24] = 1
    power = stft(x, StftConfig(16, 8)).abs().square().sum(0)
    assert int(power.argmax()) == 3
    assert float(power[3] / power.sum()) > 0.99


def test_gradients_flow_through_both():
    x = noise(20).requires_grad_(True)
    config = StftConfig(8, 4)
    assert torch.autograd.gradcheck(lambda v: istft(stft(v, config) * 0.5, config, 20), (x,))


def test_overlap_add_is_the_sum_of_shifted_frames():
    pieces = noise(6, 4)
    wanted = torch.zeros(4 * 2 + 4, dtype=torch.float64)
    for i in range(4):
        wanted[i * 2 : i * 2 + 6] += pieces[i]
    assert torch.allclose(overlap_add(pieces, 2), wanted)


@pytest.mark.parametrize("n_fft", [0, 2, 7, -8])
def test_a_window_must_be_even_and_at_least_4(n_fft):
    with pytest.raises(ParameterError, match=f"n_fft must be even and at least 4; got {n_fft}"):
        StftConfig(n_fft, 1)


@pytest.mark.parametrize("hop", [0, -4, 3, 5, 8, 16])
def test_a_hop_must_divide_the_window_at_least_twice(hop):
    with pytest.raises(ParameterError, match=rf"hop_length must divide n_fft at least twice \(n_fft=8\); got {hop}"):
        StftConfig(8, hop)


def test_sizes():
    assert StftConfig(1024, 512).n_bins == 513
    assert [StftConfig(8, 4).n_frames(n) for n in (0, 1, 4, 5, 8)] == [1, 2, 2, 3, 3]
