from __future__ import annotations

import numpy as np
import pytest
import torch
from captum.attr import LayerGradCam
from torch import nn

import otoscope
from otoscope.classifiers.base import Classifier
from otoscope.core.errors import UnknownNameError, UnsupportedError
from otoscope.spectral import FrameConfig, KaldiLogMel, LogMel, MelBands
from reference import attribution as slow
from worlds import RATE, linear, spectral

LAYER = "3"  # the second convolution of the spectral world


class Lights(nn.Module):
    """Its one map is bright where features are above silence; the logit is the map's mean."""

    def __init__(self, pool: tuple[int, int], silence: float):
        super().__init__()
        self.conv, self.pool, self.silence = nn.Conv2d(1, 1, 1, bias=False), nn.AvgPool2d(pool), silence
        nn.init.ones_(self.conv.weight)

    def forward(self, features):
        maps = self.pool(self.conv(features - self.silence))
        return torch.stack([maps.mean((1, 2, 3)), -maps.mean((1, 2, 3))], 1)


def lights(pool):
    front = KaldiLogMel(16000, n_mels=32, n_fft=512, win_length=400, hop_length=160, high_hz=8000.0)
    module = Lights(pool, front.silence)
    return otoscope.wrap(module, sample_rate=16000, labels=["bright", "dark"], frontend=front, cam_layer="pool")


def burst(hz, start_s, rate=16000):
    moments = np.arange(rate) / rate
    return (0.3 * np.sin(2 * np.pi * hz * moments) * ((moments >= start_s) & (moments < start_s + 0.1))).astype("f4")


@pytest.mark.parametrize("pool", [(1, 1), (2, 25), (8, 2), (4, 5)])
@pytest.mark.parametrize(("hz", "start_s"), [(300, 0.8), (5000, 0.1), (300, 0.1), (5000, 0.8)])
@pytest.mark.parametrize("domain", ["stft", "mel", "features"])
def test_frequency_stays_frequency_and_time_stays_time(ask, values, domain, hz, start_s, pool):
    problem = ask(lights(pool), burst(hz, start_s), domain)
    grid, found = problem.inspected.grid, values(problem, "grad_cam")[0]
    band, frame = np.unravel_index(found.argmax(), found.shape)
    assert (grid.frequencies[band] < 1200) == (hz < 1200), grid.frequencies[band]
    assert abs(grid.times[frame] - (start_s + 0.05)) < 0.16
    weight = np.maximum(found - np.median(found), 0)
    late = weight[:, grid.times > 0.5].sum() / weight.sum()
    assert late > 0.85 if start_s > 0.5 else late < 0.15


class Rest(Lights):
    """Cells of two bands and 25 frames from frame 8 on; what is left behind the last one is not heard."""

    def forward(self, features):
        return super().forward(features[..., 8:88])


@pytest.mark.parametrize("start_s", [0.37, 0.45])
@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("domain", ["features", "mel"])
def test_cells_lie_where_the_classifier_places_them(ask, values, domain, center, start_s):
    """Cells of frames 8-32, 33-57 and 58-82 of some hundred: a burst in the second is found there, within half a cell."""
    frames = FrameConfig(16000, 512, 160, center=center)
    front = LogMel(frames, MelBands(32, 50.0, 8000.0))

    def second(places):
        model = Classifier(
            Rest((2, 25), front.silence), sample_rate=16000, labels=["bright", "dark"], frontend=front,
            cam_layer="pool", places=places,
        )  # fmt: skip
        problem = ask(model, burst(5000, start_s), domain)
        found = values(problem, "grad_cam")[0].sum(0)
        times, top = problem.inspected.grid.times, found > found.min() + 0.8 * np.ptp(found)
        return times[top].mean()

    middle = float(front.frame_times(46)[45])  # of the second cell
    assert second({"pool": ((0.5, 2), (20, 25))}) == pytest.approx(middle, abs=0.02)
    assert abs(middle - (start_s + 0.05)) < 0.125
    assert abs(second({"pool": ((0.5, 2), (40, 25))}) - (start_s + 0.05)) > 0.125


@pytest.mark.parametrize("start_s", [0.1, 0.8])
def test_in_the_time_domain_only_time_is_left(ask, values, start_s):
    problem = ask(lights((4, 5)), burst(5000, start_s), "time")
    found = values(problem, "grad_cam")[0]
    assert found.shape == (1, 10)
    assert abs(problem.inspected.grid.times[found[0].argmax()] - (start_s + 0.05)) < 0.1


def test_the_signs_are_kept(ask, values):
    problem = ask(lights((4, 5)), burst(300, 0.8), "mel")
    dark = ask(lights((4, 5)), burst(300, 0.8), "mel", target=1)
    np.testing.assert_allclose(values(dark, "grad_cam"), -values(problem, "grad_cam"), rtol=1e-5, atol=1e-9)
    assert values(dark, "grad_cam").max() <= 0


@pytest.mark.parametrize("layer", ["0", LAYER])
@pytest.mark.parametrize("domain", ["stft", "mel", "features"])
def test_it_is_the_slow_twin(ask, values, noise, domain, layer):
    x, world = noise(6000, batch=2), spectral()
    problem = ask(world, x, domain, target=[1, 2])
    inspected, grid = problem.inspected, problem.inspected.grid
    found = values(problem, "grad_cam", layer=layer)
    features = inspected.classifier.features(inspected.waveform).detach()
    network = spectral().network.double()
    for i, target in enumerate((1, 2)):
        cut = int(layer) + 1
        maps = network[:cut](features[i : i + 1].double()).detach().requires_grad_(True)
        network[cut:](maps)[0, target].backward()
        cam = slow.grad_cam(maps[0].detach().numpy(), maps.grad[0].numpy())
        last = (features.shape[-1] - 1) * 160 / 16000
        bands = world.frontend.band_frequencies()
        expected = slow.place_on_grid(cam, bands, last, grid.frequencies, grid.times)
        np.testing.assert_allclose(found[i], expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("domain", ["stft", "features"])
def test_it_is_captums_without_relu(ask, values, noise, domain):
    problem = ask(spectral(), noise(6000), domain, target=1)
    inspected, grid = problem.inspected, problem.inspected.grid
    captum = LayerGradCam(inspected, inspected.classifier.network[int(LAYER)])
    mask = inspected.ones().requires_grad_(True)
    cam = captum.attribute(mask, target=1, relu_attributions=False)[0, 0].detach().double().numpy()
    assert (cam < 0).any()
    last = (inspected.classifier.features(inspected.waveform).shape[-1] - 1) * 0.01
    bands = inspected.classifier.frontend.band_frequencies()
    expected = slow.place_on_grid(cam, bands, last, grid.frequencies, grid.times)
    found = values(problem, "grad_cam", layer=LAYER)[0]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


def test_the_default_layer_is_the_last_convolution(ask, values, noise):
    problem = ask(spectral(), noise(4000), "mel")
    assert problem.inspected.classifier.cam_layer == LAYER
    np.testing.assert_array_equal(values(problem, "grad_cam"), values(problem, "grad_cam", layer=LAYER))
    assert not np.allclose(values(problem, "grad_cam"), values(problem, "grad_cam", layer="0"))


class OnWaveforms(nn.Module):
    """A network without a front end: maps `(batch, channel, time)`, louder is higher."""

    def __init__(self):
        super().__init__()
        self.conv, self.unused = nn.Conv1d(1, 2, 80, 80, bias=False), nn.Conv1d(1, 2, 3)
        nn.init.constant_(self.conv.weight, 0.1)
        self.lstm, self.flat = nn.LSTM(2, 2, batch_first=True), nn.Flatten()

    def forward(self, waveform):
        maps = self.conv(waveform.abs()[:, None])
        self.lstm(maps.transpose(1, 2))
        return self.flat(maps.mean(2))


def on_waveforms():
    return otoscope.wrap(OnWaveforms(), sample_rate=RATE, labels=["a", "b"], cam_layer="conv")


def test_networks_on_waveforms_have_maps_over_time(ask, values):
    x = np.zeros(RATE, np.float32)
    x[5600:6400] = 0.5
    problem = ask(on_waveforms(), x, "mel")
    found = values(problem, "grad_cam")[0]
    assert problem.inspected.grid.times[found[0].argmax()] == pytest.approx(0.75, abs=0.06)
    np.testing.assert_allclose(found, np.repeat(found[:1], len(found), 0), rtol=1e-5)


@pytest.mark.parametrize(
    ("world", "layer", "error", "words"),
    [
        (lambda: linear(4000), None, UnsupportedError, "has no convolutional layer"),
        (on_waveforms, "convv", UnknownNameError, "did you mean 'conv'"),
        (on_waveforms, "unused", UnsupportedError, "not used in a forward pass"),
        (on_waveforms, "lstm", UnsupportedError, "not one tensor"),
        (on_waveforms, "flat", UnsupportedError, r"\(1, 2\), which is not a map"),
    ],
)
def test_a_layer_that_cannot_be_asked_is_refused(ask, values, noise, world, layer, error, words):
    with pytest.raises(error, match=words):
        values(ask(world(), noise(4000)), "grad_cam", layer=layer)


def test_a_layer_beside_the_decision_is_refused(ask, values, noise):
    class Beside(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv1d(1, 2, 80, 80)

        def forward(self, waveform):
            self.conv(waveform[:, None])
            return waveform[:, :2]

    world = otoscope.wrap(Beside(), sample_rate=RATE, labels=2)
    with pytest.raises(UnsupportedError, match="does not depend on layer 'conv'"):
        values(ask(world, noise(4000)), "grad_cam")


def test_maps_whose_axes_nobody_tells_are_not_guessed(ask, values, noise):
    """A network that makes its own spectrogram may have turned it: better no answer than a transposed one."""

    class OwnSpectrogram(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 2, 3)

        def forward(self, waveform):
            return self.conv(waveform.reshape(len(waveform), 1, 50, -1)).mean((2, 3))

    world = otoscope.wrap(OwnSpectrogram(), sample_rate=RATE, labels=2, window_s=0.5)
    with pytest.raises(UnsupportedError, match=r"the time axis of layer|does not declare where its features lie"):
        values(ask(world, noise(4000), "mel"), "grad_cam")
