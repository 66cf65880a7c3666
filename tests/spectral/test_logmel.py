"""Log-mel in dB and linear STFT against slow twins, against another library, and against facts of the published ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from otoscope.core.errors import ParameterError, UnknownNameError
from otoscope.spectral import FrameConfig, LinearStft, LogMel, MelBands, apnet_log_mel, mel_bank
from otoscope.spectral.logmel import hz_to_slaney_mel, slaney_mel_to_hz
from reference import logmel as slow

BANKS = [
    (64, 1024, 32000, 50.0, 14000.0, "slaney", "slaney"),  # PANNs
    (64, 1024, 32000, 50.0, 14000.0, "htk", "none"),  # audiointerp
    (64, 512, 16000, 50.0, 8000.0, "slaney", "slaney"),
    (128, 4096, 22050, 0.0, 11025.0, "htk", "slaney"),  # APNet
    (5, 32, 8000, 0.0, 4000.0, "slaney", "none"),
]


def bands(n, low, high, scale, norm, **more):
    return MelBands(n, low, high, scale, norm, **more)


@pytest.mark.parametrize(("n", "n_fft", "rate", "low", "high", "scale", "norm"), BANKS)
def test_the_bank_equals_its_twin(n, n_fft, rate, low, high, scale, norm):
    bank = mel_bank(bands(n, low, high, scale, norm), n_fft, rate)
    assert bank.shape == (n, n_fft // 2 + 1)
    assert bank.dtype == np.float32
    np.testing.assert_allclose(bank, slow.mel_bank(n, n_fft, rate, low, high, scale, norm), rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize(("n", "n_fft", "rate", "low", "high", "scale", "norm"), BANKS)
@pytest.mark.filterwarnings("ignore:At least one mel filter")
def test_the_bank_is_that_of_another_library(n, n_fft, rate, low, high, scale, norm):
    other = pytest.importorskip("transformers.audio_utils").mel_filter_bank
    theirs = other(n_fft // 2 + 1, n, low, high, rate, norm=None if norm == "none" else norm, mel_scale=scale)
    np.testing.assert_allclose(mel_bank(bands(n, low, high, scale, norm), n_fft, rate), theirs.T, rtol=1e-5, atol=1e-8)


def test_slaneys_scale_has_its_known_points():
    hz = [0.0, 200.0, 1000.0, 6400.0]
    np.testing.assert_allclose(hz_to_slaney_mel(hz), [0.0, 3.0, 15.0, 42.0])
    np.testing.assert_allclose(slaney_mel_to_hz(hz_to_slaney_mel(hz)), hz)


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("n", [33, 64, 101])
def test_log_mel_equals_its_twin(center, n):
    x = 0.3 * np.random.default_rng(n).standard_normal(n)
    front = LogMel(FrameConfig(8000, 32, 10, center), bands(5, 100, 3900, "htk", "slaney", shift=35.0, divisor=65.0))
    bank = slow.mel_bank(5, 32, 8000, 100, 3900, "htk", "slaney")
    wanted = (slow.decibel(bank @ np.abs(slow.stft(x, 32, 10, center)) ** 2) + 35) / 65
    features = front.double()(torch.from_numpy(x)[None])
    assert features.shape == (1, 1, *wanted.shape)
    assert front.frames.n_frames(n) == wanted.shape[1]
    np.testing.assert_allclose(features[0, 0].numpy(), wanted, atol=1e-5)


@pytest.mark.parametrize("unit", ["magnitude", "log1p", "db"])
def test_the_stft_equals_its_twin(unit):
    x = 0.3 * np.random.default_rng(0).standard_normal(70)
    spec = np.abs(slow.stft(x, 16, 5, True))
    wanted = {"magnitude": spec, "log1p": np.log(1 + spec), "db": slow.decibel(spec**2)}[unit]
    front = LinearStft(FrameConfig(8000, 16, 5), unit).double()
    np.testing.assert_allclose(front(torch.from_numpy(x)[None])[0, 0].numpy(), wanted, atol=1e-4)


@pytest.mark.parametrize(
    ("front", "n", "shape", "silence"),
    [
        (LogMel(), 160_000, (64, 501), -100.0),
        (LinearStft(FrameConfig(16000, 512, 256), "db"), 80_000, (257, 313), -100.0),
        (LinearStft(), 44_100, (257, 173), 0.0),
        (apnet_log_mel(16000, 1024, 256, 80), 15_840, (80, 58), -1.0),
        (apnet_log_mel(44100, 1024, 1024, 256), 131_859, (256, 128), -1.0),
    ],
)
def test_shapes_and_silence_are_the_published_ones(front, n, shape, silence):
    features = front(torch.zeros(2, n))
    assert features.shape == (2, 1, *shape)
    assert front.silence == pytest.approx(silence)
    np.testing.assert_allclose(features.numpy(), front.silence, atol=1e-5)
    assert front.band_frequencies().shape == shape[:1]
    assert (np.diff(front.band_frequencies()) > 0).all()


@pytest.mark.parametrize("front", [LogMel(), LinearStft(), apnet_log_mel(16000, 1024, 256, 80)])
@pytest.mark.parametrize("hz", [440.0, 3000.0])
def test_a_tone_is_loudest_in_its_band(front, hz):
    rate = front.sample_rate
    features = front(torch.sin(2 * torch.pi * hz * torch.arange(rate) / rate)[None])
    loudest = int(features[0, 0].mean(1).argmax())
    assert loudest == int(np.abs(front.band_frequencies() - hz).argmin())


@pytest.mark.parametrize("front", [LogMel(), LinearStft(), apnet_log_mel(16000, 1024, 256, 80)])
def test_a_click_is_loudest_at_its_time(front):
    x = torch.zeros(1, front.sample_rate)
    x[0, front.sample_rate // 2] = 1.0
    energy = front(x)[0, 0].sum(0)
    assert front.frame_times(len(energy))[int(energy.argmax())] == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("frames", [1, 2, 9])
def test_the_minimum_length_gives_the_minimum_of_frames(center, frames):
    front = LogMel(FrameConfig(8000, 64, 50, center, frames), bands(4, 0, 4000, "htk", "none"))
    n = front.minimum_length
    assert front(torch.zeros(1, n)).shape[-1] >= frames
    if frames > 1 or not center:
        assert front.frames.n_frames(n - 1) == frames - 1
    else:
        with pytest.raises(RuntimeError, match=r"[Pp]adding"):
            front(torch.zeros(1, n - 1))


@pytest.mark.parametrize("front", [LogMel(), *(LinearStft(unit=u) for u in ("magnitude", "log1p", "db"))])
def test_gradients_are_finite_on_silence(front):
    x = torch.zeros(1, 4000)
    x[0, 2000:] = 0.1 * torch.randn(2000, generator=torch.Generator().manual_seed(0))
    x.requires_grad_(True)
    (gradient,) = torch.autograd.grad(front(x).sum(), x)
    assert torch.isfinite(gradient).all()
    assert gradient[0, 2500:].abs().max() > 0
    (gradient,) = torch.autograd.grad(front(zeros := torch.zeros(1, 4000, requires_grad=True)).sum(), zeros)
    assert not gradient.any()


@pytest.mark.parametrize("unit", ["magnitude", "log1p", "db"])
def test_gradients_are_right(unit):
    x = torch.randn(1, 40, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_(True)
    assert torch.autograd.gradcheck(LinearStft(FrameConfig(8000, 16, 5), unit).double(), (x,))


def test_a_batch_equals_its_singles():
    x = 0.1 * torch.randn(4, 2000, generator=torch.Generator().manual_seed(0))
    front = LogMel()
    torch.testing.assert_close(front(x), torch.cat([front(row[None]) for row in x]), rtol=1e-5, atol=1e-4)


def test_it_has_no_weights_to_train_or_to_save():
    for front in (LogMel(), LinearStft()):
        assert not list(front.parameters())
        assert not front.state_dict()


def test_unknown_names_are_refused():
    with pytest.raises(UnknownNameError, match="slany"):
        mel_bank(MelBands(scale="slany"), 1024, 32000)
    with pytest.raises(UnknownNameError, match="area"):
        mel_bank(MelBands(norm="area"), 1024, 32000)
    with pytest.raises(UnknownNameError, match="power"):
        LinearStft(unit="power")


@pytest.mark.parametrize(("low", "high", "n"), [(-1, 100, 4), (100, 100, 4), (0, 4001, 4), (0, 4000, 0)])
def test_bands_beyond_the_range_are_refused(low, high, n):
    with pytest.raises(ParameterError, match=rf"0 <= low_hz < high_hz <= 4000.0.*got {low}, {high} and {n}"):
        mel_bank(MelBands(n, low, high), 64, 8000)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [((8000, 63, 10), "even.*63"), ((8000, 64, 0), "got 8000, 0 and 1"), ((8000, 64, 10, True, 0), "10 and 0")],
)
def test_absurd_frames_are_refused(arguments, said):
    with pytest.raises(ParameterError, match=said):
        FrameConfig(*arguments)


def test_an_stft_can_be_shifted_and_scaled():
    plain, scaled = (
        LinearStft(FrameConfig(16000, 512, 256), "db"),
        LinearStft(FrameConfig(16000, 512, 256), "db", 45.0, 50.0),
    )
    x = torch.randn(2, 16000, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(scaled(x), (plain(x) + 45) / 50)
    assert scaled.silence == pytest.approx(-1.1)
    torch.testing.assert_close(scaled(torch.zeros(1, 16000)), torch.full((1, 1, 257, 63), -1.1))
