"""Resampling that gradients pass through: against soxr, against sines, against its slow twin."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from otoscope.audio import resample
from otoscope.core.errors import ParameterError, ShapeError
from otoscope.spectral import resample_waveform, resampling
from reference.resampling import resample as slow

PAIRS = [(32000, 48000), (48000, 32000), (44100, 32000), (32000, 44100), (16000, 32000), (32000, 8000), (22050, 48000)]
RATES = (3000, 3001, 8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000, 96000)


def sine(hz, rate, seconds=0.5, phase=0.3):
    return torch.sin(2 * torch.pi * hz * torch.arange(int(rate * seconds), dtype=torch.float64) / rate + phase)


def db(error, signal):
    return 20 * float(torch.log10(error.square().mean().sqrt() / signal.square().mean().sqrt()))


@pytest.mark.parametrize(("source", "target"), PAIRS)
@pytest.mark.parametrize("share", [0.001, 0.2, 0.6, 0.9])
def test_sines_within_the_band_come_out_as_they_are(source, target, share):
    hz = share * min(source, target) / 2
    made, wanted = resample_waveform(sine(hz, source), source, target), sine(hz, target)
    inner = slice(target // 20, -target // 20)
    assert made.shape == wanted.shape
    assert db(made[inner] - wanted[inner], wanted[inner]) < -110


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_in_band_noise_is_as_soxr_makes_it(source, target):
    rng = np.random.default_rng(0)
    low = min(source, target)
    n, bins = source, int(0.45 * low)  # one second: a bin a Hz, up to 90 % of the lower Nyquist frequency
    spectrum = np.zeros(n // 2 + 1, complex)
    spectrum[20:bins] = rng.normal(size=bins - 20) + 1j * rng.normal(size=bins - 20)
    noise = np.fft.irfft(spectrum, n)
    noise = (0.5 * noise / np.abs(noise).max()).astype(np.float32)
    made = resample_waveform(torch.from_numpy(noise)[None], source, target)
    theirs = torch.from_numpy(resample(noise[None], source, target).copy())
    inner = slice(target // 20, -target // 20)
    assert db(made[:, inner] - theirs[:, inner], theirs[:, inner]) < -70


@pytest.mark.parametrize(("source", "target"), [(48000, 32000), (44100, 32000), (32000, 8000)])
@pytest.mark.parametrize("above", [1.0, 1.05, 1.3])
def test_nothing_folds_back(source, target, above):
    hz = above * target / 2
    made = resample_waveform(sine(hz, source), source, target)[target // 20 : -target // 20]
    assert db(made, sine(hz, source)) < -100


@pytest.mark.parametrize(("source", "target"), [(32000, 48000), (16000, 32000), (22050, 48000)])
@pytest.mark.parametrize("hz", [1000.0, 7000.0])
def test_upsampling_makes_no_images(source, target, hz):
    made = resample_waveform(sine(hz, source), source, target)
    n = len(made) - target // 10
    window = torch.from_numpy(np.kaiser(n, 20))
    power = torch.fft.rfft(made[target // 20 : target // 20 + n] * window).abs()
    frequency = torch.fft.rfftfreq(n, 1 / target)
    assert power.argmax() == (frequency - hz).abs().argmin()
    assert 20 * torch.log10(power[frequency > source / 2].max() / power.max()) < -100


@given(n=st.integers(1, 400), source=st.sampled_from(RATES), target=st.sampled_from(RATES))
@settings(max_examples=40, deadline=None)
def test_lengths_are_those_of_the_door_for_audio(n, source, target):
    sound = np.ones((1, n), np.float32)
    assert resample_waveform(torch.from_numpy(sound), source, target).shape == resample(sound, source, target).shape


@pytest.mark.parametrize(
    ("source", "target"), [(3200, 4800), (4800, 3200), (4410, 3200), (1000, 3000), (3000, 1000), (101, 100)]
)
def test_it_is_the_slow_twin(source, target):
    x = torch.randn(90, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert resample_waveform(x, source, target).numpy() == pytest.approx(slow(x.numpy(), source, target), abs=1e-12)


@pytest.mark.parametrize(("source", "target"), [(3, 2), (2, 3), (147, 160), (160, 147), (7, 1), (1, 7)])
def test_both_ways_to_compute_agree(source, target):
    x = torch.randn(2, 500, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    wanted = max(1, (2 * 500 * target + source) // (2 * source))
    pair = [way(x, target, source, wanted) for way in (resampling._polyphase, resampling._gathered)]
    # a block's filter reaches up to `down` taps further than a single output's, where the window is zero
    assert torch.allclose(*pair, atol=1e-10)


def test_ratios_of_large_numbers_are_gathered(monkeypatch):
    called = []
    gathered = resampling._gathered
    monkeypatch.setattr(resampling, "_gathered", lambda *a: called.append(1) or gathered(*a))
    hz, source, target = 900.0, 44100, 44101
    made = resample_waveform(sine(hz, source), source, target)
    wanted = sine(hz, target)
    made = made[: len(wanted)]
    assert called
    assert db((made - wanted)[2000:-2000], wanted) < -110
    resample_waveform(sine(hz, source), source, 48000)
    assert len(called) == 1


@pytest.mark.parametrize(("source", "target"), [(300, 200), (200, 300), (147, 160)])
def test_gradients_are_right(source, target):
    x = torch.randn(2, 40, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda w: resample_waveform(w, source, target), (x,))


def test_gradients_are_right_where_outputs_are_gathered(monkeypatch):
    monkeypatch.setattr(resampling, "LARGEST_KERNEL", 0)
    x = torch.randn(2, 40, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda w: resample_waveform(w, 300, 200), (x,))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_was_made_without_gradients_can_be_made_with_them(dtype):
    """The filters are kept from one call to the next."""
    resampling._kernel.cache_clear()
    with torch.inference_mode():
        resample_waveform(torch.zeros(1, 30, dtype=dtype), 500, 700)
    x = torch.randn(1, 30, dtype=dtype, requires_grad=True)
    resample_waveform(x, 500, 700).sum().backward()
    assert x.grad.abs().sum() > 0


@given(
    pair=st.sampled_from([(3, 2), (2, 3), (441, 320), (1, 4)]),
    a=st.floats(-5, 5),
    b=st.floats(-5, 5),
    n=st.integers(1, 200),
)
@settings(max_examples=30, deadline=None)
def test_it_is_linear(pair, a, b, n):
    source, target = (100 * p for p in pair)
    rng = torch.Generator().manual_seed(n)
    x, y = torch.randn(2, n, dtype=torch.float64, generator=rng)
    together = resample_waveform(a * x + b * y, source, target)
    apart = a * resample_waveform(x, source, target) + b * resample_waveform(y, source, target)
    assert torch.allclose(together, apart, atol=1e-10)


def test_batches_of_any_form_are_as_their_singles():
    x = torch.randn(2, 3, 500)
    whole = resample_waveform(x, 32000, 44100)
    assert whole.shape == (2, 3, 689)
    for i in range(2):
        for j in range(3):
            assert torch.allclose(whole[i, j], resample_waveform(x[i, j], 32000, 44100), atol=1e-6)
    assert resample_waveform(x[:0], 32000, 44100).shape == (0, 3, 689)


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_a_constant_stays_and_fades_at_the_ends_alone(source, target):
    out = resample_waveform(torch.full((source // 4,), 0.7, dtype=torch.float64), source, target)
    inner = out[target // 40 : -target // 40]
    assert (inner - 0.7).abs().max() < 1e-12
    assert (out - 0.7).abs().max() > 0.01


def test_there_is_no_delay():
    x = torch.zeros(2001, dtype=torch.float64)
    x[1000] = 1.0
    out = resample_waveform(x, 200, 300)
    assert out.argmax() == 1500
    assert torch.allclose(out[1500:1700], out[1301:1501].flip(0), atol=1e-12)


def test_precision_is_kept_and_autocast_ignored():
    x = torch.randn(1, 400)
    plain = resample_waveform(x, 32000, 48000)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(resample_waveform(x, 32000, 48000), plain)
    for dtype in (torch.bfloat16, torch.float16):
        low = resample_waveform(x.to(dtype), 32000, 48000)
        assert low.dtype == dtype
        assert torch.equal(low, resample_waveform(x.to(dtype).float(), 32000, 48000).to(dtype))
    assert plain.dtype == torch.float32


def test_at_equal_rates_it_is_the_input():
    x = torch.randn(2, 7)
    assert resample_waveform(x, 16000, 16000) is x


@pytest.mark.parametrize("rate", [0, -8000, 99, 44100.5, "8000", None, True, 2_000_000])
def test_rates_that_are_none_are_named(rate):
    for rates, name in (((rate, 8000), "source_rate"), ((8000, rate), "target_rate")):
        with pytest.raises(ParameterError, match=name):
            resample_waveform(torch.zeros(1, 10), *rates)


@pytest.mark.parametrize("shape", [(), (0,), (3, 0)])
def test_waveforms_without_samples_are_refused(shape):
    with pytest.raises(ShapeError, match="with samples"):
        resample_waveform(torch.zeros(shape), 8000, 16000)


@pytest.mark.parametrize("dtype", [torch.int16, torch.bool, torch.complex64])
def test_samples_that_are_no_fractions_are_refused(dtype):
    for target in (8000, 16000):
        with pytest.raises(ParameterError, match="real floats"):
            resample_waveform(torch.zeros(1, 10, dtype=dtype), 8000, target)
