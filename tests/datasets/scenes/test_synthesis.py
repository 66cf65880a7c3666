"""The canvas on which sounds are drawn."""

from __future__ import annotations

import math

import numpy as np
import pytest

from otoscope.datasets.scenes.synthesis import Canvas, contour


def test_noise_has_unit_power_up_to_20_khz_and_the_asked_slope():
    canvas = Canvas("x", 1.0, 48000, np.random.default_rng(0))
    noise = canvas.noise(480_000, contour({100: 0, 200: 0, 400: -12, 12800: -72}))
    assert np.sqrt(np.mean(noise**2)) == pytest.approx(1.0, rel=0.05)
    power, hertz = np.abs(np.fft.rfft(noise)) ** 2, np.fft.rfftfreq(480_000, 1 / 48000)
    levels = [10 * math.log10(power[(hertz > f * 0.95) & (hertz < f * 1.05)].mean()) for f in (800, 1600)]
    assert levels[0] - levels[1] == pytest.approx(12.0, abs=1.0)


def test_nothing_is_drawn_above_20_khz_or_nyquist():
    wide = Canvas("x", 1.0, 96000, np.random.default_rng(0))
    power = np.abs(np.fft.rfft(wide.noise(96000, np.ones_like))) ** 2
    assert power[20001:].sum() < 1e-9 * power.sum()
    narrow = Canvas("x", 1.0, 8000, np.random.default_rng(0))
    t = narrow.times(0.0, 1.0)
    assert not narrow.modes(t, [(4500.0, 0.1, 1.0)]).any()
    assert not narrow.harmonics(np.full(8000, 4100.0), np.ones_like).any()
    power = np.abs(np.fft.rfft(narrow.harmonics(np.full(8000, 1500.0), np.ones_like))) ** 2
    assert sorted(np.flatnonzero(power > 1e-6 * power.max())) == [1500, 3000]
    glide = narrow.harmonics(np.linspace(1000.0, 6000.0, 8000), np.ones_like)
    assert np.abs(glide[:4000]).max() > 0.5
    assert not glide[4801:].any()
