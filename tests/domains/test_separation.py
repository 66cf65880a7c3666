"""NMF and HPSS: what is separated, in which order, and that shares sum to one."""

import numpy as np
import pytest
import torch

from otoscope.domains import make_domain
from otoscope.domains.separation import RESIDUAL, hpss, nmf, wiener
from worlds import RATE, tone


def analysed(options, x, listener):
    return make_domain("components", options).analyse(torch.as_tensor(x), listener(RATE))


def si_sdr(found, wanted):
    scaled = (found @ wanted) / (wanted @ wanted) * wanted
    return 10 * np.log10((scaled @ scaled) / ((found - scaled) @ (found - scaled)))


def test_two_tones_are_separated_and_named(listener):
    low, high = tone(500), tone(2000) * np.linspace(1, 0, RATE, dtype=np.float32)
    analysis = analysed({"n": 2}, (low + high)[None], listener)
    assert [n.split(" (")[0] for n in analysis.names[0]] == ["NMF 1", "NMF 2", "residual"]
    assert analysis.grid_of(0).rows == analysis.names[0]
    middles = [float(n.split("around ")[1].split()[0]) * (1000 if "kHz" in n else 1) for n in analysis.names[0][:2]]
    assert middles == pytest.approx([500, 2000], rel=0.05)
    for row, wanted in enumerate((low, high)):
        found = analysis.synthesise(torch.eye(3)[row][None, :, None])[0].numpy()
        assert si_sdr(found, wanted) > 20


def test_components_are_ordered_by_their_centroids(listener):
    x = sum(tone(hz, level=0.2) * np.roll(np.linspace(0, 1, RATE), k * 900) for k, hz in enumerate((3000, 400, 1500)))
    names = analysed({"n": 3}, x[None].astype(np.float32), listener).names[0]
    middles = [float(n.split("around ")[1].split()[0]) * (1000 if "kHz" in n else 1) for n in names[:3]]
    assert middles == sorted(middles)
    assert names[3] == "residual"


def test_a_click_is_percussive_and_a_tone_harmonic(listener):
    click = np.zeros(RATE, np.float32)
    click[RATE // 2 : RATE // 2 + 8] = np.random.default_rng(0).standard_normal(8)
    steady = tone(1000, level=0.2)
    analysis = analysed({"source": "hpss"}, (click + steady)[None], listener)
    assert analysis.names[0] == ("harmonic", "percussive", "residual")
    harmonic, percussive, _ = (analysis.synthesise(torch.eye(3)[i][None, :, None])[0].numpy() for i in range(3))
    assert si_sdr(harmonic, steady) > 20
    assert si_sdr(percussive, click) > 10
    near = slice(RATE // 2 - 200, RATE // 2 + 200)
    assert np.square(percussive[near]).sum() > 0.95 * np.square(percussive).sum()


@pytest.mark.parametrize("magnitude", [np.zeros((9, 5)), np.random.default_rng(0).random((9, 5)), np.ones((9, 1))])
def test_shares_sum_to_one(magnitude):
    magnitude = magnitude.astype(np.float32)
    for found in (nmf(magnitude, np.arange(9.0), 3), hpss(magnitude, 100.0, 0.016)):
        assert found.names[-1] == RESIDUAL
        assert len(found.weights) == len(found.names)
        assert found.weights.min() >= 0
        np.testing.assert_allclose(found.weights.sum(0), 1, atol=1e-6)
        if not magnitude.any():
            assert (found.weights[-1] == 1).all()


def test_wiener_shares_by_power():
    found = wiener(np.array([[[3.0]], [[0.0]]]), np.array([[4.0]]))
    np.testing.assert_allclose(found[:, 0, 0], [9 / 25, 0, 16 / 25], atol=1e-6)
