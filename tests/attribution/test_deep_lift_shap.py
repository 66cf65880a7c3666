from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from captum.attr import DeepLift
from torch import nn
from torch.nn import functional

import otoscope
from otoscope.attribution import attribute
from otoscope.attribution.background import BackgroundBlend
from otoscope.core import registry
from otoscope.core.errors import ParameterError, UnsupportedError
from reference import attribution as slow
from worlds import RATE, linear, spectral

DOMAINS = ("stft", "mel", "time", "features")


@pytest.fixture
def sounds(tmp_path, monkeypatch, noise):
    """A folder of three sounds of one class."""
    from otoscope.audio import write_wav
    from otoscope.core.records import Clip

    monkeypatch.setenv("OTOSCOPE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "sounds").mkdir()
    for i in range(3):
        write_wav(tmp_path / "sounds" / f"{i}.wav", Clip(noise(4000, 1, seed=i + 5) * (i + 1), 16000))
    return str(tmp_path / "sounds")


class Functional(nn.Module):
    """Nothing of its nonlinearity is a module."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2, self.gate, self.out = (
            nn.Conv2d(1, 8, 3),
            nn.Conv2d(8, 8, 3),
            nn.Linear(8, 8),
            nn.Linear(8, 4),
        )

    def forward(self, x):
        x = functional.hardswish(functional.max_pool2d(torch.relu(self.conv1(x)), 2))
        x = x * torch.sigmoid(self.gate(x.mean((2, 3))))[:, :, None, None]
        x = functional.relu(self.conv2(x), inplace=True)
        return self.out(x.amax(3).amax(2) + x.mean((2, 3)))


def functional_world():
    torch.manual_seed(1)
    return otoscope.wrap(Functional(), sample_rate=16000, labels=list("abcd"), frontend=spectral().frontend).eval()


@pytest.mark.parametrize("world", [spectral, functional_world])
@pytest.mark.parametrize("domain", DOMAINS)
def test_values_sum_to_the_change_of_the_logit_from_silence(ask, noise, values, domain, world):
    problem = ask(world(), noise(4000, 3), domain, target=[0, 3, 1])
    found, ones = values(problem, "deep_lift_shap"), problem.inspected.ones()
    with torch.no_grad():
        change = problem.of_target(problem.inspected(ones) - problem.inspected(0 * ones)).double()
    np.testing.assert_allclose(found.sum((1, 2)), change, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("domain", DOMAINS)
def test_values_sum_to_the_change_of_the_logit_from_the_mean_of_a_background(ask, noise, sounds, domain):
    problem = ask(functional_world(), noise(4000, 2), domain, target=[2, 1])
    result = attribute(problem, "deep_lift_shap", {"background": sounds, "per_class": 3})
    heard = torch.stack([torch.from_numpy(noise(4000, 1, seed=i + 5)[0] * (i + 1)) for i in range(3)])
    with torch.no_grad():
        theirs = problem.inspected.classifier(heard)[:, problem.targets].mean(0)
        own = problem.of_target(problem.inspected.original())
    np.testing.assert_allclose(result.values.sum((1, 2)), own - theirs, rtol=1e-3, atol=1e-3)


def test_mean_and_standard_error_are_those_of_single_backgrounds(ask, noise, sounds):
    problem = ask(spectral(), noise(4000, 2), "mel", batch_size=4, bands=6, ms=50)
    result = attribute(problem, "deep_lift_shap", {"background": sounds, "per_class": 3})
    heard = torch.stack([torch.from_numpy(noise(4000, 1, seed=i + 5)[0] * (i + 1)) for i in range(3)])
    from otoscope.attribution.deep_lift_shap import _contributions

    index = torch.arange(2)
    singles = np.stack(
        [
            _contributions(problem, BackgroundBlend(problem.inspected, heard[[i]]), index, 0 * index)[0].numpy()
            for i in range(3)
        ]
    )
    largest = np.abs(singles).max()
    np.testing.assert_allclose(result.values, singles.mean(0), atol=2e-3 * largest)
    np.testing.assert_allclose(result.standard_error, singles.std(0, ddof=1) / 3**0.5, atol=5e-3 * largest)
    assert attribute(problem, "deep_lift_shap").standard_error is None


def test_passes_are_two_for_each_background(ask, noise, sounds):
    problem = ask(spectral(), noise(4000, 2), "mel")
    attribute(problem, "deep_lift_shap", {"background": sounds, "per_class": 2})
    assert problem.inspected.passes == 2 * 2 * 2
    entry = registry.get("method", "deep_lift_shap")
    assert entry.facts["passes"](background=sounds, per_class=2) == 4
    assert entry.facts["passes"](**entry.settings(None)) == 2


def test_on_a_linear_classifier_it_is_w_times_x_by_segment(ask, values, noise):
    x, world = noise(403), linear(403)
    problem = ask(world, x, ms=10)
    expected = slow.linear_by_segment(world.network.weights.detach()[:, 0], x, RATE, problem.inspected.grid.times)
    np.testing.assert_allclose(values(problem, "deep_lift_shap")[0, 0], expected, atol=1e-6)


def test_in_the_features_domain_it_is_captums(ask, noise, values):
    world = spectral()
    problem = ask(world, noise(4000, 2), "features", target=1)
    analysis = problem.inspected.analysis
    silent = torch.full_like(analysis.features, analysis.silence)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = DeepLift(world.network).attribute(analysis.features, silent, target=1).detach()[:, 0].numpy()
    np.testing.assert_allclose(
        values(problem, "deep_lift_shap"), expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max()
    )


def test_wrong_backgrounds_are_refused(ask, noise):
    problem = ask(spectral(), noise(4000), "mel")
    with pytest.raises(ParameterError, match="the background 'nowhere' is not there"):
        attribute(problem, "deep_lift_shap", {"background": "nowhere"})
    with pytest.raises(ParameterError, match="per_class must lie in"):
        attribute(problem, "deep_lift_shap", {"per_class": 0})


def test_a_classifier_that_decides_by_the_sound_what_to_do_is_refused(ask, noise):
    class Moody(nn.Module):
        def forward(self, x):
            x = x.tanh() if float(x.detach().abs().max()) > 0.01 else x.sigmoid()
            return x[:, :2]

    world = otoscope.wrap(Moody(), sample_rate=RATE, labels=2)
    with pytest.raises(UnsupportedError, match="runs other operations on a clip than on its reference"):
        attribute(ask(world, noise(400)), "deep_lift_shap")


@pytest.mark.parametrize("name", ["esc10-mn", "esc10-cnn"])
def test_on_the_built_in_classifiers_the_sum_is_exact(ask, noise, name):
    world = otoscope.load_classifier(name)
    problem = ask(world, noise(world.sample_rate, 2), "mel", target=[3, 0])
    ones = problem.inspected.ones()
    with torch.no_grad():
        change = problem.of_target(problem.inspected(ones) - problem.inspected(0 * ones))
    found = attribute(problem, "deep_lift_shap").values.sum((1, 2))
    torch.testing.assert_close(found, change, rtol=1e-4, atol=1e-4)


def test_the_gap_tells_where_the_sum_is_not_kept(ask, noise, sounds):
    class Sorts(nn.Module):
        def forward(self, x):
            return (x * x).sort(1).values[:, ::2].sum(1, keepdim=True) * torch.tensor([1.0, -1.0])

    options = {"background": sounds, "per_class": 3}
    kept = attribute(ask(spectral(), noise(4000, 2), "mel"), "deep_lift_shap", options).facts["gap"]
    assert kept.shape == (2,)
    assert kept.abs().max() < 1e-3
    problem = ask(otoscope.wrap(Sorts(), sample_rate=16000, labels=2), noise(4000, 2))
    result = attribute(problem, "deep_lift_shap", options)
    heard = torch.stack([torch.from_numpy(noise(4000, 1, seed=i + 5)[0] * (i + 1)) for i in range(3)])
    with torch.no_grad():
        change = problem.of_target(problem.inspected.original()) - problem.inspected.classifier(heard)[:, 0].mean()
    torch.testing.assert_close(result.facts["gap"], result.values.sum((1, 2)) - change, rtol=1e-3, atol=1e-2)
    assert result.facts["gap"].abs().max() > 1


def test_the_seed_chooses_the_sounds(ask, noise, sounds):
    found = [
        attribute(
            ask(spectral(), noise(4000), "mel", seed=s), "deep_lift_shap", {"background": sounds, "per_class": 1}
        ).values
        for s in range(4)
    ]
    assert any(not torch.equal(found[0], other) for other in found[1:])
    assert not registry.get("method", "deep_lift_shap").facts["deterministic"]
