"""The Kaldi mel bank and the log-mel front end against their slow twins and against facts of the released one."""

import numpy as np
import pytest
import torch

from otoscope.core.errors import ParameterError
from otoscope.spectral import KaldiLogMel, kaldi_mel_bank, mel_to_hz
from reference import spectral as slow

SMALL = {"n_mels": 8, "n_fft": 64, "win_length": 50, "hop_length": 20, "low_hz": 50.0, "high_hz": 3800.0}


def small():
    return KaldiLogMel(8000, **SMALL)


@pytest.mark.parametrize(
    "args",
    [
        (128, 1024, 32000, 0.0, 15000.0),
        (64, 1024, 32000, 50.0, 14000.0),
        (8, 64, 8000, 50.0, 4000.0),
        (1, 8, 100, 0.0, 50.0),
    ],
)
def test_the_bank_equals_its_twin(args):
    bank = kaldi_mel_bank(*args)
    assert bank.dtype == np.float32
    assert bank.shape == (args[0], args[1] // 2 + 1)
    np.testing.assert_allclose(bank, slow.kaldi_mel_bank(*args), atol=1e-6)


def test_the_bank_is_kaldis():
    """Triangles in mel: neighbours sum to one between the first and the last centre; nothing at Nyquist; no area norm."""
    bank = kaldi_mel_bank(40, 1024, 16000, 0.0, 8000.0)
    hz = np.arange(513) * 16000 / 1024
    edges = mel_to_hz(np.linspace(0, 1127 * np.log1p(8000 / 700), 42))
    inside = (hz >= edges[1]) & (hz <= edges[-2])
    np.testing.assert_allclose(bank.sum(0)[inside], 1.0, atol=1e-6)
    assert not bank[:, -1].any()
    assert bank.min() == 0.0
    assert bank.max() <= 1.0


@pytest.mark.parametrize(("low", "high"), [(-1, 100), (100, 100), (200, 100), (0, 4001)])
def test_bands_beyond_the_range_are_refused(low, high):
    with pytest.raises(ParameterError, match=rf"0 <= low_hz < high_hz <= 4000.0; got {low} and {high}"):
        kaldi_mel_bank(8, 64, 8000, low, high)


@pytest.mark.parametrize("n", [34, 35, 100, 161, 400])
def test_features_equal_their_twin(n):
    x = 0.3 * np.random.default_rng(n).standard_normal(n)
    front = small().double()
    wanted = slow.log_mel(x.tolist(), 8000, n_mels=8, n_fft=64, win=50, hop=20, low_hz=50.0, high_hz=3800.0)
    features = front(torch.from_numpy(x)[None])
    assert features.shape == (1, 1, *wanted.shape)
    np.testing.assert_allclose(features[0, 0].numpy(), wanted, atol=1e-5)


def test_five_seconds_give_500_frames():
    """The valid pre-emphasis drops one sample, so 160000 samples give 500 frames, not 501."""
    front = KaldiLogMel()
    assert front(torch.zeros(2, 160000)).shape == (2, 1, 128, 500)
    assert front(torch.zeros(1, 160001)).shape[-1] == 501


def test_silence_has_the_silence_value():
    front = KaldiLogMel()
    assert front.silence == pytest.approx((np.log(1e-5) + 4.5) / 5)
    np.testing.assert_allclose(front(torch.zeros(1, 1000)).numpy(), front.silence, atol=1e-6)


def test_the_shortest_waveform_that_works():
    front = small()
    assert front.minimum_length == 34
    assert front(torch.zeros(1, 34)).isfinite().all()
    with pytest.raises(RuntimeError, match=r"[Pp]adding"):
        front(torch.zeros(1, 33))


def test_a_tone_is_loudest_in_its_band():
    front = KaldiLogMel(16000, n_mels=32, n_fft=512, win_length=400, hop_length=160, high_hz=8000.0)
    x = torch.sin(2 * torch.pi * 1000 * torch.arange(16000) / 16000)[None]
    loudest = int(front(x)[0, 0].mean(1).argmax())
    assert loudest == int(np.abs(front.band_frequencies() - 1000).argmin())


def test_axes_are_in_hz_and_seconds():
    front = KaldiLogMel()
    hz = front.band_frequencies()
    assert hz.shape == (128,)
    assert (np.diff(hz) > 0).all()
    centres = kaldi_mel_bank(128, 1024, 32000, 0.0, 15000.0).argmax(1) * 32000 / 1024
    np.testing.assert_allclose(hz[40:], centres[40:], atol=32000 / 1024)
    np.testing.assert_allclose(front.frame_times(3), [0, 0.01, 0.02])


def test_a_batch_equals_its_singles():
    x = torch.randn(4, 400, generator=torch.Generator().manual_seed(0))
    together = small()(x)
    for i in range(4):
        np.testing.assert_allclose(together[i : i + 1].numpy(), small()(x[i : i + 1]).numpy(), atol=1e-5)


def test_gradients_flow():
    x = 0.1 * torch.randn(1, 60, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert torch.autograd.gradcheck(small().double(), (x.requires_grad_(True),))


def test_it_has_no_weights_to_train_or_to_save():
    assert not list(small().parameters())
    assert not small().state_dict()
