from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch
from captum.attr import Saliency

from otoscope.attribution import Result, attribute, method_name
from otoscope.attribution.base import Score, per_amplitude
from otoscope.core import registry
from otoscope.core.errors import NonFiniteError, ParameterError, ShapeError, UnknownNameError
from worlds import linear, spectral


@pytest.fixture
def problem(ask, noise):
    return ask(linear(400), noise(400, batch=2), target=[0, 1], ms=10)


@pytest.fixture
def made_up(monkeypatch):
    """`made_up(function)`: a method called "made_up"."""

    def add(function):
        monkeypatch.setitem(registry._entries, ("method", "made_up"), registry.Entry("method", "made_up", function, ""))

    return add


def test_an_unknown_method_offers_the_nearest(problem):
    with pytest.raises(UnknownNameError, match="'integratd_gradients'; did you mean 'integrated_gradients'"):
        attribute(problem, "integratd_gradients")


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"stepz": 3}, UnknownNameError, "did you mean 'steps'"),
        ({"steps": 0}, ParameterError, r"steps must lie in \[1, 1000\]; got 0"),
        ({"steps": "many"}, ParameterError, "steps must be a int; got 'many'"),
        ({"density": float("nan")}, ParameterError, "density must lie in"),
    ],
)
def test_wrong_settings_are_named(problem, settings, error, words):
    with pytest.raises(error, match=words):
        attribute(problem, "integrated_gradients", settings)


def test_a_method_of_the_wrong_shape_is_stopped(problem, made_up):
    made_up(lambda problem: torch.zeros(2, 5, 1))
    with pytest.raises(ShapeError, match=r"'made_up' gave shape \(2, 5, 1\), expected \(2, 1, 5\)"):
        attribute(problem, "made_up")


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_not_finite_is_stopped(problem, made_up, bad):
    made_up(lambda problem: torch.tensor([1.0, bad]).expand(5, 2).T[:, None])
    with pytest.raises(NonFiniteError, match="'made_up' gave NaN or infinite values"):
        attribute(problem, "made_up")


def test_values_and_errors_come_out_detached_as_float32(problem, made_up):
    made_up(lambda problem: Result(torch.ones(2, 1, 5, dtype=torch.float64, requires_grad=True), torch.ones(2, 1, 5)))
    result = attribute(problem, "made_up")
    assert [t.dtype for t in result[:2]] == [torch.float32] * 2
    assert not result.values.requires_grad
    assert result.facts == {}


def test_facts_of_a_method_come_out_as_they_are(problem, made_up):
    made_up(lambda problem: Result(torch.ones(2, 1, 5), None, {"fidelity": torch.tensor([0.5, 1.0])}))
    result = attribute(problem, "made_up")
    assert result.standard_error is None
    assert result.facts["fidelity"].tolist() == [0.5, 1]


def test_scores_are_the_target_s_logit_probability_or_log_odds(ask, noise):
    problem = ask(spectral(), noise(4000, batch=2), "mel", target=[1, 3])
    mask, clip = problem.inspected.ones(3) * 0.7, torch.tensor([1, 0, 1])
    logits = problem.inspected(mask, clip).detach()
    own = logits.softmax(1)[range(3), [3, 1, 3]]
    torch.testing.assert_close(problem.score(mask, clip), logits[range(3), [3, 1, 3]])
    torch.testing.assert_close(problem.score(mask, clip, "probability"), own)
    torch.testing.assert_close(problem.score(mask, clip, "log_odds"), torch.logit(own), rtol=1e-4, atol=1e-5)
    ticked = []
    problem.tick = ticked.append
    for of in get_args(Score):
        assert not problem.score(mask, clip, of).requires_grad
    assert ticked == [3] * 3


def test_method_names_are_what_records_say():
    assert method_name("rise") == "rise"
    assert method_name(Saliency(torch.nn.Linear(2, 2))) == "captum:Saliency"
    with pytest.raises(ParameterError, match="got int"):
        method_name(3)


def test_each_row_is_scored_for_its_own_target(problem):
    logits = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert problem.of_target(logits).tolist() == [1, 4]
    assert problem.of_target(logits, torch.tensor([1, 1])).tolist() == [2, 4]


def test_chunks_are_all_pairs_once(ask, noise):
    problem = ask(linear(400), noise(400, batch=3), batch_size=4)
    pairs = [(int(s), int(c)) for chunk in problem.chunks(5) for s, c in zip(*chunk, strict=True)]
    assert sorted(pairs) == [(s, c) for s in range(5) for c in range(3)]
    assert max(len(c) for c, _ in problem.chunks(5)) == 4


def test_the_random_generator_starts_anew(problem):
    first, second = (torch.randn(3, generator=problem.rng()) for _ in range(2))
    assert torch.equal(first, second)


def test_probabilities_have_no_gradient(problem):
    mask = problem.inspected.ones().requires_grad_(True)
    assert not problem.probability(mask).requires_grad


def test_per_amplitude_divides_where_there_is_something(ask):
    x = np.zeros(800, np.float32)
    x[:400] = 0.5
    problem = ask(linear(800), x, ms=10)
    found = per_amplitude(problem, torch.ones(1, 1, 10))[0, 0]
    assert float(found[0]) == pytest.approx(1 / (0.5 * 80**0.5), rel=0.15)
    two = ask(linear(800), np.stack([x, 2 * x]), ms=10)
    torch.testing.assert_close(per_amplitude(two, torch.ones(1, 1, 10), torch.tensor([1]))[0, 0], found / 2)
    assert found[6:].tolist() == [0] * 4


def test_no_method_takes_the_callers_tensors(ask, noise):
    problem = ask(spectral(), noise(4000, batch=2), "mel")
    waveform, targets = problem.inspected.waveform.clone(), problem.targets.clone()
    attribute(problem, "gradient")
    assert torch.equal(problem.inspected.waveform, waveform)
    assert torch.equal(problem.targets, targets)


def test_a_captum_class_and_its_object_are_named_alike():
    attr = pytest.importorskip("captum.attr")
    assert method_name(attr.Saliency) == method_name(attr.Saliency(lambda x: x)) == "captum:Saliency"


def test_of_segments_it_is_the_segment_s_own_amplitude_that_counts(ask, values, noise):
    """A mask scales a whole segment, so cells of one segment cannot differ; within cells of their own they do."""
    problem = ask(spectral(), noise(8000, batch=2), "superpixels", target=[0, 2], n=12)
    analysis = problem.inspected.analysis
    by_mask = problem.gradient(problem.inspected.ones())
    found = per_amplitude(problem, by_mask)
    amplitude = analysis.amplitude()
    for clip in range(2):
        for unit in analysis.segments()[clip].unique():
            there = analysis.segments()[clip] == unit
            slope = by_mask[clip][there].sum() / amplitude[clip][there].sum()  # all cells louder by the same share
            torch.testing.assert_close(found[clip][there], slope.expand(int(there.sum())), rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(values(problem, "gradient"), found, rtol=1e-3, atol=1e-5)
