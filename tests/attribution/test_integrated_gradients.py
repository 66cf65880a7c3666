from __future__ import annotations

import numpy as np
import pytest
import torch
from captum.attr import IntegratedGradients

import otoscope
from otoscope.attribution import Problem, attribute
from otoscope.classifiers import Inspected
from otoscope.domains import make_domain
from reference import attribution as slow
from worlds import RATE, band_energy, linear, spectral, tone_and_decoy


@pytest.mark.parametrize("steps", [1, 2, 7])
@pytest.mark.parametrize("density", [1.0, 3.0])
def test_on_a_linear_classifier_it_is_w_times_x_by_segment(ask, values, noise, steps, density):
    x, world = noise(403), linear(403)
    problem = ask(world, x, ms=10)
    expected = slow.linear_by_segment(world.network.weights.detach()[:, 0], x, RATE, problem.inspected.grid.times)
    if steps < 2 and density > 1:
        return  # one node cannot integrate density * u ** (density - 1)
    found = values(problem, "integrated_gradients", steps=steps, density=density, gap=1.0)[0, 0]
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("domain", ["stft", "mel", "time", "features"])
def test_it_is_captums_at_density_one(ask, values, noise, domain):
    problem = ask(spectral(), noise(4000), domain, target=1)
    captum = IntegratedGradients(problem.inspected, multiply_by_inputs=True)
    index = torch.zeros(9, dtype=torch.int64)
    captum.forward_func = lambda mask: problem.inspected(mask, index[: len(mask)])
    expected = captum.attribute(problem.inspected.ones(), n_steps=9, method="gausslegendre", target=1).numpy()
    found = values(problem, "integrated_gradients", steps=9, density=1.0, gap=1.0)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("domain", ["stft", "time", "features"])
def test_it_sums_to_the_difference_of_logits(ask, values, noise, domain):
    problem = ask(spectral(), noise(4000, batch=2), domain, target=[0, 3])
    inspected = problem.inspected
    with torch.no_grad():
        difference = problem.of_target(inspected(inspected.ones()) - inspected(0 * inspected.ones())).numpy()
    found = values(problem, "integrated_gradients", steps=48)
    np.testing.assert_allclose(found.sum((1, 2)), difference, atol=0.02 * np.abs(difference).max())


def test_density_finds_what_lies_near_silence(ask, values):
    """Log front ends change most within the first hundredth of the path: dense nodes there miss less of the sum."""
    world, x = band_energy(), tone_and_decoy(0.25)
    problem = ask(world, x, "stft", bands=16)
    with torch.no_grad():
        inspected = problem.inspected
        difference = float((inspected(inspected.ones()) - inspected(0 * inspected.ones()))[0, 0])
    missed = [
        abs(values(problem, "integrated_gradients", steps=12, density=d, gap=1.0).sum() - difference)
        for d in (1.0, 3.0)
    ]
    assert missed[1] < missed[0] / 3
    assert missed[1] < 0.02 * difference


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_chunks_do_not_matter(ask, values, noise, batch_size):
    x, world = noise(4000, batch=2), spectral()
    found = values(ask(world, x, batch_size=batch_size), "integrated_gradients", steps=5)
    np.testing.assert_allclose(found, values(ask(world, x), "integrated_gradients", steps=5), rtol=1e-3, atol=1e-6)


class Steps(torch.nn.Module):
    """A staircase of the level: a path on which few points see little."""

    def forward(self, x):
        level = x.square().mean(-1)
        return torch.stack([sum(torch.sigmoid(300 * (level * 10 - k / 9)) for k in range(1, 9)), 0 * level], 1)


def test_rough_paths_get_more_points_and_say_what_they_miss():
    model = otoscope.wrap(Steps(), sample_rate=8000, labels=2, outputs="logits", check=False)
    x = 0.3 * torch.randn(1, 4000, generator=torch.Generator().manual_seed(0))
    problem = Problem(Inspected(model, make_domain("time"), x), torch.tensor([0]))
    plain = attribute(problem, "integrated_gradients", {"steps": 6, "gap": 1.0})
    dense = attribute(problem, "integrated_gradients", {"steps": 6})
    change = float(model(x)[0, 0] - model(0 * x)[0, 0])
    for found in (plain, dense):
        assert float(found.facts["change"]) == pytest.approx(change, rel=1e-4)
        assert float(found.facts["gap"]) == pytest.approx(float(found.values.sum()) - change, rel=1e-3, abs=1e-4)
    assert abs(float(dense.facts["gap"])) < abs(float(plain.facts["gap"]))


def test_clips_of_a_batch_get_points_of_their_own():
    model = otoscope.wrap(Steps(), sample_rate=8000, labels=2, outputs="logits", check=False)
    x = torch.randn(3, 4000, generator=torch.Generator().manual_seed(0)) * torch.tensor([[0.3], [0.01], [0.2]])
    targets = torch.zeros(3, dtype=torch.int64)
    together = attribute(
        Problem(Inspected(model, make_domain("time"), x), targets), "integrated_gradients", {"steps": 6}
    ).values
    for i in range(3):
        alone = attribute(
            Problem(Inspected(model, make_domain("time"), x[i : i + 1]), targets[:1]),
            "integrated_gradients",
            {"steps": 6},
        )
        torch.testing.assert_close(together[i : i + 1], alone.values, rtol=1e-4, atol=1e-5)
