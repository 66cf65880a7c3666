from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

from otoscope.attribution import attribute
from otoscope.attribution.coalitions import Coalitions, all_rows
from otoscope.attribution.kernel_shap import fit_shapley, shapley_rows
from otoscope.core import registry
from reference import attribution as slow
from reference.attribution import game
from worlds import RATE, linear, spectral


def value_of(problem, labels, of="logit"):
    """The score of a set of units."""
    return lambda chosen: float(problem.score(torch.isin(labels, torch.tensor(sorted(chosen))).float()[None], of=of))


@pytest.mark.parametrize(
    ("domain", "rows", "columns", "of"),
    [("time", 1, 5, "logit"), ("mel", 2, 3, "logit"), ("features", 3, 2, "probability"), ("stft", 2, 2, "log_odds"),
     ("mel", 1, 1, "logit"), ("mel", 1, 2, "logit")],
)  # fmt: skip
def test_with_few_units_it_is_the_shapley_values_by_enumeration(ask, noise, domain, rows, columns, of):
    make = partial(ask, spectral(), noise(4000), domain, target=1, ms=50)
    problem = make()
    bands, frames = problem.shape
    labels = (torch.arange(bands) * rows // bands)[:, None] * columns + torch.arange(frames) * columns // frames
    expected = slow.shapley(value_of(problem, labels, of), rows * columns)
    problem = make()
    options = {"samples": 64, "blocks_freq": rows, "blocks_time": columns, "score": of}
    result = attribute(problem, "kernel_shap", options)
    assert problem.inspected.passes == 2 ** (rows * columns)
    share = expected / np.bincount(labels.flatten())
    np.testing.assert_allclose(result.values[0], share[labels.numpy()], rtol=1e-3, atol=1e-5 * np.abs(share).max())
    assert float(result.standard_error.max()) == 0


@pytest.mark.parametrize("samples", [32, 16, 1000])
def test_on_a_linear_classifier_every_unit_has_what_it_adds(ask, values, noise, samples):
    x, world = noise(400), linear(400)
    problem = ask(world, x, ms=10)
    expected = slow.linear_by_segment(world.network.weights.detach()[:, 0], x, RATE, problem.inspected.grid.times)
    found = values(problem, "kernel_shap", samples=samples)[0, 0]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert float(attribute(problem, "kernel_shap", {"samples": samples}).facts["fidelity"]) == pytest.approx(1)


@pytest.mark.parametrize("samples", [4, 5, 30, 200])
@pytest.mark.parametrize("of", ["logit", "probability"])
def test_the_sum_is_the_whole_minus_silence_however_few_the_samples(ask, noise, samples, of):
    problem = ask(spectral(), noise(4000, batch=2), "mel", target=[0, 2])
    ones = problem.inspected.ones()
    gain = problem.score(ones, of=of) - problem.score(0 * ones, of=of)
    before = problem.inspected.passes
    result = attribute(problem, "kernel_shap", {"samples": samples, "score": of})
    torch.testing.assert_close(result.values.sum((1, 2)), gain, rtol=1e-4, atol=1e-5)
    assert problem.inspected.passes - before == 2 * (samples - samples % 2)
    assert torch.isinf(result.standard_error).all() == (samples < 122)


def exact(score, units):
    return fit_shapley(shapley_rows(2**units, 0, units), score(all_rows(units))).values[0]


def test_who_adds_nothing_has_nothing_and_equals_have_the_same():
    units = 6
    z_score = lambda rows: (rows[:, 0].double() * rows[:, 1] + rows[:, 2] + rows[:, 3])[:, None]  # noqa: E731
    np.testing.assert_allclose(exact(z_score, units), [0.5, 0.5, 1, 1, 0, 0], atol=1e-9)


@pytest.mark.parametrize("shift", [0.0, 5.0])
def test_fidelity_is_that_of_the_sum_of_present_units(shift):
    drawn = shapley_rows(60, 0, 6)
    scores = game(6)(drawn.rows) + shift
    fit = fit_shapley(drawn, scores)
    guess = scores[1, 0] + (drawn.rows.double() * fit.values).sum(1)
    left, spread = (scores[2:, 0] - guess[2:]).square().sum(), scores[2:, 0].var(correction=0) * 58
    assert float(fit.fidelity) == pytest.approx(1 - float(left / spread))
    assert 0.5 < float(fit.fidelity) < 0.999


def test_samples_come_to_the_exact_values_and_errors_are_the_spread_over_seeds():
    units, score = 10, game(10)
    truth = exact(score, units)
    fits = [fit_shapley(c, score(c.rows)) for c in (shapley_rows(202, s, units) for s in range(150))]
    values, errors = (torch.cat([f[i] for f in fits]) for i in (0, 1))
    ratio = errors.square().mean(0).sqrt() / values.std(0)
    assert float(ratio.mean()) == pytest.approx(1, abs=0.15)
    assert float(((values.mean(0) - truth) / (values.std(0) / 150**0.5)).abs().max()) < 4
    within = ((values - truth).abs() < 2 * errors).double().mean()
    assert 0.9 < float(within) < 0.99


def test_coalitions_come_in_pairs_and_sizes_as_the_kernel_says():
    drawn = shapley_rows(20002, 0, 20)
    assert drawn.rows[0].all()
    assert not drawn.rows[1].any()
    assert torch.equal(drawn.rows[3::2], ~drawn.rows[2::2])
    size = torch.bincount(drawn.rows[2:].sum(1), minlength=20)
    chance = np.array([0] + [1 / (n * (20 - n)) for n in range(1, 20)])
    np.testing.assert_allclose(size / 20000, chance / chance.sum(), atol=0.01)
    assert size[0] == 0
    np.testing.assert_allclose(drawn.rows.double().mean(0), 0.5, atol=1e-9)
    few = drawn.rows[2:][drawn.rows[2:].sum(1) == 1]
    assert len(few.unique(dim=0)) == 20


def test_a_unit_s_value_is_shared_by_its_cells(ask, values, noise):
    problem = ask(spectral(), noise(800), ms=5)
    labels = torch.tensor([[[0] * 7 + [1, 2, 2]]])
    problem.inspected.analysis.segments = lambda: labels
    found = values(problem, "kernel_shap")[0, 0]
    expected = slow.shapley(value_of(problem, labels[0]), 3) / [7, 1, 2]
    np.testing.assert_allclose(found, expected[labels[0, 0]], rtol=1e-3, atol=1e-6)


def test_it_stops_where_the_estimate_has_settled_whatever_the_other_clips_do(ask, noise):
    world, x = spectral(), noise(4000, batch=3)
    x[1] = x[1].cumsum() / 50
    options = {"samples": 400, "tolerance": 0.1}
    problem = ask(world, x, "mel")
    result = attribute(problem, "kernel_shap", options)
    used = result.facts["samples"]
    assert problem.inspected.passes == int(used.sum()) < 1200
    largest = result.values.abs().amax((1, 2))
    for i in range(3):
        alone = attribute(ask(world, x[i], "mel"), "kernel_shap", options)
        assert alone.facts["samples"].tolist() == [int(used[i])]
        np.testing.assert_allclose(result.values[i], alone.values[0], rtol=1e-3, atol=2e-3 * float(largest[i]))
    full = attribute(ask(world, x, "mel"), "kernel_shap", {"samples": 400, "tolerance": 0.0})
    assert (((full.values - result.values).abs() / result.standard_error).amax((1, 2)) < 4.5).all()


def test_repeating_a_sample_makes_no_error_known():
    few = shapley_rows(12, 0, 6)
    drawn = Coalitions(*(torch.cat([x, x[2:], x[2:]]) for x in few[:2]), False)
    scores = game(6)(drawn.rows)
    assert torch.isinf(fit_shapley(drawn, scores).errors).all()


def test_silence_has_no_values(ask):
    result = attribute(ask(spectral(), np.zeros(4000), "mel"), "kernel_shap", {"samples": 200})
    np.testing.assert_allclose(result.values, 0, atol=1e-7)
    assert result.facts["fidelity"].tolist() == [1]


def test_against_a_background_it_is_what_the_clip_adds_to_it(ask, values, noise, tmp_path, monkeypatch):
    from otoscope.audio import write_wav
    from otoscope.core.records import Clip

    monkeypatch.setenv("OTOSCOPE_CACHE", str(tmp_path / "cache"))
    others = [noise(400, seed=i + 5) * (i + 1) / 4 for i in range(3)]
    for i, x in enumerate(others):
        write_wav(tmp_path / f"{i}.wav", Clip(x[None], RATE))
    x, world = noise(400), linear(400)
    problem = ask(world, x, ms=10)
    times, weights = problem.inspected.grid.times, world.network.weights.detach()[:, 0]
    theirs = np.mean([slow.linear_by_segment(weights, y, RATE, times) for y in others], 0)
    own = slow.linear_by_segment(weights, x, RATE, times)
    options = {"samples": 32, "background": str(tmp_path), "per_class": 3}
    found = values(problem, "kernel_shap", **options)[0, 0]
    assert problem.inspected.passes == 32 * 3
    np.testing.assert_allclose(found, own - theirs, atol=1e-4)
    assert np.abs(theirs).max() > 1e-3
    assert registry.get("method", "kernel_shap").facts["passes"](**options) == 96


@pytest.mark.parametrize("method", ["lime", "kernel_shap"])
def test_who_may_stop_early_does_not_run_all_of_many_coalitions(ask, noise, method):
    x = np.zeros(3600, np.float32)
    x[:400] = 0.1
    problem = ask(linear(3600), x, ms=50, target=1)  # nine segments, of which two hold something
    used = {
        t: attribute(problem, method, {"tolerance": t, "score": "logit"}).facts["samples"].tolist() for t in (0, 0.1)
    }
    assert used[0.1][0] <= 128
    assert used[0] == [512]
    problem = ask(spectral(), noise(7200), ms=50, target=1)
    used = {t: attribute(problem, method, {"tolerance": t}).facts["samples"].tolist() for t in (0, 1e-9)}
    assert used == {0: [512], 1e-9: [512]}  # no more than there are
