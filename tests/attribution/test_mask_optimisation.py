from __future__ import annotations

import numpy as np
import pytest
import torch

import otoscope
from otoscope.attribution import attribute
from otoscope.attribution.mask_optimisation import Adam, log_odds, roughness
from otoscope.core.errors import UnsupportedError
from worlds import RATE, band_energy, spectral, tone_and_decoy

DECOY = 1


@pytest.fixture
def optimised(ask):
    """`optimised(domain, **settings)`: the problem and the mask of the tone (or another target)."""

    def run(domain="stft", seconds=0.5, seed=0, target=0, **settings):
        problem = ask(band_energy(), tone_and_decoy(seconds), domain, target, seed)
        return problem, attribute(problem, "mask_optimisation", {"steps": 20, **settings}).values

    return run


def probabilities(problem, mask):
    return [float(problem.probability(m)) for m in (torch.ones_like(mask), mask, 1 - mask)]


@pytest.mark.parametrize("domain", ["stft", "mel"])
@pytest.mark.parametrize("target", [0, DECOY])
def test_the_kept_part_gains_and_the_removed_part_loses(optimised, domain, target):
    problem, mask = optimised(domain, target=target, steps=40)
    original, kept, removed = probabilities(problem, mask)
    assert kept > original
    assert removed < original / 2
    assert removed < 0.2


def test_values_are_a_mask(optimised):
    _, mask = optimised()
    assert mask.min() >= 0
    assert mask.max() <= 1
    assert mask.max() > 0.8
    assert mask.median() < 0.2


def test_the_first_step_starts_from_one_half(optimised):
    _, mask = optimised(steps=1, rate=1e-4)
    torch.testing.assert_close(mask, torch.full_like(mask, 0.5), atol=1e-4, rtol=0)


def test_more_weight_on_size_keeps_less(optimised):
    sizes = [float(optimised(size=size)[1].mean()) for size in (0.0, 0.5, 2.0, 10.0)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 3 * sizes[-1]


def test_more_weight_on_smoothness_is_smoother(optimised):
    masks = [optimised(smoothness=weight)[1] for weight in (0.0, 1.0, 20.0)]
    rough = [float(roughness(m) / m.mean()) for m in masks]  # of what is kept
    assert rough == sorted(rough, reverse=True)
    assert rough[0] > 3 * rough[-1]


def test_more_weight_on_the_removed_part_takes_more_out_of_it(optimised):
    removed = [probabilities(*optimised(removed=weight, size=4.0))[2] for weight in (0.0, 5.0)]
    assert removed[1] < removed[0]


def test_the_seed_decides_the_shifts_and_nothing_else(optimised):
    first, again, other = (optimised(seed=s, steps=6)[1] for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    still = [optimised(seed=s, steps=6, jitter_ms=0.0)[1] for s in (1, 2)]
    assert torch.equal(*still)


def test_it_leaves_the_global_random_state_alone(optimised):
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    optimised(steps=2)
    assert torch.equal(before, torch.random.get_rng_state())


def test_features_are_masked_without_shifts(ask, noise):
    problem = ask(spectral(), noise(4000), "features", target=2)
    before = float(problem.probability(problem.inspected.ones()))
    mask = attribute(problem, "mask_optimisation", {"steps": 30, "size": 0.1}).values
    _, kept, removed = probabilities(problem, mask)
    assert kept >= before - 1e-3
    assert kept > removed


def test_silence_has_no_answer_and_no_nan(ask):
    mask = attribute(ask(band_energy(), np.zeros(2000), "stft"), "mask_optimisation", {"steps": 3}).values
    assert torch.isfinite(mask).all()


def test_without_gradients_it_refuses_instead_of_giving_a_mask_of_nothing(ask):
    class Detached(torch.nn.Module):
        def forward(self, waveform):
            return waveform[:, :2].detach()

    world = otoscope.wrap(Detached(), sample_rate=8000, labels=2, name="stone")
    with pytest.raises(UnsupportedError, match="'stone' gives no gradients"):
        attribute(ask(world, np.ones(800)), "mask_optimisation", {"steps": 2})


def test_log_odds_are_those_of_the_probabilities():
    logits = torch.randn(5, 4, generator=torch.Generator().manual_seed(0)).double()
    targets = torch.tensor([0, 1, 2, 3, 1])
    own = logits.softmax(1)[range(5), targets]
    torch.testing.assert_close(log_odds(logits, targets, False), torch.logit(own))
    torch.testing.assert_close(log_odds(logits, targets, True), logits[range(5), targets])
    assert torch.isfinite(log_odds(logits[:, :1], torch.zeros(5, dtype=torch.int64), False)).all()


def test_roughness_is_the_mean_step_to_the_neighbour():
    checks = torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 1.0]])[None]
    torch.testing.assert_close(roughness(checks), torch.tensor([2.0]), rtol=0.02, atol=0)
    torch.testing.assert_close(roughness(torch.tensor([[[0.0, 0.5, 0.5]]])), torch.tensor([0.25]), rtol=0.02, atol=0)
    assert float(roughness(torch.ones(1, 1, 1))) == 0
    assert float(roughness(torch.full((1, 4, 5), 0.7))) == 0


def test_a_rounding_pulls_no_more_than_a_rounding():
    """With a corner at zero, the smallest difference would pull as strongly as the largest."""
    pulls = []
    for step in (1e-7, 0.5):
        mask = torch.tensor([[[0.3, 0.3 + step]]], requires_grad=True)
        roughness(mask).backward()
        pulls.append(float(mask.grad.abs().max()))
    assert pulls[0] < 1e-4
    assert pulls[1] == pytest.approx(1, abs=1e-3)


def test_rounding_does_not_grow_with_the_steps(ask, noise):
    """The same clip and one that differs by the last bit give the same mask."""
    x = noise(4000)
    masks = [
        attribute(ask(spectral(), sound, "stft", target=1), "mask_optimisation", {"steps": 40}).values
        for sound in (x, np.nextafter(x, np.float32(1)))
    ]
    torch.testing.assert_close(*masks, atol=1e-3, rtol=0)


def test_adam_steps_like_torchs():
    rng = torch.Generator().manual_seed(0)
    start = torch.randn(3, 4, generator=rng)
    own, theirs = start.clone().requires_grad_(True), start.clone().requires_grad_(True)
    climb, reference = Adam(own, 0.2), torch.optim.Adam([theirs], lr=0.2)
    for _ in range(30):
        gradient = torch.randn(3, 4, generator=rng)
        climb.step(gradient)
        theirs.grad = gradient.clone()
        reference.step()
    assert torch.allclose(own, theirs, atol=1e-5)
    assert (own - start).abs().max() > 0.1


def test_no_pass_is_larger_than_the_batch_size(monkeypatch):

    model = band_energy()
    sizes = []
    model.network.register_forward_pre_hook(lambda _module, inputs: sizes.append(len(inputs[0])))
    clips = [tone_and_decoy()] * 3
    otoscope.explain(clips, model, sample_rate=RATE, method="mask_optimisation,steps=2", target=0, batch_size=4)
    assert max(sizes) <= 4
