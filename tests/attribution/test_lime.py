from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from otoscope.attribution import attribute
from otoscope.attribution.coalitions import Coalitions
from otoscope.attribution.lime import bernoulli_rows, fit_ridge, kernel
from otoscope.core.errors import UnknownNameError
from reference import attribution as slow
from reference.attribution import game
from worlds import RATE, linear, spectral


def with_segments(problem, labels):
    problem.inspected.analysis.segments = lambda: labels
    return problem


def one_by_one(problem, rows, labels, of):
    return [float(problem.score(row[labels].float()[None], of=of)) for row in rows]


@pytest.mark.parametrize("ridge", [0.0, 1.0, 30.0])
@pytest.mark.parametrize(
    ("domain", "of", "keep", "width"), [("time", "probability", 0.5, 0.25), ("mel", "logit", 0.7, 1.0)]
)
def test_it_is_the_slow_twin(ask, noise, domain, of, keep, width, ridge):
    problem = ask(spectral(), noise(4000), domain, target=1, seed=7, ms=25)
    bands, frames = problem.shape
    labels = (torch.arange(bands) * 2 // bands)[:, None] * 8 + (torch.arange(frames) * 8 // frames)
    rows = torch.rand(60, int(labels.max()) + 1, generator=torch.Generator().manual_seed(7)) < keep
    rows[0] = True
    expected, fidelity = slow.lime(rows.numpy(), one_by_one(problem, rows, labels, of), width, ridge)
    options = {"blocks_freq": 2, "blocks_time": 8, "keep": keep, "kernel_width": width, "score": of, "ridge": ridge}
    result = attribute(problem, "lime", {"samples": 60, **options})
    largest = np.abs(expected).max()
    np.testing.assert_allclose(result.values[0], expected[labels.numpy()], rtol=1e-3, atol=1e-5 * largest)
    assert float(result.facts["fidelity"]) == pytest.approx(fidelity, abs=1e-4)
    assert result.facts["samples"].tolist() == [60]
    assert result.standard_error.shape == result.values.shape


@pytest.mark.parametrize("options", [{"samples": 32}, {"samples": 20}, {"samples": 32, "keep": 0.2}])
def test_on_a_linear_classifier_every_unit_has_what_it_adds_the_first_and_last_too(ask, noise, options):
    x, world = noise(400), linear(400)
    problem = ask(world, x, ms=10)
    expected = slow.linear_by_segment(world.network.weights.detach()[:, 0], x, RATE, problem.inspected.grid.times)
    result = attribute(problem, "lime", {"ridge": 0.0, "score": "logit", **options})
    np.testing.assert_allclose(result.values[0, 0], expected, atol=1e-5)
    assert float(result.facts["fidelity"]) == pytest.approx(1)


def test_where_all_coalitions_are_no_more_than_the_samples_each_is_run_once(ask, noise):
    problem = ask(spectral(), noise(4000), ms=50)
    result = attribute(problem, "lime", {"samples": 40, "tolerance": 0.01})
    assert problem.inspected.passes == 32
    assert result.facts["samples"].tolist() == [32]
    assert float(result.standard_error.max()) == 0
    attribute(problem, "lime", {"samples": 31})
    assert problem.inspected.passes == 32 + 31


@pytest.mark.parametrize("keep", [0.3, 0.5])
def test_all_coalitions_give_what_many_random_ones_come_to(keep):
    score = game(5)
    few = bernoulli_rows(32, keep, 0.25, 0, 5)
    assert few.exact
    assert len(few.rows) == 32
    drawn = torch.rand(400000, 5, generator=torch.Generator().manual_seed(1)) < keep
    many = Coalitions(drawn, kernel(drawn, 0.25), False)
    exact, sampled = (fit_ridge(c, score(c.rows), 0.01).values for c in (few, many))
    np.testing.assert_allclose(exact, sampled, atol=0.01 * float(exact.abs().max()))
    other = fit_ridge(bernoulli_rows(32, 0.8, 0.25, 0, 5), score(few.rows), 0.01).values
    assert not np.allclose(exact, other, atol=0.03)


def test_standard_errors_are_the_spread_over_seeds():
    score = game(12)
    fits = [fit_ridge(c, score(c.rows), 0.001) for c in (bernoulli_rows(200, 0.5, 0.25, s, 12) for s in range(150))]
    values, errors = (torch.cat([f[i] for f in fits]) for i in (0, 1))
    ratio = errors.square().mean(0).sqrt() / values.std(0)
    assert float(ratio.mean()) == pytest.approx(1, abs=0.12)
    assert float(ratio.min()) > 0.75
    assert float(ratio.max()) < 1.4


@given(shift=st.floats(-1e4, 1e4), scale=st.floats(0.01, 100))
@settings(deadline=None, max_examples=25)
def test_the_intercept_is_not_penalised(shift, scale):
    drawn = bernoulli_rows(40, 0.5, 0.25, 3, 6)
    scores = game(6)(drawn.rows)
    plain, moved = fit_ridge(drawn, scores, 0.5), fit_ridge(drawn, scale * scores + shift, 0.5)
    np.testing.assert_allclose(moved.values, scale * plain.values, atol=1e-7)
    np.testing.assert_allclose(moved.errors, scale * plain.errors, atol=1e-7)
    np.testing.assert_allclose(moved.fidelity, plain.fidelity, atol=1e-5)


def test_the_penalty_shrinks_and_is_that_of_all_samples():
    drawn = bernoulli_rows(64, 0.5, 0.25, 3, 6)
    scores = game(6)(drawn.rows)
    sizes = [float(fit_ridge(drawn, scores, p).values.norm()) for p in (0.0, 0.01, 1.0, 1e4)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < 1e-3 * sizes[0]
    twice = Coalitions(drawn.rows.repeat(2, 1), drawn.weights.repeat(2), False)
    again = fit_ridge(twice, scores.repeat(2, 1), 0.01).values
    torch.testing.assert_close(again, fit_ridge(drawn, scores, 0.01).values)


def test_the_kernel_is_the_cosine_distance_to_the_whole_clip():
    rows = torch.tensor([[1, 1, 1, 1], [1, 0, 0, 0], [0, 0, 0, 0]]).bool()
    distance = np.array([0, 1 - 0.5, 1])
    np.testing.assert_allclose(kernel(rows, 0.25), np.sqrt(np.exp(-(distance**2) / 0.25**2)))


def test_the_first_coalition_is_the_whole_clip_and_the_others_are_as_full_as_said():
    drawn = bernoulli_rows(4000, 0.3, 0.25, 0, 20)
    assert drawn.rows[0].all()
    assert not drawn.exact
    np.testing.assert_allclose(drawn.rows[1:].double().mean(0), 0.3, atol=0.04)


def test_cells_of_a_block_have_its_weight(ask, values, noise):
    problem = ask(spectral(), noise(4000), "stft", bands=8, ms=25)
    found = values(problem, "lime", samples=40, blocks_freq=2, blocks_time=5)
    blocks = found[0].reshape(2, 4, 5, 2).transpose(0, 2, 1, 3).reshape(10, 8)
    np.testing.assert_array_equal(blocks, np.repeat(blocks[:, :1], 8, 1))
    assert len(np.unique(blocks[:, 0])) == 10


def test_clips_of_a_batch_may_have_other_numbers_of_units(ask, values, noise):
    x, world = noise(800, batch=3), spectral()
    labels = torch.arange(10) * torch.tensor([10, 4, 9])[:, None] // 10
    options = {"samples": 64, "tolerance": 0.2}
    together = values(with_segments(ask(world, x, ms=5), labels[:, None]), "lime", **options)
    for i in range(3):
        alone = values(with_segments(ask(world, x[i], ms=5), labels[i : i + 1, None]), "lime", **options)
        np.testing.assert_allclose(together[i], alone[0], rtol=1e-3, atol=1e-5)


def test_it_stops_where_the_estimate_has_settled_whatever_the_other_clips_do(ask, noise):
    world, x = spectral(), noise(4000, batch=3)
    x[1] *= 1e-3
    options = {"samples": 400, "tolerance": 0.1}
    make = partial(ask, world, domain="mel")
    problem = make(x)
    result = attribute(problem, "lime", options)
    used = result.facts["samples"]
    assert problem.inspected.passes == int(used.sum()) < 1200
    largest = result.values.abs().amax((1, 2))
    settled = result.standard_error.amax((1, 2)) < 0.1 * largest
    assert (settled == (used < 400)).all()
    assert settled.any()
    assert (used[settled] % 64 == 0).all()
    for i in range(3):
        alone = attribute(make(x[i]), "lime", options)
        assert alone.facts["samples"].tolist() == [int(used[i])]
        np.testing.assert_allclose(result.values[i], alone.values[0], rtol=1e-3, atol=1e-3 * float(largest[i]))
    full = attribute(make(x), "lime", {"samples": 400, "tolerance": 0.0})
    assert full.facts["samples"].tolist() == [400] * 3
    assert (((full.values - result.values).abs() / result.standard_error).amax((1, 2)) < 4.5).all()


def test_fewer_samples_than_unknowns_give_finite_values_of_unknown_error(ask, noise):
    result = attribute(ask(spectral(), noise(4000), "mel"), "lime", {"samples": 10})
    assert torch.isfinite(result.values).all()
    assert torch.isinf(result.standard_error).all()
    assert attribute(ask(spectral(), noise(4000), "mel"), "lime", {"samples": 62}).standard_error.isfinite().all()


def test_scores_are_the_one_that_is_asked_for(ask, values, noise):
    problem = ask(spectral(), noise(4000), ms=50, target=2)
    found = {of: values(problem, "lime", samples=32, score=of) for of in ("probability", "log_odds", "logit")}
    rows = torch.ones(1, 5)
    odds = torch.logit(problem.score(rows[None], of="probability"))
    torch.testing.assert_close(problem.score(rows[None], of="log_odds"), odds, rtol=1e-4, atol=1e-5)
    assert not np.allclose(found["probability"], found["log_odds"], rtol=0.1)
    assert not np.allclose(found["logit"], found["log_odds"], rtol=0.1)
    with pytest.raises(UnknownNameError, match="'probabilty'; did you mean 'probability'"):
        values(problem, "lime", score="probabilty")


def test_repeating_a_sample_makes_no_error_known():
    few = bernoulli_rows(7, 0.5, 0.25, 0, 6)
    drawn = Coalitions(*(torch.cat([x, x[2:], x[2:]]) for x in few[:2]), False)
    scores = game(6)(drawn.rows)
    assert torch.isinf(fit_ridge(drawn, scores, 0.001).errors).all()


def test_silence_has_no_weights(ask):
    result = attribute(ask(spectral(), np.zeros(4000), "mel"), "lime", {"samples": 100})
    np.testing.assert_allclose(result.values, 0, atol=1e-6)
    assert result.facts["fidelity"].tolist() == [1]
