from __future__ import annotations

import numpy as np
import pytest
import torch

from otoscope.attribution import attribute
from otoscope.attribution.sampling import Draws, Moments, still
from worlds import linear, spectral


def no_estimate(clips, n):
    raise AssertionError("asked for an estimate")


def go(draws):
    """All pairs, in order."""
    return [(int(s), int(c)) for chunk in draws for s, c in zip(*chunk, strict=True)]


def test_without_tolerance_every_clip_gets_every_sample_in_the_order_of_chunks(ask, noise):
    problem = ask(linear(400), noise(400, batch=3), batch_size=4)
    draws = Draws(problem, 70, 0.0, no_estimate, block=8)
    assert go(draws) == [(s, c) for s in range(70) for c in range(3)]
    assert [len(c) for c, _ in draws][:-1] == [4] * 52
    for (sample, clip), (s, c) in zip(draws, problem.chunks(70), strict=True):
        assert torch.equal(sample, s)
        assert torch.equal(clip, c)
    assert draws.used.tolist() == [70] * 3


def test_a_clip_stops_at_its_own_limit(ask, noise):
    draws = Draws(ask(linear(400), noise(400, batch=3)), torch.tensor([2, 5, 1]), 0.0, no_estimate)
    assert sorted(go(draws)) == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (2, 1), (3, 1), (4, 1)]
    assert draws.used.tolist() == [2, 5, 1]
    clips, numbers = draws.gather(lambda clips, n: (clips, torch.full_like(clips, n)))
    assert (clips.tolist(), numbers.tolist()) == ([0, 1, 2], [2, 5, 1])


def test_a_clip_is_done_when_its_largest_error_is_small_beside_its_largest_value(ask, noise):
    asked = []

    def estimate(clips, n):
        asked.append((clips.tolist(), n))
        values = torch.tensor([[1.0, -4.0], [2.0, 0.0], [0.0, 0.0]])[clips]
        errors = torch.tensor([[3.0, 2.0], [9.0, 9.0], [0.0, 0.0]])[clips] / n
        return values, errors

    draws = Draws(ask(linear(400), noise(400, batch=3)), torch.tensor([20, 20, 9]), 0.1, estimate, block=4)
    pairs = go(draws)
    # clip 0: 3 / n < 0.4 from n = 8 on; clip 1: 9 / n < 0.2 never; clip 2: known to be nothing
    assert draws.used.tolist() == [8, 20, 4]
    assert [sum(c == clip for _, c in pairs) for clip in range(3)] == [8, 20, 4]
    assert asked == [([0, 1, 2], 4), ([0, 1], 8), ([1], 12), ([1], 16)]


def test_what_is_not_known_is_not_settled(ask, noise):
    problem = ask(linear(400), noise(400))
    draws = Draws(problem, 12, 10.0, lambda clips, n: (torch.ones(1, 1), torch.full((1, 1), torch.inf)), block=4)
    go(draws)
    assert draws.used.tolist() == [12]


def test_scores_that_differ_by_rounding_are_still():
    scores = torch.tensor([[1.0, 1.0, -5.0, 0.0], [1.0 + 1e-6, 1.0 + 1e-5, -5.0, 0.0]])
    assert still(scores).tolist() == [True, False, True, True]


@pytest.mark.parametrize("method", ["lime", "kernel_shap", "rise", "gradient_shap", "smooth_grad"])
def test_a_silent_clip_takes_no_more_than_a_first_look(ask, noise, method):
    x = np.stack([np.zeros(4000, np.float32), noise(4000)])
    count = "masks" if method == "rise" else "samples"
    result = attribute(ask(spectral(), x, "mel"), method, {count: 300, "tolerance": 1e-4})
    assert int(result.facts["samples"][0]) <= 128
    assert int(result.facts["samples"][1]) == 300
    np.testing.assert_allclose(result.values[0], 0, atol=1e-6)


def test_moments_are_mean_and_standard_error_of_each_clip(ask, noise):
    problem = ask(linear(400), noise(400, batch=3), ms=10)
    moments = Moments(problem)
    values = 1000 + torch.randn(6, 1, 5, generator=torch.Generator().manual_seed(0))
    clips = torch.tensor([0, 2, 0, 2, 2, 2])
    for some in (slice(0, 4), slice(4, 6)):
        moments.add(clips[some], values[some])
    for clip, n in ((0, 2), (2, 4)):
        mean, error = moments.estimate(torch.tensor([clip]), n)
        own = values[clips == clip].double()
        np.testing.assert_allclose(mean[0], own.mean(0), rtol=1e-6)
        np.testing.assert_allclose(error[0], own.std(0) / n**0.5, rtol=1e-4)
