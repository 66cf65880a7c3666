"""Sanity checks on networks and methods whose answers are known: those that ask the network, and those that do not."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from otoscope.core import registry
from otoscope.core.errors import NonFiniteError, ParameterError, ShapeError, UnknownNameError
from otoscope.metrics import cascade, seed_agreement, seed_spread
from otoscope.metrics.sanity import randomisation_similarity
from otoscope.metrics.sensitivity import sensitivity_max, sensitivity_mean
from reference import statistics as slow

RNG = np.random.default_rng(0)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(24, 30), nn.Tanh(), nn.Linear(30, 20), nn.Tanh(), nn.Linear(20, 1))


def asks(network, clips=3):
    """The gradient: a method that depends on the network."""
    x = torch.randn(clips, 24, generator=torch.Generator().manual_seed(1))

    def attribute():
        asks.calls += 1
        inputs = x.clone().requires_grad_(True)
        (gradient,) = torch.autograd.grad(network(inputs).sum(), inputs)
        return gradient.view(clips, 4, 6).numpy()

    asks.calls = 0
    return attribute


class TestCascade:
    def test_a_method_that_asks_the_network_changes(self, network):
        found = cascade(asks(network, 40), network, stages=None)
        assert found.stages == (("4",), ("2",), ("0",))
        assert asks.calls == 4
        assert {k: v.shape for k, v in found.similarities.items()} == dict.fromkeys(
            ("rank", "rank_absolute", "pearson", "ssim"), (3, 40)
        )
        assert found.similarity.shape == (40,)
        assert abs(found.similarity.mean()) < 0.3
        assert found.unchanged is False

    @pytest.mark.parametrize("seed", [0, 1])
    def test_a_method_that_does_not_ask_is_flagged(self, network, seed):
        energy = np.random.default_rng(seed).exponential(size=(3, 4, 6))
        found = cascade(lambda: energy, network, seed=seed)
        for similarity in found.similarities.values():
            np.testing.assert_allclose(similarity, 1.0)
        assert found.unchanged is True

    def test_stages_add_up(self, network):
        """Each stage keeps what the ones before it changed, and draws the same numbers."""
        before = {k: v.clone() for k, v in network.state_dict().items()}
        seen = []

        def attribute():
            seen.append({k: v.clone() for k, v in network.state_dict().items()})
            return RNG.normal(size=(1, 2, 3))

        cascade(attribute, network, stages=[["4"], ["0"]], seed=5)
        changed = [{k.split(".")[0] for k in before if not torch.equal(s[k], before[k])} for s in seen]
        assert changed == [set(), {"4"}, {"0", "4"}]
        assert torch.equal(seen[1]["4.weight"], seen[2]["4.weight"])

    def test_the_flag_is_of_the_mean_at_the_threshold(self, network):
        trained = np.arange(24.0).reshape(1, 4, 6)
        for noise, wanted in ((5.0, True), (100.0, False)):
            values = iter([trained, trained + noise * np.random.default_rng(0).normal(size=(1, 4, 6))])
            found = cascade(lambda values=values: next(values), network, stages=1)
            assert found.unchanged is wanted
            assert (found.similarity[0] >= 0.5) is np.bool_(wanted)

    def test_of_even_explanations_nothing_can_be_said(self, network):
        found = cascade(lambda: np.ones((2, 3, 3)), network, 2)
        assert np.isnan(found.similarity).all()
        assert found.unchanged is False

    def test_everything_comes_back_after_an_error(self, network):
        before = {k: v.clone() for k, v in network.state_dict().items()}
        calls = []

        def attribute():
            calls.append(0)
            if len(calls) == 3:
                raise RuntimeError("lost")
            return np.ones((1, 2, 2))

        with pytest.raises(RuntimeError, match="lost"):
            cascade(attribute, network, None)
        assert all(torch.equal(before[k], v) for k, v in network.state_dict().items())

    def test_bad_input(self, network):
        values = iter([np.ones((1, 2, 2)), np.ones((1, 2, 3))])
        with pytest.raises(ShapeError, match=r"changed their shape from \(1, 2, 2\) to \(1, 2, 3\)"):
            cascade(lambda: next(values), network, 1)
        with pytest.raises(ShapeError, match=r"\(draw, freq, frame\); got shape \(2, 2\)"):
            cascade(lambda: np.ones((2, 2)), network)
        with pytest.raises(NonFiniteError):
            cascade(lambda: np.full((1, 2, 2), np.nan), network)
        with pytest.raises(UnknownNameError, match="unknown layer 'head'"):
            cascade(lambda: np.ones((1, 2, 2)), network, [["head"]])
        with pytest.raises(ParameterError, match="at least one stage"):
            cascade(lambda: np.ones((1, 2, 2)), network, [])


class TestSeeds:
    def test_by_hand(self):
        values = RNG.normal(size=(3, 4, 5))
        flat = [v.ravel().tolist() for v in values]
        pairs = [slow.pearson(slow.ranks(flat[i]), slow.ranks(flat[j])) for i, j in ((0, 1), (0, 2), (1, 2))]
        assert seed_agreement(values) == pytest.approx(np.mean(pairs))
        variance = np.mean([np.var([v[c] for v in flat], ddof=1) for c in range(20)])
        signal = np.mean([np.mean([v[c] for v in flat]) ** 2 for c in range(20)])
        assert seed_spread(values) == pytest.approx(math.sqrt(variance / signal))
        assert seed_spread(1e-30 * values) == pytest.approx(seed_spread(values))

    def test_without_chance_they_agree(self):
        values = np.repeat(RNG.normal(size=(1, 4, 5)), 4, axis=0)
        assert seed_agreement(values) == pytest.approx(1.0)
        assert seed_spread(values) == pytest.approx(0.0, abs=1e-12)

    def test_more_noise_spreads_more(self):
        signal = RNG.normal(size=(1, 10, 10))
        noise = RNG.normal(size=(5, 10, 10))
        spread = [seed_spread(signal + a * noise) for a in (0.01, 0.1, 1.0)]
        agreement = [seed_agreement(signal + a * noise) for a in (0.01, 0.1, 1.0)]
        assert spread == sorted(spread)
        assert agreement == sorted(agreement, reverse=True)
        assert spread[1] == pytest.approx(0.1, rel=0.2)

    def test_where_nothing_can_be_said(self):
        for metric in (seed_agreement, seed_spread):
            assert math.isnan(metric(np.ones((1, 2, 2))))
            assert math.isnan(metric(np.zeros((3, 2, 2))))
            with pytest.raises(ShapeError, match="of several draws"):
                metric(np.ones((2, 2)))


def test_declared_directions_hold():
    a = RNG.normal(size=(4, 5))
    near, far = a + 0.01 * RNG.normal(size=(3, 4, 5)), a + RNG.normal(size=(3, 4, 5))
    better_first = {
        "randomisation_similarity": (randomisation_similarity(a, far[0]), randomisation_similarity(a, near[0])),
        "seed_agreement": (seed_agreement(near), seed_agreement(far)),
        "seed_spread": (seed_spread(near), seed_spread(far)),
        "sensitivity_max": (sensitivity_max(a, near), sensitivity_max(a, far)),
        "sensitivity_mean": (sensitivity_mean(a, near), sensitivity_mean(a, far)),
    }
    entries = [e for e in registry.entries("metric") if e.facts["of"] == "sanity"]
    assert {e.name for e in entries} == set(better_first)
    for entry in entries:
        better, worse = better_first[entry.name]
        assert (better > worse) == entry.facts["higher_is_better"], entry.name


def test_layers_that_take_no_part_are_no_stage():
    torch.manual_seed(0)
    net = torch.nn.ModuleDict(
        {"late": torch.nn.Linear(3, 3), "spare": torch.nn.Linear(3, 3), "early": torch.nn.Linear(3, 3)}
    )
    x, calls = torch.randn(1, 2, 3), []

    def attribute():
        calls.append(1)
        with torch.no_grad():
            return net["late"](net["early"](x).tanh()).numpy()

    found = cascade(attribute, net, None)
    assert found.stages == (("late",), ("early",))
    assert len(calls) == 3
