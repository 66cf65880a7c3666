"""The mode that the paper describes: R with the phase of the sound."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from feature_worlds import BAND, COMB, RATE, band_level, clip, planted_classifier, tone
from otoscope.attribution.deconvolution import deconvolve
from otoscope.auralisation import feature_magnitudes
from otoscope.classifiers import load_classifier
from otoscope.classifiers.layer_features import layer_features
from otoscope.core.errors import UnsupportedError


def test_its_stft_is_r_with_the_phase_of_the_sound():
    world = planted_classifier()
    features, sound = layer_features(world, "planted"), clip(tone(500) + tone(1000) + tone(2600, level=0.03))
    made = feature_magnitudes(features, sound, COMB)
    assert made.samples.shape == sound.samples.shape
    exact = deconvolve(features, torch.tensor(sound.samples[0]), [COMB])[0].numpy()
    assert exact.min() < 0
    wanted = np.maximum(exact, 0)
    front = world.frontend
    spec, window = front.stft(torch.tensor(sound.samples))[0].numpy(), front.window.numpy().astype(np.float64)
    total, weight = np.zeros(len(spec) * 64 + 256), np.zeros(len(spec) * 64 + 256)
    for t, frame in enumerate(spec):  # frame by frame, in float64
        total[64 * t : 64 * t + 256] += np.fft.irfft(wanted[:, t] * np.exp(1j * np.angle(frame))) * window
        weight[64 * t : 64 * t + 256] += window**2
    half = 128 if front.frames.center else 0
    expected = (total / np.maximum(weight, 1e-9))[half : half + 16000]
    np.testing.assert_allclose(made.samples[0, 500:-500], expected[500:-500], atol=1e-4 * np.abs(expected).max())
    band = feature_magnitudes(features, sound, BAND)
    assert band_level(band, 1000, 1200) > band_level(band, 2500, 2700) + 25


def test_its_level_is_kept():
    features = layer_features(planted_classifier(), "planted")
    one, two = (feature_magnitudes(features, clip(a * tone(1100)), BAND).samples for a in (0.5, 1.0))
    np.testing.assert_allclose(2 * one, two, atol=1e-5)


def test_what_it_cannot_do():
    mn = layer_features(load_classifier("esc10-mn"), "features.3")
    with pytest.raises(UnsupportedError, match="takes are no magnitudes of an STFT"):
        feature_magnitudes(mn, clip(tone(500)), 0)
    features = layer_features(planted_classifier(), "planted")
    with pytest.raises(UnsupportedError, match="give a shorter one"):
        feature_magnitudes(features, clip(np.zeros(RATE * 40)), 0)
