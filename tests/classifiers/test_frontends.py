"""Front ends by name, and front ends of which only the numbers are known: axes are found, gradients flow or are refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import otoscope
from otoscope.classifiers.frontends import Layout, ProbedFrontend, fit_frontend
from otoscope.core.errors import ParameterError, UnknownNameError, UnsupportedError
from otoscope.spectral import FrameConfig, KaldiLogMel, LinearStft, LogMel, MelBands

RATE = 16000
KNOWN = LogMel(FrameConfig(RATE, 512, 160), MelBands(64, 50.0, 8000.0))
LAYOUTS = {
    "channel freq frame": lambda y: y,
    "freq frame": lambda y: y[:, 0],
    "frame freq": lambda y: y[:, 0].transpose(1, 2),
    "channel frame freq": lambda y: y.transpose(2, 3),
}


class Front(nn.Module):
    """The known features in some layout, and nothing said of them."""

    def __init__(self, layout: str):
        super().__init__()
        self.layout = layout

    def forward(self, x):
        return LAYOUTS[self.layout](KNOWN(x))


class Net(nn.Module):
    """Loudness of the upper and of the lower half of the bands, in the layout that it was trained on."""

    def __init__(self, layout: str):
        super().__init__()
        self.layout = layout
        self.scale = nn.Conv2d(1, 1, 1)

    def forward(self, y):
        if y.dim() == 3:
            y = y[:, None]
        if self.layout.endswith("frame freq"):
            y = y.transpose(2, 3)
        assert y.shape[1:3] == (1, 64)
        y = y.mean(3)[:, 0] / 20
        return torch.stack([y[:, :32].mean(1), y[:, 32:].mean(1)], 1) + 0 * self.scale.weight.sum()


def numpy_front(layout: str):
    return lambda x: np.asarray(Front(layout)(torch.from_numpy(x)))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("make", [Front, numpy_front])
def test_where_features_lie_is_found_out(layout, make):
    front = ProbedFrontend(make(layout), RATE)
    assert (front.layout.channel, front.layout.frames_first) == ("channel" in layout, layout.endswith("frame freq"))
    x = torch.randn(2, 12000) / 10
    torch.testing.assert_close(front(x), KNOWN(x))
    octaves = np.log2(front.band_frequencies() / KNOWN.band_frequencies())
    assert np.abs(octaves).max() < 0.1
    np.testing.assert_allclose(front.frame_times(76), KNOWN.frame_times(76), atol=0.001)
    assert front.silence == -100


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_module_is_explained_through_any_front_end(layout):
    model = otoscope.wrap(
        Net(layout), sample_rate=RATE, labels=["low", "high"], frontend=Front(layout), outputs="logits"
    )
    assert model.differentiable
    assert model.name == "Net"
    time = np.arange(RATE) / RATE
    x = (0.1 * np.sin(2 * np.pi * 300 * time) + 0.1 * np.sin(2 * np.pi * 5000 * time)).astype(np.float32)
    for domain in ("features", "mel"):
        found = otoscope.explain(x, model, sample_rate=RATE, method="input_x_gradient", domain=domain, target="high")
        by_band = found.attribution.values.sum(1)
        assert 4000 < found.attribution.grid.frequencies[by_band.argmax()] < 6000


def test_gradients_stop_at_features_made_by_numpy():
    model = otoscope.wrap(
        Net("freq frame"), sample_rate=RATE, labels=["low", "high"], frontend=numpy_front("freq frame")
    )
    assert not model.differentiable
    x = 0.1 * np.random.default_rng(0).standard_normal(RATE // 2).astype(np.float32)
    found = otoscope.explain(x, model, sample_rate=RATE, method="gradient", domain="features")
    assert np.abs(found.attribution.values).max() > 0
    for method in ("gradient", "mask_optimisation"):
        with pytest.raises(
            UnsupportedError, match=r"beyond its features.*use the domain features, or mask_evolution, lime"
        ):
            otoscope.explain(x, model, sample_rate=RATE, method=method, domain="mel")
    assert otoscope.explain(x, model, sample_rate=RATE).request.method == "mask_evolution"


@pytest.mark.parametrize(
    ("spec", "kind", "shape"),
    [
        ("log_mel,n_mels=40,n_fft=512,hop_length=160", LogMel, (1, 1, 40, 101)),
        ("stft,n_fft=512,hop_length=256", LinearStft, (1, 1, 257, 63)),
        ("kaldi_log_mel,n_mels=80,n_fft=512,win_length=400,hop_length=160", KaldiLogMel, (1, 1, 80, 100)),
    ],
)
def test_front_ends_by_name(spec, kind, shape):
    front, module = fit_frontend(spec, nn.Identity(), RATE)
    assert isinstance(front, kind)
    assert isinstance(module, nn.Identity)
    assert front(torch.zeros(1, RATE)).shape == shape
    assert front.sample_rate == RATE


def test_a_named_front_end_is_the_module_with_those_settings():
    found, _ = fit_frontend("log_mel,n_fft=512,hop_length=160,high_hz=8000", nn.Identity(), RATE)
    x = torch.randn(1, RATE)
    torch.testing.assert_close(found(x), KNOWN(x))
    with pytest.raises(UnknownNameError, match="unknown frontend 'logmel'; did you mean 'log_mel'"):
        fit_frontend("logmel", nn.Identity(), RATE)


def test_a_front_end_that_says_where_its_features_lie_is_taken_at_its_word():
    module = nn.Identity()
    assert fit_frontend(KNOWN, module, RATE) == (KNOWN, module)


def test_bands_that_no_tone_tells_apart_have_no_frequencies():
    front = ProbedFrontend(lambda x: np.abs(x[:, :15000]).reshape(len(x), 1, 100, 150).mean(3).repeat(4, 1), RATE)
    assert not hasattr(front, "band_frequencies")
    assert front(torch.zeros(1, RATE)).shape == (1, 1, 4, 100)


@pytest.mark.parametrize(
    ("front", "message"),
    [
        (3, "must be a module, a function of waveforms, or a name"),
        (lambda x: x, r"failed on 1 s of sound \(ShapeError: it gives shape \(1, 16000\)"),
        (lambda x: 1 / 0, "failed on 1 s of sound .ZeroDivisionError: division by zero"),
        (nn.Linear(3, 4), "the front end Linear failed on 1 s of sound"),
    ],
)
def test_what_is_no_front_end_is_refused(front, message):
    with pytest.raises(ParameterError, match=message) as caught:
        otoscope.wrap(Net("freq frame"), sample_rate=RATE, labels=2, frontend=front)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("channel", [True, False])
@pytest.mark.parametrize("frames_first", [True, False])
def test_a_layout_and_back(channel, frames_first):
    layout = Layout(channel, frames_first)
    features = torch.randn(2, 1, 5, 7)
    torch.testing.assert_close(layout.arranged(layout.original(features)), features)
