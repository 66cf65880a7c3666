from __future__ import annotations

import numpy as np
import pytest
from captum.attr import InputXGradient, Saliency

from reference import attribution as slow
from worlds import RATE, linear, spectral


@pytest.mark.parametrize("n", [80, 403])
def test_on_a_linear_classifier_it_is_w_times_x_by_segment(ask, values, noise, n):
    x, world = noise(n), linear(n)
    problem = ask(world, x, target=1, ms=10)
    expected = slow.linear_by_segment(world.network.weights.detach()[:, 1], x, RATE, problem.inspected.grid.times)
    found = values(problem, "input_x_gradient")[0, 0]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert found.sum() == pytest.approx(float(x @ world.network.weights.detach().numpy()[:, 1]), abs=1e-5)


@pytest.mark.parametrize("domain", ["stft", "mel", "time", "features"])
def test_it_is_captums_on_a_mask_of_ones(ask, values, noise, domain):
    problem = ask(spectral(), noise(4000), domain, target=1)
    found = values(problem, "input_x_gradient")
    tolerance = {"rtol": 1e-4, "atol": 1e-5 * np.abs(found).max()}
    for other, options in ((InputXGradient, {}), (Saliency, {"abs": False})):
        mask = problem.inspected.ones().requires_grad_(True)
        expected = other(problem.inspected).attribute(mask, target=1, **options).detach().numpy()
        np.testing.assert_allclose(found, expected, **tolerance)


def test_in_the_features_domain_it_counts_from_silence(ask, values, noise):
    problem = ask(spectral(), noise(4000), "features", target=1)
    analysis = problem.inspected.analysis
    features = analysis.features.clone().requires_grad_(True)
    problem.inspected.classifier.network(features)[:, 1].sum().backward()
    expected = (features.grad * (features.detach() - analysis.silence))[:, 0].numpy()
    np.testing.assert_allclose(values(problem, "input_x_gradient"), expected, rtol=1e-4, atol=1e-6)


def test_silence_has_nothing_to_take_away(ask, values):
    np.testing.assert_array_equal(values(ask(spectral(), np.zeros(4000), "mel"), "input_x_gradient"), 0)
