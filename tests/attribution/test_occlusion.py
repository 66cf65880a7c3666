from __future__ import annotations

import numpy as np
import pytest
import torch
from captum.attr import FeatureAblation

from otoscope.attribution import attribute
from otoscope.core import registry
from otoscope.core.errors import ParameterError
from reference import attribution as slow
from worlds import RATE, linear, spectral


@pytest.mark.parametrize("patches", [1, 3, 7, 10])
def test_on_a_linear_classifier_it_is_the_sum_of_each_patch_shared_by_its_cells(ask, values, noise, patches):
    x, world = noise(800), linear(800)
    problem = ask(world, x, ms=10)
    by_segment = slow.linear_by_segment(world.network.weights.detach()[:, 0], x, RATE, problem.inspected.grid.times)
    found = values(problem, "occlusion", patches_time=patches)[0, 0]
    np.testing.assert_allclose(found, slow.occlude_linear(by_segment, patches), atol=1e-5)
    assert found.sum() == pytest.approx(by_segment.sum(), abs=1e-5)


@pytest.mark.parametrize("domain", ["stft", "mel", "features"])
def test_it_is_captums_feature_ablation_shared_by_the_cells(ask, values, noise, domain):
    problem = ask(spectral(), noise(4000), domain, target=1)
    bands, frames = problem.shape
    patch = (torch.arange(bands) * 3 // bands)[:, None] * 4 + (torch.arange(frames) * 4 // frames)[None]
    captum = FeatureAblation(problem.inspected)
    drop = captum.attribute(problem.inspected.ones(), target=1, baselines=0, feature_mask=patch[None]).detach()
    cells = torch.bincount(patch.flatten())[patch]
    expected = (drop[0] / cells).numpy()
    found = values(problem, "occlusion", patches_freq=3, patches_time=4)[0]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())
    assert len(np.unique(patch)) == 12


def test_cells_of_one_patch_share_one_value(ask, values, noise):
    found = values(ask(spectral(), noise(4000), "stft", bands=8, ms=25), "occlusion", patches_freq=2, patches_time=5)[0]
    assert found.shape == (8, 10)
    blocks = found.reshape(2, 4, 5, 2).transpose(0, 2, 1, 3).reshape(10, 8)
    np.testing.assert_array_equal(blocks, np.repeat(blocks[:, :1], 8, 1))
    assert len(np.unique(blocks[:, 0])) == 10


def test_more_patches_than_cells_are_one_each(ask, values, noise):
    problem = ask(linear(400), noise(400), ms=10)
    found = values(problem, "occlusion", patches_freq=512, patches_time=4096)
    assert problem.inspected.passes == 1 + 5
    np.testing.assert_allclose(found, values(problem, "input_x_gradient"), atol=1e-6)


def test_what_a_patch_of_silence_takes_is_nothing(ask, values, noise):
    x = noise(800)
    x[:440] = 0
    found = values(ask(linear(800), x, ms=10), "occlusion", patches_time=10)[0, 0]
    np.testing.assert_allclose(found[:5], 0, atol=1e-6)
    assert np.abs(found[6:]).min() > 1e-4


@pytest.mark.parametrize("batch_size", [1, 5, 100])
def test_chunks_do_not_matter(ask, values, noise, batch_size):
    x, world = noise(4000, batch=2), spectral()
    found = values(ask(world, x, "mel", batch_size=batch_size), "occlusion", patches_freq=2, patches_time=3)
    expected = values(ask(world, x, "mel"), "occlusion", patches_freq=2, patches_time=3)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-6)


def drop(problem, mask):
    return float(problem.score(problem.inspected.ones()) - problem.score(mask))


def test_of_many_components_each_is_silenced_by_itself(ask, values, noise):
    problem = ask(linear(4000), noise(4000), "components", n=14)
    found = values(problem, "occlusion")[0, :, 0]
    assert problem.inspected.passes == 1 + 15
    for row in range(15):
        mask = problem.inspected.ones()
        mask[0, row] = 0
        assert found[row] == pytest.approx(drop(problem, mask), abs=1e-5)


def test_of_superpixels_each_is_silenced_by_itself_and_wholly(ask, values, noise):
    problem = ask(spectral(), noise(8000, batch=2), "superpixels", target=[0, 2], n=12, batch_size=5)
    labels = problem.inspected.analysis.segments()
    found = values(problem, "occlusion")
    assert problem.inspected.passes == 2 + sum(int(own.max()) + 1 for own in labels)
    full = problem.score(problem.inspected.ones())
    for clip in range(2):
        for unit in labels[clip].unique():
            there = labels[clip] == unit
            left = problem.score((~there).float()[None], torch.tensor([clip]))
            drop = float(full[clip] - left) / int(there.sum())
            np.testing.assert_allclose(found[clip][there], drop, rtol=1e-3, atol=1e-6)


def test_more_segments_than_passes_are_refused(ask, noise):
    options = {"patches_freq": 4, "patches_time": 4}
    problem = ask(spectral(), noise(16000), "superpixels", n=300)
    with pytest.raises(ParameterError, match=r"segments, and occlusion silences at most 128 with patches_freq=4"):
        attribute(problem, "occlusion", options)
    assert problem.inspected.passes == 0
    assert registry.get("method", "occlusion").facts["passes"](**options) == 129
