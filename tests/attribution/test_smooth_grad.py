from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

from otoscope.attribution import attribute
from worlds import linear, spectral


def test_without_noise_it_is_the_gradient(ask, values, noise):
    problem = ask(spectral(), noise(4000), "mel")
    for times_input, plain in ((False, "gradient"), (True, "input_x_gradient")):
        found = values(problem, "smooth_grad", samples=2, noise=0.0, times_input=times_input)
        np.testing.assert_allclose(found, values(problem, plain), rtol=1e-3, atol=1e-5)


def test_on_a_linear_classifier_noise_does_not_matter(ask, noise):
    problem = ask(linear(400), noise(400), ms=10)
    result = attribute(problem, "smooth_grad", {"samples": 5, "noise": 3.0})
    torch.testing.assert_close(result.values, attribute(problem, "gradient").values, rtol=1e-4, atol=1e-5)
    assert float(result.standard_error.max()) < 1e-3 * float(result.values.abs().max())


@pytest.mark.parametrize("times_input", [False, True])
def test_mean_and_standard_error_are_those_of_the_copies(ask, noise, times_input):
    """The slow twin: one noisy copy at a time, from the same random numbers."""
    problem = ask(spectral(), noise(4000), "mel", seed=5, bands=6, ms=50)
    draws = torch.randn(6, *problem.shape, generator=torch.Generator().manual_seed(5))
    copies = np.stack([problem.gradient(1 + 0.4 * d[None])[0].double().numpy() for d in draws])
    if not times_input:
        copies /= problem.inspected.analysis.amplitude()[0].double().numpy()
    result = attribute(problem, "smooth_grad", {"samples": 6, "noise": 0.4, "times_input": times_input})
    largest = np.abs(copies).max()
    np.testing.assert_allclose(result.values[0], copies.mean(0), atol=1e-5 * largest)
    np.testing.assert_allclose(result.standard_error[0], copies.std(0, ddof=1) / 6**0.5, atol=1e-3 * largest)


def test_one_copy_has_no_standard_error(ask, noise):
    assert attribute(ask(linear(400), noise(400)), "smooth_grad", {"samples": 1}).standard_error is None


def test_more_noise_moves_further_from_the_gradient(ask, values, noise):
    problem = ask(spectral(), noise(4000), "stft", bands=8)
    plain = values(problem, "gradient")
    near, far = (np.abs(values(problem, "smooth_grad", samples=4, noise=n) - plain).mean() for n in (0.01, 1.0))
    assert near < far / 5


def test_silence_stays_silence(ask, values):
    found = values(ask(spectral(), np.zeros(4000), "stft", bands=8), "smooth_grad", samples=3)
    np.testing.assert_array_equal(found, 0)


@pytest.mark.parametrize("times_input", [False, True])
def test_it_stops_where_the_estimate_has_settled_whatever_the_other_clips_do(ask, noise, times_input):
    world, x = spectral(), noise(4000, batch=3)
    x[1:] *= np.array([[1e-3], [30]], np.float32)
    options = {"samples": 40, "noise": 0.3, "times_input": times_input, "tolerance": 0.1}
    make = partial(ask, world, domain="mel", bands=6, ms=50)
    problem = make(x, target=[0, 1, 2], batch_size=5)
    result = attribute(problem, "smooth_grad", options)
    used = result.facts["samples"]
    assert problem.inspected.passes == int(used.sum()) < 120
    assert len(used.unique()) > 1
    for i in range(3):
        alone = attribute(make(x[i], target=i), "smooth_grad", options)
        n = int(used[i])
        assert alone.facts["samples"].tolist() == [n]
        largest = float(alone.values.abs().max())
        torch.testing.assert_close(result.values[i], alone.values[0], rtol=1e-3, atol=1e-4 * largest)
        first = attribute(make(x[i], target=i), "smooth_grad", {**options, "samples": n, "tolerance": 0.0})
        if n == 40:
            torch.testing.assert_close(result.values[i], first.values[0], rtol=1e-3, atol=1e-4 * largest)
        else:
            assert float(result.standard_error[i].max()) < 0.1 * largest
