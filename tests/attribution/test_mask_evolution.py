"""Masks found with answers alone: the cells that count, on worlds where they are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import otoscope
from otoscope.attribution import attribute
from otoscope.attribution.mask_evolution import _Best, fit_differences, largest
from worlds import RATE, band_energy, tone_and_decoy

FEW = {"pairs": 20, "generations": 3, "population": 14}


class FramesThatCount(nn.Module):
    """The first class is likely if parts 3 and 4 of ten are loud and the others make no difference."""

    def forward(self, waveform):
        parts = waveform.view(len(waveform), 10, -1).square().mean(2).sqrt()
        score = 40 * parts[:, 3:5].mean(1) - 2
        return torch.stack([score, -score], 1)


def known():
    return otoscope.wrap(FramesThatCount(), sample_rate=RATE, labels=["loud", "soft"], outputs="logits", check=False)


def test_the_cells_that_count_come_first(ask, noise):
    problem = ask(known(), noise(RATE), ms=100)
    result = attribute(problem, "mask_evolution", FEW)
    order = result.values[0, 0].argsort(descending=True)[:2].tolist()
    assert sorted(order) == [3, 4]
    assert (result.values[0, 0, [3, 4]] > 0).all()  # the mask `binary` keeps them


@pytest.mark.parametrize("domain", ["stft", "mel"])
@pytest.mark.parametrize("target", [0, 1])
def test_the_kept_part_gains_and_the_removed_part_loses(ask, domain, target):
    problem = ask(band_energy(), tone_and_decoy(0.5), domain, target)
    values = attribute(problem, "mask_evolution", {}).values
    mask = (values > 0).float()
    original, kept, removed = (float(problem.probability(m)) for m in (torch.ones_like(mask), mask, 1 - mask))
    assert kept > original
    assert removed < min(0.2, original / 2)
    assert mask.mean() < 0.5


def test_it_needs_no_gradients(ask):
    inner = band_energy()
    model = otoscope.wrap_function(
        lambda x: inner(torch.from_numpy(x)).detach().numpy(), sample_rate=RATE, labels=list(inner.labels), outputs="logits",
        check=False,
    )  # fmt: skip
    results = [attribute(ask(m, tone_and_decoy(0.3), "mel"), "mask_evolution", FEW).values for m in (inner, model)]
    torch.testing.assert_close(*results)


def test_a_batch_gives_what_single_clips_give(ask, values):
    clips = np.stack([tone_and_decoy(0.3), tone_and_decoy(0.3)[::-1], np.roll(tone_and_decoy(0.3), 900)])
    together = values(ask(band_energy(), clips, "mel", [0, 1, 0]), "mask_evolution", **FEW)
    for i, clip in enumerate(clips):
        alone = values(ask(band_energy(), clip, "mel", [0, 1, 0][i]), "mask_evolution", **FEW)
        np.testing.assert_allclose(together[i], alone[0], atol=1e-5)


def test_passes_are_what_is_said(ask):
    """Two for each mask; fewer where a clip is done before."""
    entry = otoscope.core.registry.get("method", "mask_evolution")
    for enough, generations, spent in ((9.0, 3, 21 + 10 + 3 * 14), (0.5, 3, 21 + 10), (9.0, 0, 21 + 10)):
        settings = entry.settings({**FEW, "enough": enough, "generations": generations})
        problem = ask(band_energy(), tone_and_decoy(0.3), "mel")
        result = attribute(problem, "mask_evolution", settings)
        assert problem.inspected.passes == 2 * spent <= entry.facts["passes"](**settings)
        assert result.facts["samples"].tolist() == [spent]


def test_more_weight_on_size_keeps_less(ask):
    def share(size):
        problem = ask(band_energy(), tone_and_decoy(0.5), "stft")
        return float((attribute(problem, "mask_evolution", {"enough": 9.0, "size": size}).values > 0).float().mean())

    assert share(30.0) < share(0.0) / 2


def test_segments_are_kept_as_one(ask):
    problem = ask(band_energy(), tone_and_decoy(0.5), "superpixels")
    values, labels = attribute(problem, "mask_evolution", FEW).values[0], problem.inspected.analysis.segments()[0]
    for segment in labels.unique():
        found = values[labels == segment]
        torch.testing.assert_close(found, found[:1].expand_as(found), atol=1e-5, rtol=0)


@pytest.mark.parametrize("masks", [3, 40])
def test_the_fit_is_ridge_regression(masks):
    """With fewer and with more masks than cells: the normal equations with a penalty of 1, by NumPy in float64."""
    rng = np.random.default_rng(0)
    given, differences = (rng.random((masks, 2, 4)) > 0.5).astype(np.float32), rng.normal(size=masks) * 5
    x, y = given.reshape(masks, -1) - 0.5, np.clip(differences / differences.std(), -2, 2)
    expected = np.linalg.solve(x.T @ x + np.eye(8), x.T @ y)
    found = fit_differences(torch.from_numpy(given), torch.from_numpy(differences))
    np.testing.assert_allclose(found.flatten(), expected, rtol=1e-4, atol=1e-6)


def test_the_largest_cells():
    values = torch.tensor([[[3.0, 1.0], [2.0, 0.0]], [[1.0, 1.0], [1.0, 0.0]]])
    assert largest(values, torch.tensor([0.5, 0.25])).tolist() == [[[1, 0], [1, 0]], [[1, 1], [1, 0]]]
    assert largest(values, torch.tensor([0.0, 1.0])).tolist() == [[[1, 0], [0, 0]], [[1, 1], [1, 1]]]


def test_a_class_that_cannot_be_lost_ends_without_an_error(ask):
    class Constant(nn.Module):
        def forward(self, waveform):
            return torch.zeros(len(waveform), 2) * waveform.sum(1, keepdim=True)

    model = otoscope.wrap(Constant(), sample_rate=RATE, labels=["a", "b"], outputs="logits", check=False)
    result = attribute(ask(model, tone_and_decoy(0.3), "mel"), "mask_evolution", FEW)
    assert torch.isfinite(result.values).all()


def test_above_one_all_generations_are_used_also_where_the_original_is_unsure(ask):
    quiet = ask(band_energy(), 0.01 * tone_and_decoy(0.3), "mel", target=1)
    original = float(quiet.probability(quiet.inspected.ones()))
    assert original < 0.5
    used = []
    for enough in (0.9, 1.5):
        settings = {**FEW, "enough": enough, "generations": 3}
        result = attribute(ask(band_energy(), 0.01 * tone_and_decoy(0.3), "mel", target=1), "mask_evolution", settings)
        used.append(float(result.facts["samples"]))
    assert used[1] == 21 + 10 + 3 * 14
    assert used[0] <= used[1]


def best_of(enough, kept, removed, shares=(0.2, 0.1, 0.3)):
    found = _Best(enough)
    found.update(
        torch.arange(12.0).reshape(3, 2, 2),
        torch.tensor(shares),
        torch.tensor([0.0, 1.0, 2.0]),
        *map(torch.tensor, (kept, removed)),
    )
    return found


@pytest.mark.parametrize(
    ("original", "kept", "removed", "share", "good"),
    [
        (1.0, [0.95, 0.95, 0.99], [0.01, 0.04, 0.0], 0.1, True),  # the smallest that is good enough
        (1.0, [0.95, 0.99, 0.99], [0.01, 0.06, 0.0], 0.2, True),  # not the one that does not lose the target
        (1.0, [0.7, 0.8, 0.5], [0.0, 0.0, 0.0], 0.3, False),  # none: the fittest
        (0.2, [0.19, 0.17, 0.5], [0.0, 0.0, 0.0], 0.2, True),  # an unsure original asks for less
        (0.01, [0.01, 0.02, 0.01], [0.01, 0.01, 0.01], 0.1, True),
    ],
)
def test_good_enough_is_relative_to_the_original(original, kept, removed, share, good):
    found = best_of(0.9 * original, kept, removed)
    assert found.good is good
    assert found.share == pytest.approx(share)
    assert found.done is (good and share <= 0.151)
