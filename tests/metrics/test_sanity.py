"""Sanity checks on networks and methods whose answers are known: those that ask the network, and those that do not."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from otoscope.core import registry
from otoscope.core.errors import NonFiniteError, ParameterError, ShapeError, UnknownNameError
from otoscope.metrics import cascade, noise_sensitivity, seed_agreement, seed_spread, shift_sensitivity
from otoscope.metrics.sanity import (
    noisy,
    randomisation_similarity,
    realigned,
    relative_change,
    sensitivity_max,
    sensitivity_mean,
    shifted,
)
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


class TestChanges:
    def test_relative_change(self):
        a = np.array([[3.0, 4.0]])
        assert relative_change(a, np.array([[3.0, 9.0]])) == pytest.approx(1.0)
        assert relative_change(a, a) == 0.0
        assert relative_change(a, 0 * a) == 1.0
        assert relative_change(1e-200 * a, -1e-200 * a) == pytest.approx(2.0)
        assert math.isnan(relative_change(0 * a, a))
        with pytest.raises(ShapeError):
            relative_change(a, a.T)

    def test_largest_and_mean(self):
        a = np.array([[1.0, 0.0]])
        changed = np.array([[[1.0, 0.0]], [[0.0, 0.0]], [[1.0, 0.5]]])
        assert sensitivity_max(a, changed) == 1.0
        assert sensitivity_mean(a, changed) == pytest.approx(0.5)
        assert math.isnan(sensitivity_max(a, changed[:0]))
        assert math.isnan(sensitivity_mean(0 * a, changed))

    def test_noise_has_its_level_and_its_seed(self):
        wave = np.sin(np.arange(4000) / 7).astype(np.float32)
        made = noisy(wave, -20.0, 3, seed=1)
        assert made.shape == (3, 4000)
        assert made.dtype == np.float32
        for one in made:
            assert 20 * np.log10((one - wave).std() / wave.std()) == pytest.approx(-20, abs=0.05)
        np.testing.assert_array_equal(made, noisy(wave, -20.0, 3, seed=1))
        assert (made[0] != made[1]).any()
        assert not noisy(np.zeros(10)).any()

    def test_shifts(self):
        wave = np.arange(1.0, 6.0)
        assert shifted(wave, 2).tolist() == [0, 0, 1, 2, 3]
        assert shifted(wave, -2).tolist() == [3, 4, 5, 0, 0]
        assert shifted(wave, 0).tolist() == wave.tolist()
        assert not shifted(wave, 9).any()
        assert not shifted(wave, -5).any()

    @pytest.mark.parametrize("frames", [-2, -1, 0, 1, 3])
    def test_realigned_frames_are_the_same_sound(self, frames):
        values = np.arange(12.0).reshape(2, 6)
        moved = np.stack([shifted(row, frames) for row in values])
        here, there = realigned(values, moved, frames)
        np.testing.assert_array_equal(here, there)
        assert here.shape == (2, 6 - abs(frames))

    def test_realigning_too_far_is_refused(self):
        with pytest.raises(ShapeError, match="no frames in common after a shift of 6"):
            realigned(np.ones((2, 6)), np.ones((2, 6)), 6)

    def test_a_method_that_moves_with_the_sound_is_stable(self):
        """The energy of frames of 10 samples: shifts by whole frames change nothing, noise changes as much as is added."""
        wave = np.random.default_rng(3).normal(size=100)

        def energy(waves):
            return (waves.reshape(len(waves), 1, 10, 10) ** 2).sum(-1)

        assert shift_sensitivity(energy, wave, 10.0) == pytest.approx((0.0, 0.0), abs=1e-12)
        assert shift_sensitivity(energy, wave, 5.0)[0] > 0.1
        quiet, loud = (noise_sensitivity(energy, wave, db, 5) for db in (-60, -20))
        assert quiet[0] < 0.002 < 0.05 < loud[1] < loud[0]

    def test_a_method_that_stays_put_is_not(self):
        fixed = np.random.default_rng(0).normal(size=(1, 4, 9))
        largest, mean = shift_sensitivity(lambda w: np.repeat(fixed, len(w), 0), np.ones(90), 10, (1, 2))
        assert largest >= mean > 0.8
        assert noise_sensitivity(lambda w: np.repeat(fixed, len(w), 0), np.ones(90)) == (0.0, 0.0)

    def test_bad_input(self):
        with pytest.raises(ShapeError, match=r"is \(time,\); got shape \(2, 5\)"):
            noise_sensitivity(lambda w: w, np.ones((2, 5)))
        with pytest.raises(ParameterError, match="draws must be a whole number"):
            noise_sensitivity(lambda w: w, np.ones(5), draws=0)
        for frames, samples in (((), 10.0), ((1,), 0.0)):
            with pytest.raises(ParameterError, match="shifts need whole frames"):
                shift_sensitivity(lambda w: w, np.ones(50), samples, frames)


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
