from __future__ import annotations

import numpy as np
import pytest
import torch

from otoscope.attribution import attribute
from otoscope.attribution.background import BackgroundBlend
from otoscope.attribution.gradient_shap import _drawn
from reference import attribution as slow
from worlds import RATE, linear, spectral


def test_on_a_linear_classifier_it_is_w_times_x_by_segment(ask, noise):
    x, world = noise(403), linear(403)
    problem = ask(world, x, ms=10)
    expected = slow.linear_by_segment(world.network.weights.detach()[:, 0], x, RATE, problem.inspected.grid.times)
    result = attribute(problem, "gradient_shap", {"samples": 5, "density": 1.0})
    np.testing.assert_allclose(result.values[0, 0], expected, atol=1e-6)
    assert float(result.standard_error.max()) < 1e-3 * np.abs(expected).max()


@pytest.mark.parametrize("density", [1.0, 3.0])
def test_mean_and_standard_error_are_those_of_the_samples(ask, noise, monkeypatch, density):
    """The slow twin: one sample at a time, from the same random numbers."""
    backgrounds = torch.from_numpy(noise(4000, 3, seed=4))
    monkeypatch.setattr("otoscope.attribution.background.background_waveforms", lambda *_: backgrounds)
    problem = ask(spectral(), noise(4000), "mel", seed=5, bands=6, ms=50)
    which, place, weight = _drawn(20, 3, density, torch.Generator().manual_seed(5))
    copies = []
    for b, p, w in zip(which, place, weight, strict=True):
        mask = (p * problem.inspected.ones()).requires_grad_(True)
        score = BackgroundBlend(problem.inspected, backgrounds[int(b)][None])(mask)[0, 0]
        copies.append((w * torch.autograd.grad(score, mask)[0][0]).double().numpy())
    result = attribute(problem, "gradient_shap", {"samples": 20, "density": density, "background": "x"})
    largest = np.abs(copies).max()
    np.testing.assert_allclose(result.values[0], np.mean(copies, 0), atol=1e-4 * largest)
    np.testing.assert_allclose(result.standard_error[0], np.std(copies, 0, ddof=1) / 20**0.5, atol=2e-3 * largest)


@pytest.mark.parametrize("density", [1.0, 2.0, 5.0])
def test_points_count_so_that_the_path_counts_evenly(density):
    which, place, weight = _drawn(200_000, 4, density, torch.Generator().manual_seed(0))
    assert 0 <= float(place.min()) <= float(place.max()) <= 1
    for power in (0, 1, 2):
        assert abs(float((weight * place**power).mean()) - 1 / (power + 1)) < 0.02
    assert torch.bincount(which).min() > 49_000


def test_with_many_samples_it_nears_integrated_gradients_and_the_sum(ask, noise, values):
    problem = ask(spectral(), noise(4000), "mel", bands=6, ms=50)
    expected = values(problem, "integrated_gradients", steps=300)
    result = attribute(problem, "gradient_shap", {"samples": 600})
    off = np.abs(result.values.numpy() - expected) / result.standard_error.numpy().clip(1e-9)
    assert off.mean() < 1.5
    assert off.max() < 5
    few = attribute(problem, "gradient_shap", {"samples": 20})
    assert float(few.standard_error.mean()) > 3 * float(result.standard_error.mean())


def test_a_settled_clip_stops_early_and_alone(ask, noise):
    x = np.stack([noise(4000), 0.01 * noise(4000, seed=3)])
    settings = {"samples": 400, "tolerance": 0.2}
    both = attribute(ask(spectral(), x, "mel", bands=4, ms=125), "gradient_shap", settings)
    used = both.facts["samples"].tolist()
    assert all(16 <= n < 400 for n in used)
    for i in range(2):
        alone = attribute(ask(spectral(), x[i], "mel", bands=4, ms=125, batch_size=3), "gradient_shap", settings)
        assert alone.facts["samples"].tolist() == [used[i]]
        torch.testing.assert_close(alone.values[0], both.values[i], rtol=1e-3, atol=1e-5)
        largest = both.values[i].abs().max()
        assert float(both.standard_error[i].max()) < 0.2 * float(largest)
    problem = ask(spectral(), x, "mel", bands=4, ms=125)
    attribute(problem, "gradient_shap", settings)
    assert problem.inspected.passes == sum(used)
