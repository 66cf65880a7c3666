from __future__ import annotations

import numpy as np
import pytest
import torch
from captum.attr import (
    DeepLift,
    FeatureAblation,
    GuidedBackprop,
    InputXGradient,
    IntegratedGradients,
    LayerGradCam,
    NeuronGradient,
    NoiseTunnel,
    Occlusion,
    Saliency,
)
from torch import nn

import otoscope
from otoscope.core.errors import OtoscopeError, ParameterError, UnsupportedError
from worlds import RATE, band_energy, spectral, tone_and_decoy


@pytest.fixture
def problem(ask, noise):
    return ask(spectral(), noise(4000), "mel", target=1)


def test_a_class_and_an_object_give_our_values(problem, values):
    expected = values(problem, "input_x_gradient")
    for method in (InputXGradient, InputXGradient(nn.Linear(3, 3)), InputXGradient(problem.inspected)):
        np.testing.assert_allclose(values(problem, method), expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(values(problem, Saliency, abs=False), expected, rtol=1e-4, atol=1e-6)


def test_settings_reach_captum(problem, values):
    expected = values(problem, "integrated_gradients", steps=7, density=1.0, gap=1.0)
    found = values(problem, IntegratedGradients, n_steps=7)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


def test_the_objects_own_model_is_neither_asked_nor_replaced(problem, values):
    class Refuses(nn.Module):
        def forward(self, x):
            raise AssertionError("asked")

    theirs = Refuses()
    for method in (Saliency(theirs), DeepLift(theirs), NoiseTunnel(Saliency(theirs))):
        values(problem, method)
        inner = getattr(method, "attribution_method", method)
        assert inner.forward_func is theirs
    assert not theirs._forward_hooks


@pytest.mark.parametrize("method", [IntegratedGradients, Saliency, DeepLift, FeatureAblation])
def test_a_batch_gives_what_single_clips_give(ask, noise, values, method):
    x, world, targets = noise(4000, batch=3), spectral(), [1, 0, 2]
    coarse = {"bands": 3, "ms": 100}
    settings = {"n_steps": 4} if method is IntegratedGradients else {}
    batch = values(ask(world, x, "mel", targets, **coarse), method, **settings)
    assert np.abs(batch).max() > 0
    for i in range(3):
        alone = values(ask(world, x[i], "mel", targets[i], **coarse), method, **settings)[0]
        np.testing.assert_allclose(batch[i], alone, rtol=1e-3, atol=1e-5)


def test_the_noise_of_a_noise_tunnel_is_on_the_mask(problem, values):
    torch.manual_seed(0)
    found = values(problem, NoiseTunnel(Saliency(problem.inspected)), nt_samples=20, stdevs=0.1, abs=False)
    expected = values(problem, "smooth_grad", samples=20, noise=0.1, times_input=True)
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.9


def test_rules_for_layers_reach_the_classifiers_layers(ask, noise, values):
    """Guided backpropagation changes what ReLU layers give back; a bridge that hid the layers would give plain gradients."""
    world = spectral()
    problem = ask(world, noise(4000), "features", target=1)
    found = values(problem, GuidedBackprop(nn.Sequential(nn.ReLU())))
    analysis = problem.inspected.analysis
    features = analysis.features.clone().requires_grad_(True)
    with pytest.warns(UserWarning, match="Setting backward hooks"):
        guided = GuidedBackprop(world.network).attribute(features, target=1).detach()
    expected = (guided * (analysis.features - analysis.silence))[:, 0].numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5 * np.abs(expected).max())
    assert not np.allclose(found, values(problem, "input_x_gradient"), rtol=1e-2)
    assert not any(m._forward_hooks or m._forward_pre_hooks or m._backward_hooks for m in world.modules())


@pytest.mark.parametrize(
    "method",
    [
        pytest.param(lambda world: LayerGradCam(world, world.network[3]), id="layer object"),
        pytest.param(lambda world: LayerGradCam, id="layer class"),
        pytest.param(lambda world: NeuronGradient(world, world.network[3]), id="neuron object"),
        pytest.param(lambda world: Occlusion, id="a required setting is missing"),
    ],
)
def test_what_cannot_be_asked_about_a_mask_is_refused(problem, values, method):
    with pytest.raises(UnsupportedError, match="cannot explain a mask"):
        values(problem, method(problem.inspected.classifier))


@pytest.mark.parametrize("method", [object(), 3, None, int, dict, nn.Linear(2, 2), np.mean])
def test_what_is_no_attribution_is_refused(problem, values, method):
    with pytest.raises(ParameterError, match="a method is a name or a captum attribution object"):
        values(problem, method)


def test_more_than_one_tensor_is_refused(problem, values):
    with pytest.raises(UnsupportedError, match="returned tuple, not one tensor"):
        values(problem, IntegratedGradients, n_steps=2, return_convergence_delta=True)


def test_a_classifier_without_gradients_is_named(ask, values, noise):
    class Detached(nn.Module):
        def forward(self, waveform):
            return waveform[:, :2].detach()

    world = otoscope.wrap(Detached(), sample_rate=8000, labels=2)
    with pytest.raises(OtoscopeError, match="gives no gradients"):
        values(ask(world, noise(800)), InputXGradient)


def test_from_the_front_door():
    sounds = [tone_and_decoy(0.5), 0.5 * tone_and_decoy(0.5)]
    made = otoscope.explain(
        sounds,
        band_energy(),
        sample_rate=8000,
        method=IntegratedGradients(nn.Linear(2, 2)),
        domain="stft,bands=16",
        target="tone",
    )
    assert [e.attribution.method for e in made] == ["captum:IntegratedGradients"] * 2
    assert all(np.isfinite(e.attribution.values).all() for e in made)
    assert all(e.scores.kept[0] > e.scores.original[0] for e in made)


def test_the_seed_makes_captums_random_methods_repeatable_and_leaves_the_global_generator_alone():
    model = band_energy()
    noise = NoiseTunnel(Saliency(torch.nn.Linear(2, 2)))
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    runs = [
        otoscope.explain(tone_and_decoy(), model, sample_rate=RATE, method=noise, target=0, seed=s).attribution.values
        for s in (1, 1, 2)
    ]
    assert torch.equal(before, torch.random.get_rng_state())
    assert (runs[0] == runs[1]).all()
    assert (runs[0] != runs[2]).any()
