from __future__ import annotations

import numpy as np
import torch
from captum.attr import Saliency

from reference import attribution as slow
from worlds import RATE, linear, spectral


def test_on_a_linear_classifier_it_is_the_segment_sum_over_the_amplitude(ask, values, noise):
    x, world = noise(403), linear(403)
    problem = ask(world, x, target=1, ms=10)
    times = problem.inspected.grid.times
    weights = world.network.weights.detach().numpy()[:, 1]
    expected = slow.linear_by_segment(weights, x, RATE, times) / slow.amplitude_by_segment(x, RATE, times)
    np.testing.assert_allclose(values(problem, "gradient")[0, 0], expected, rtol=1e-4, atol=1e-6)


def test_cells_that_hold_nothing_get_nothing(ask, values, noise):
    x = noise(800)
    x[400:] = 0
    found = values(ask(linear(800), x, ms=10), "gradient")[0, 0]
    assert found.shape == (10,)
    assert (found[:5] != 0).all()
    assert (found[6:] == 0).all()


def test_silence_gives_zeros_not_nan(ask, values):
    assert (values(ask(spectral(), np.zeros(4000), "stft", bands=8), "gradient") == 0).all()


def test_it_is_signed_captum_saliency_by_amplitude(ask, values, noise):
    problem = ask(spectral(), noise(4000), "mel", target=2, bands=12, ms=40)
    mask = problem.inspected.ones().requires_grad_(True)
    by_mask = Saliency(problem.inspected).attribute(mask, target=2, abs=False)
    expected = (by_mask / problem.inspected.analysis.amplitude()).numpy()
    found = values(problem, "gradient")
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
    assert (found < 0).any()
    assert (found > 0).any()


def test_a_louder_clip_has_the_same_gradient_on_a_linear_classifier(ask, values, noise):
    x, world = noise(400), linear(400)
    soft, loud = (values(ask(world, g * x, ms=10), "gradient") for g in (1.0, 8.0))
    np.testing.assert_allclose(loud, soft, rtol=1e-4)


def test_it_costs_one_pass(ask, values, noise):
    problem = ask(spectral(), noise(4000, batch=3), "stft", bands=8)
    values(problem, "gradient")
    assert problem.inspected.passes == 3


def test_gradients_of_each_clip_are_for_its_own_target(ask, values, noise):
    x, world = noise(4000), spectral()
    both = values(ask(world, np.stack([x, x]), "time", target=[0, 3]), "gradient")
    for row, target in zip(both, (0, 3), strict=True):
        np.testing.assert_allclose(row[None], values(ask(world, x, target=target), "gradient"), rtol=1e-3, atol=1e-6)
    assert not torch.allclose(*map(torch.from_numpy, both), rtol=0.1)
