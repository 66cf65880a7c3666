from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import otoscope
from otoscope.attribution import attribute
from otoscope.attribution.rise import random_masks
from reference import attribution as slow
from worlds import RATE, spectral


class LoudnessOfOnePart(nn.Module):
    """Probability of the first class: 0.1 + 0.8 times the mean level of samples 3200 to 4000, of a clip of ones."""

    def forward(self, waveform):
        p = 0.1 + 0.8 * waveform[:, 3200:4000].mean(1).clamp(0, 1)
        return torch.stack([torch.logit(p), -torch.logit(p)], 1)


def known():
    return otoscope.wrap(LoudnessOfOnePart(), sample_rate=RATE, labels=["loud", "soft"], multilabel=True)


def test_on_a_known_score_the_cell_that_counts_has_its_slope_and_far_ones_nothing(ask):
    problem = ask(known(), np.ones(8000), ms=100, seed=1)
    result = attribute(problem, "rise", {"masks": 2000, "cells_freq": 1, "cells_time": 10})
    found, error = result.values[0, 0].numpy(), result.standard_error[0, 0].numpy()
    assert found.argmax() == 4
    assert 0.6 < found[4] < 0.85
    far = [0, 1, 2, 7, 8, 9]
    assert np.abs(found[far]).max() < 0.08
    assert (np.abs(found[far]) < 4.5 * error[far]).all()
    assert (error > 0).all()
    assert (error < 0.05).all()


@pytest.mark.parametrize("centred", [True, False])
def test_it_is_the_slow_twin(ask, centred):
    problem = ask(known(), np.ones(8000), ms=100, seed=3)
    masks = random_masks(20, (1, 10), (1, 4), 0.4, torch.Generator().manual_seed(3))
    scores = [float(problem.probability(m[None])) for m in masks]
    masks = masks.numpy()
    expected = slow.rise_centred(masks, scores) if centred else slow.rise_weighted(masks, scores, 0.4)
    options = {"masks": 20, "cells_freq": 1, "cells_time": 4, "keep": 0.4, "centred": centred}
    np.testing.assert_allclose(attribute(problem, "rise", options).values[0], expected, atol=1e-5)


def test_the_paper_s_form_is_never_negative_and_the_centred_one_is(ask, values, noise):
    problem = ask(spectral(), noise(4000), "mel")
    assert values(problem, "rise", masks=8, centred=False).min() >= 0
    assert values(problem, "rise", masks=8, centred=True).min() < 0


def test_a_score_that_never_changes_gives_nothing(ask, values):
    silent = np.ones(8000)
    silent[3200:4000] = 0
    np.testing.assert_allclose(values(ask(known(), silent, ms=100), "rise", masks=9), 0, atol=1e-6)


def test_standard_errors_shrink_with_the_root_of_the_number_of_masks(ask):
    problem = ask(known(), np.ones(8000), ms=100)
    few, many = (float(attribute(problem, "rise", {"masks": n}).standard_error.mean()) for n in (100, 1600))
    assert many == pytest.approx(few / 4, rel=0.25)


@pytest.mark.parametrize("centred", [True, False])
def test_it_stops_where_the_estimate_has_settled_whatever_the_other_clips_do(ask, centred):
    sounds = np.ones((3, 8000))
    sounds[1, :3600] = 0.3
    sounds[2, 3200:4000] = 0
    options = {"cells_freq": 1, "cells_time": 10, "centred": centred, "tolerance": 0.2}
    problem = ask(known(), sounds, ms=100, batch_size=5)
    result = attribute(problem, "rise", {"masks": 300, **options})
    used = result.facts["samples"]
    assert problem.inspected.passes == int(used.sum())
    assert int(used[0]) < 300
    assert centred is (int(used[2]) == 300)  # centred, the third has nothing that could settle
    for i in range(3):
        alone = attribute(ask(known(), sounds[i], ms=100), "rise", {"masks": 300, **options})
        assert alone.facts["samples"].tolist() == [int(used[i])]
        torch.testing.assert_close(result.values[i], alone.values[0], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(result.standard_error[i], alone.standard_error[0], atol=1e-5, rtol=1e-3)
    done = used < 300
    largest = result.values.abs().amax((1, 2))
    assert (result.standard_error.amax((1, 2)) < 0.2 * largest)[done].all()


def test_the_first_masks_are_those_of_a_run_that_takes_all(ask):
    problem = ask(known(), np.ones(8000), ms=100, seed=3)
    result = attribute(problem, "rise", {"masks": 640, "tolerance": 10.0})
    masks = random_masks(640, (1, 10), (8, 16), 0.5, torch.Generator().manual_seed(3))[:64]
    expected = slow.rise_centred(masks.numpy(), [float(problem.probability(m[None])) for m in masks])
    assert result.facts["samples"].tolist() == [64]
    np.testing.assert_allclose(result.values[0], expected, atol=1e-5)


def test_it_needs_no_gradients(ask, values):
    class Detached(LoudnessOfOnePart):
        def forward(self, waveform):
            return super().forward(waveform.detach()).detach()

    world = otoscope.wrap(Detached(), sample_rate=RATE, labels=["loud", "soft"], multilabel=True)
    expected = values(ask(known(), np.ones(8000)), "rise", masks=9)
    np.testing.assert_array_equal(values(ask(world, np.ones(8000)), "rise", masks=9), expected)


@given(
    shape=st.tuples(st.integers(1, 20), st.integers(1, 40)),
    cells=st.tuples(st.integers(1, 30), st.integers(1, 50)),
    keep=st.floats(0.01, 0.99),
    seed=st.integers(0, 9),
)
@settings(deadline=None, max_examples=40)
def test_random_masks_fit_any_grid(shape, cells, keep, seed):
    masks = random_masks(3, shape, cells, keep, torch.Generator().manual_seed(seed))
    assert masks.shape == (3, *shape)
    assert masks.min() >= 0
    assert masks.max() <= 1
    assert torch.equal(masks, random_masks(3, shape, cells, keep, torch.Generator().manual_seed(seed)))


@pytest.mark.parametrize("keep", [0.2, 0.7])
def test_every_cell_of_random_masks_is_kept_as_often_as_said(keep):
    masks = random_masks(3000, (6, 9), (3, 4), keep, torch.Generator().manual_seed(0))
    np.testing.assert_allclose(masks.mean(0), keep, atol=0.04)
    assert masks.var(0).min() > 0.05
