"""Contributions of prototypes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from otoscope.core.errors import UnsupportedError
from worlds import prototypical, spectral


def slow_cells(network, features, target):
    """Cells ``(prototype, freq, frame)`` for one clip, by loops in float64."""
    z = network.encoder(features).map[0].double()
    maps, weights = network.prototypes.maps.double(), network.prototypes.weights.double()
    cells, scale = torch.zeros(len(maps), *z.shape[1:], dtype=torch.double), float(network.prototypes.scale)
    for p, prototype in enumerate(maps):
        for f in range(z.shape[1]):
            by_frame = (z[:, f] - prototype[:, f]).square().mean(0)
            near = torch.exp(-scale * by_frame)
            cells[p, f] = (
                network.out.weight[target, p] * weights[p, f] * torch.exp(-scale * by_frame.mean()) * near / near.sum()
            )
    return cells


def test_contributions_sum_to_the_logits_and_are_those_written_out(noise):
    model = prototypical()
    x = torch.from_numpy(noise(model.minimum_length, batch=3))
    features, targets = model.features(x), torch.tensor([0, 2, 3])
    with torch.no_grad():
        cells = model.network.contributions(features, targets)
        logits = model(x)
        torch.testing.assert_close(cells.sum((1, 2, 3)), logits[range(3), targets], rtol=1e-4, atol=1e-5)
        expected = slow_cells(model.network, features[1:2], 2)
        torch.testing.assert_close(cells[1].double(), expected, rtol=1e-4, atol=1e-7)


def test_a_sound_that_is_a_prototype_speaks_for_it_where_it_is(ask, values, noise):
    """A prototype is the clip's own latent map: nothing contributes more, and evenly over its frames."""
    model = prototypical()
    x = torch.from_numpy(noise(model.minimum_length))[None]
    with torch.no_grad():
        own = model.network.encoder(model.features(x)).map[0]
        model.network.prototypes.maps[3] = own
        model.network.out.weight.zero_()
        model.network.out.weight[1, 3] = 2.0
        cells = model.network.contributions(model.features(x), torch.tensor([1]))[0]
    assert float(cells.sum()) == pytest.approx(2.0, rel=1e-5)
    torch.testing.assert_close(cells[3], cells[3].mean(1, keepdim=True).expand_as(cells[3]), rtol=1e-4, atol=1e-7)
    found = values(ask(model, x, "features", target=1), "prototypes")
    assert (found > 0).all()
    assert (values(ask(model, x, "features", target=0), "prototypes") == 0).all()


def test_the_strongest_alone(ask, values, noise):
    model = prototypical()
    x = torch.from_numpy(noise(model.minimum_length))[None]
    every = [values(ask(model, x, "mel", target=1), "prototypes", strongest=n) for n in (0, 8, 100)]
    np.testing.assert_allclose(every[1], every[0])
    np.testing.assert_allclose(every[2], every[0])
    with torch.no_grad():
        cells = model.network.contributions(model.features(x), torch.tensor([1]))[0]
        sizes = cells.sum((1, 2)).abs()
        for p in range(8):
            if p != int(sizes.argmax()):
                model.network.out.weight[1, p] = 0.0
    alone = values(ask(model, x, "mel", target=1), "prototypes")
    assert not np.allclose(alone, every[0])
    np.testing.assert_allclose(
        values(ask(prototypical(), x, "mel", target=1), "prototypes", strongest=1), alone, atol=1e-7
    )


def test_other_networks_have_no_prototypes(ask, values, noise):
    with pytest.raises(
        UnsupportedError, match=r"'spectral' is not a prototype network, such as apnet; use mask_optimisation"
    ):
        values(ask(spectral(), noise(6000)), "prototypes")
