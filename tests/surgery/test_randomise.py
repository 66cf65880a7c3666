"""Random parameters in place of learned ones, and everything back, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import otoscope
import worlds
from otoscope.core.errors import ParameterError, UnknownNameError
from otoscope.surgery import randomised, state_digest, top_down, without_biases


class Odd(nn.Module):
    """A module that cannot reset itself, with a learned scale, an even and an integer parameter, and a table of its own."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(5 + 0.5 * torch.randn(400))
        self.even = nn.Parameter(torch.full((3,), 2.0))
        self.count = nn.Parameter(torch.arange(3), requires_grad=False)

    def forward(self, x):
        return x * self.scale.mean()


@pytest.fixture
def model():
    torch.manual_seed(0)
    made = nn.ModuleDict(
        {
            "conv": nn.Conv1d(2, 4, 3),
            "norm": nn.BatchNorm1d(4),
            "attention": nn.MultiheadAttention(4, 2),
            "odd": Odd(),
            "bound": nn.utils.parametrizations.weight_norm(nn.Linear(4, 4)),
            "head": nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)),
        }
    )
    with torch.no_grad():
        for norm in (m for m in made.modules() if isinstance(m, nn.BatchNorm1d)):
            norm.running_mean += 3
            norm.weight += torch.randn(4)
            norm.bias += 1
        for p in made.parameters():
            if p.is_floating_point() and p is not made["odd"].even:
                p += 0.01 * torch.randn_like(p)  # as if trained
    made["conv"].weight.requires_grad_(False)
    made["head"][0].weight.grad = torch.ones(8, 4)
    return made


def state(model):
    """Values, objects, modes, wishes and gradients."""
    return (
        state_digest(dict(model.named_parameters())),
        state_digest(dict(model.named_buffers())),
        [id(p) for p in model.parameters()],
        [p.requires_grad for p in model.parameters()],
        [None if p.grad is None else p.grad.sum().item() for p in model.parameters()],
        [m.training for m in model.modules()],
    )


def changed(model, before):
    """Names of the parameters that differ."""
    return {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}


def snapshot(model):
    return {n: t.detach().clone() for n, t in (*model.named_parameters(), *model.named_buffers())}


def test_everything_learned_goes_and_comes_back(model):
    before, values = state(model), snapshot(model)
    everything = {n for n, _ in model.named_parameters()} - {"odd.even", "odd.count"}  # nothing to draw from
    with randomised(model, [""], seed=3) as inside:
        assert inside is model
        assert changed(model, values) == everything
        assert all(torch.equal(b, values[n]) for n, b in model.named_buffers())  # running statistics stay
        assert all(torch.isfinite(p).all() for p in model.parameters())
    assert state(model) == before


@pytest.mark.parametrize(
    ("layers", "prefixes"),
    [
        (["head"], ("head.",)),
        (["head.2", "conv"], ("head.2.", "conv.")),
        (["odd"], ("odd.scale",)),
        ([], ()),
        (["head.1"], ()),
    ],
)
def test_only_the_chosen_layers_change(model, layers, prefixes):
    values, before = snapshot(model), state(model)
    with randomised(model, layers):
        found = changed(model, values)
        assert all(n.startswith(prefixes) for n in found)
        assert {next(p for p in prefixes if n.startswith(p)) for n in found} == set(prefixes)
    assert state(model) == before


def test_statistics_of_norms_are_estimated_anew():
    """Weights a thousand times as large as the running statistics know: after one run, outputs are normalised again."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv1d(2, 4, 3), nn.BatchNorm1d(4), nn.ReLU(), nn.Conv1d(4, 3, 3), nn.BatchNorm1d(3)).eval()
    with torch.no_grad():
        net[0].weight *= 1000
    before, x = state(net), torch.randn(5, 2, 40)
    with randomised(net, [""], run=lambda: net(x)):
        assert not any(m.training for m in net.modules())
        for inside, norm in ((net[0](x), net[1]), (net[:4](x), net[4])):
            assert torch.allclose(norm.running_mean, inside.mean((0, 2)), rtol=1e-4, atol=1e-4)
            assert torch.allclose(norm.running_var, inside.var((0, 2)), rtol=1e-4)
        assert net(x).std((0, 2)).detach().numpy() == pytest.approx(1, rel=0.01)
    assert state(net) == before
    with randomised(net, ["3"], run=lambda: net(x)):  # the norms are not among the layers
        assert (net[1].running_mean == 0).all()
        assert (net[4].running_var == 1).all()


def test_of_one_value_there_is_no_variance():
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)).eval()
    with randomised(net, [""], run=lambda: net(torch.ones(1, 2))):
        assert (net[1].running_var == 1).all()
        assert torch.allclose(net(torch.ones(1, 2)), torch.zeros(1, 3), atol=1e-6)


def test_a_random_network_still_distinguishes_clips():
    """With the trained statistics, the built-in network's logits differ by 3e-7 over clips, which is rounding."""
    classifier = otoscope.load_classifier("esc10-mn")
    rate = classifier.sample_rate
    noise = 0.1 * np.random.default_rng(0).standard_normal(rate)
    tones = [worlds.tone(hz, 1.0, rate) for hz in (200, 1000, 5000)]
    clips = torch.from_numpy(np.stack([noise, *tones]).astype(np.float32))
    with randomised(classifier.network, [""], run=lambda: classifier(clips)), torch.no_grad():
        assert classifier(clips).std(0).mean() > 0.01


def test_others_become_noise_of_the_same_mean_and_spread(model):
    old = model["odd"].scale.detach().clone()
    with randomised(model, ["odd"]):
        new = model["odd"].scale.detach()
        assert new.mean() == pytest.approx(old.mean().item(), abs=0.1)
        assert new.std() == pytest.approx(old.std().item(), rel=0.15)
        assert abs(torch.corrcoef(torch.stack([old, new]))[0, 1]) < 0.2


def test_the_seed_decides_and_other_layers_do_not(model):
    def weights(layers, seed):
        with randomised(model, layers, seed):
            return model["head"][0].weight.detach().clone()

    first = weights(["head.0"], 1)
    assert torch.equal(first, weights(["head.0"], 1))
    assert torch.equal(first, weights(["conv", "odd", "head"], 1))
    assert not torch.equal(first, weights(["head.0"], 2))


def test_torchs_own_generator_goes_on_as_if_nothing_was(model):
    torch.manual_seed(5)
    wanted = torch.randn(3)
    torch.manual_seed(5)
    with randomised(model, [""]):
        assert torch.equal(torch.randn(3), wanted)
    torch.manual_seed(5)
    with randomised(model, [""]):
        pass
    assert torch.equal(torch.randn(3), wanted)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_undone_after_errors(model, error):
    before = state(model)

    def broken():
        with randomised(model, [""]):
            model["norm"].running_mean.zero_()
            raise error

    with pytest.raises(error):
        broken()
    assert state(model) == before


def test_undone_after_an_error_while_it_is_made(model):
    before = state(model)
    with pytest.raises(ZeroDivisionError):
        with randomised(model, [""], run=lambda: 1 / 0):
            pass
    assert state(model) == before
    assert not any(m._forward_pre_hooks for m in model.modules())


def test_a_parameter_in_two_places_comes_back():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    before = state(model)
    with randomised(model, ["1"]):
        assert model[0].weight is model[1].weight
    assert state(model) == before


def test_unknown_layers_are_refused(model):
    before = state(model)
    with pytest.raises(UnknownNameError, match="unknown layer 'haed'; did you mean 'head'"):
        with randomised(model, ["conv", "haed"]):
            pass
    assert state(model) == before


class TestTopDown:
    def test_the_last_defined_first(self):
        net = worlds.spectral().network
        assert top_down(net) == [("7",), ("3",), ("1",), ("0",)]
        assert top_down(net, 2) == [("7", "3"), ("1", "0")]
        assert top_down(net, 3) == [("7",), ("3", "1"), ("0",)]
        assert top_down(net, 1) == [("7", "3", "1", "0")]
        assert top_down(net, 50) == top_down(net)

    def test_a_models_own_parameters_come_last(self):
        net = worlds.BandEnergy()
        assert top_down(net) == [("",)]
        net.inner = nn.Linear(2, 2)
        assert top_down(net) == [("inner",), ("",)]

    @pytest.mark.parametrize("stages", [0, -1, 1.5, True])
    def test_bad_numbers(self, stages):
        with pytest.raises(ParameterError, match="stages must be a whole number of at least 1"):
            top_down(nn.Linear(2, 2), stages)

    def test_nothing_learned(self):
        with pytest.raises(ParameterError, match="ReLU has no parameters"):
            top_down(nn.ReLU())

    def test_a_pass_tells_the_order_and_who_takes_no_part(self):
        class Mixed(nn.Module):
            def __init__(self):
                super().__init__()
                self.head, self.spare, self.body = nn.Linear(4, 2), nn.Linear(4, 2), nn.Linear(4, 4)
                self.own = nn.Parameter(torch.ones(4))
                self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
                self.rnn = nn.LSTM(4, 4, batch_first=True)
                self.turned = nn.Linear(4, 4, bias=False)

            def forward(self, x):
                assert self.spare.weight.shape == (2, 4)  # no use of it
                x = self.rnn(self.body(x * self.own))[0]
                x = self.attention(x, x, x)[0] @ self.turned.weight.T
                return self.head(x)

        torch.manual_seed(0)
        net, x = Mixed().eval(), torch.randn(1, 3, 4)
        found = top_down(net, run=lambda: net(x))
        assert found == [
            ("head",), ("turned",), ("attention.out_proj",), ("attention",), ("rnn",), ("body",), ("",)
        ]  # fmt: skip
        assert top_down(net, 2, lambda: net(x)) == [sum(found[:4], ()), sum(found[4:], ())]
        assert sorted(sum(top_down(net), ())) == sorted([*sum(found, ()), "spare"])
        assert not any(m._forward_pre_hooks for m in net.modules())

    def test_where_nothing_runs_it_is_the_order_of_definition(self):
        net = worlds.spectral().network
        assert top_down(net, run=lambda: None) == top_down(net)


def test_biases_are_put_back_after_an_error():
    net = torch.nn.Sequential(torch.nn.Conv1d(1, 2, 3), torch.nn.BatchNorm1d(2), torch.nn.Conv1d(2, 1, 1, bias=False))
    before = {k: v.clone() for k, v in net.state_dict().items()}

    def fail():
        with without_biases(net):
            assert net[0].bias.abs().max() == 0
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
