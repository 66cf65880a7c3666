from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import otoscope
from otoscope.attribution import attribute
from otoscope.attribution.rise import CellMasks
from reference import attribution as slow
from worlds import RATE, spectral


def random_masks(n, shape, cells, keep, rng):
    masks = CellMasks(n, shape, cells, keep, rng)
    return masks(torch.arange(n), torch.zeros(n, dtype=torch.int64))


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
    assert int(used[2]) == 64  # its score never changes
    for i in range(3):
        alone = attribute(ask(known(), sounds[i], ms=100), "rise", {"masks": 300, **options})
        assert alone.facts["samples"].tolist() == [int(used[i])]
        torch.testing.assert_close(result.values[i], alone.values[0], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(result.standard_error[i], alone.standard_error[0], atol=1e-5, rtol=1e-3)
    done = used < 300
    largest = result.values.abs().amax((1, 2))
    assert (result.standard_error.amax((1, 2)) <= 0.2 * largest)[done].all()


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


def test_masks_are_the_same_in_any_order_and_chunk():
    drawn = CellMasks(9, (6, 20), (3, 7), 0.5, torch.Generator().manual_seed(0))
    whole = drawn(torch.arange(9), torch.zeros(9, dtype=torch.int64))
    some = torch.tensor([7, 0, 7])
    assert torch.equal(drawn(some, 0 * some), whole[some])


def test_a_long_clip_needs_no_room_for_all_its_masks(ask, monkeypatch):
    """Of 400 masks no more than a batch is ever held at its full size."""
    most, plain = [], CellMasks.__call__
    monkeypatch.setattr(CellMasks, "__call__", lambda self, s, c: most.append(len(s)) or plain(self, s, c))
    attribute(ask(known(), np.ones(8000), ms=100, batch_size=7), "rise", {"masks": 400})
    assert max(most) == 7
    assert sum(most) == 400


def test_errors_are_those_of_the_mean_of_weighted_masks(ask):
    problem = ask(known(), np.ones(8000), ms=100, seed=3)
    masks = random_masks(50, (1, 10), (1, 4), 0.5, torch.Generator().manual_seed(3)).double()
    scores = torch.cat([problem.probability(m[None].float()) for m in masks]).double()[:, None, None]
    masks = masks - masks.mean(0)
    each = (scores - scores.mean(0)) * masks / masks.square().mean(0)
    result = attribute(problem, "rise", {"masks": 50, "cells_freq": 1, "cells_time": 4})
    np.testing.assert_allclose(result.values[0], each.mean(0), atol=1e-6)
    np.testing.assert_allclose(result.standard_error[0], each.std(0, correction=0) / 49**0.5, rtol=1e-4)


@pytest.mark.parametrize("large", [30, 38])
def test_of_segments_each_is_drawn_as_one(ask, large):
    """A segment of most of the clip, and the one that counts: masks of cells would average to half a gain in the large one."""
    labels = torch.zeros(1, 1, 40, dtype=torch.int64)
    labels[..., 16:20], labels[..., large:] = 1, 2
    made = known()
    problem = ask(made, np.ones(8000), ms=25, seed=1)
    analysis = problem.inspected.analysis
    analysis.segments = lambda: labels
    seen = []
    plain = analysis.synthesise
    analysis.synthesise = lambda mask, index=None: seen.append(mask) or plain(mask, index)
    result = attribute(problem, "rise", {"masks": 400})
    masks = torch.cat(seen)
    assert set(masks.unique().tolist()) == {0, 1}
    for unit in range(3):
        own = masks[:, labels[0] == unit]
        assert (own == own[:, :1]).all()
        assert float(own.mean()) == pytest.approx(0.5, abs=0.1)
    found = result.values[0, 0]
    assert found[17] > 0.5
    assert abs(found[0]) < 0.2
    units = masks[:, 0, [0, 16, 39]].double()
    scores = torch.cat([problem.probability(m[None]) for m in masks]).double()[:, None]
    each = (scores - scores.mean(0)) * (units - units.mean(0)) / units.var(0, correction=0)
    np.testing.assert_allclose(found[[0, 16, 39]], each.mean(0), atol=1e-5)
    error = result.standard_error[0, 0][[0, 16, 39]]
    np.testing.assert_allclose(error, each.std(0, correction=0) / 399**0.5, rtol=1e-3)
