"""Contributions of prototypes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from otoscope.attribution.prototypes import _similar_cells
from otoscope.classifiers.prototype_space import spread
from otoscope.core.errors import OtoscopeError, ParameterError, UnsupportedError
from otoscope.prototypes import fit_prototypes, record_clips
from otoscope.prototypes.layer_clips import record_waveforms
from tone_worlds import tone_sound, tones_classifier, write_known_tones
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
        UnsupportedError, match=r"'spectral' is not a prototype network, such as apnet; give the folder of prototypes"
    ):
        values(ask(spectral(), noise(6000)), "prototypes")


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A classifier of three tones, and a folder of prototypes that were fitted to it."""
    classifier = tones_classifier()
    clips = record_clips(classifier, write_known_tones(tmp_path_factory.mktemp("clips")))
    found = fit_prototypes(classifier, clips, per_class=2, window_s=0.2, parts="both")
    return classifier, found, found.save(tmp_path_factory.mktemp("prototypes"))


@pytest.mark.parametrize("domain", ["stft", "features", "mel", "time"])
def test_a_clip_is_like_fitted_prototypes_where_the_tone_sounds(ask, values, fitted, domain):
    classifier, _, folder = fitted
    x = np.stack([tone_sound(1500, 0.1, 5), tone_sound(1500, 0.4, 6)])
    problem = ask(classifier, x, domain, target=2)
    found = values(problem, "prototypes", folder=str(folder))
    grid = problem.inspected.grid
    for start, one in zip((0.1, 0.4), found):
        row, column = np.unravel_index(one.argmax(), one.shape)
        assert one.max() > 0
        assert start - 0.05 < grid.times[column] < start + 0.35
        assert domain == "time" or 900 < grid.frequencies[row] < 2000
    against = values(ask(classifier, x, domain, target=0), "prototypes", folder=str(folder))
    for start, one in zip((0.1, 0.4), against):
        column = np.unravel_index(one.argmin(), one.shape)[1]
        assert one.min() < 0
        assert start - 0.05 < grid.times[column] < start + 0.35


def test_values_of_fitted_prototypes_are_those_written_out(ask, values, fitted):
    """One frame a window, on the layer's own cells: sums over prototypes of weights and similarities."""
    classifier, found, _ = fitted
    x = tone_sound(500, 0.2, 7)
    space, target = found.space, 1
    match = found.match(classifier, x)
    own = space.classes.numpy() == target
    among = np.exp(match.similarity / space.temperature) * own
    weight = np.where(own, among / among.sum(), -match.share)
    (clip,) = record_waveforms(classifier, x[None], "cells")
    width = clip.cells.frames(space.window_s)
    places = space.similarity(clip.map[None], width)[0].clamp_min(0).numpy()
    expected = np.zeros(clip.map.shape[1:])
    for k in range(expected.shape[1]):
        over = [w for w in range(places.shape[2]) if w <= k < w + width]
        expected[:, k] = np.einsum("n,nrw->r", weight, places[:, :, over]) / len(over)
    problem = ask(classifier, x, "features", target=target)
    cells = _similar_cells(problem, space, clip.map[None], torch.tensor([0]), 97, 0)
    np.testing.assert_allclose(cells[0].numpy(), expected, atol=1e-5)
    one = _similar_cells(problem, space, clip.map[None], torch.tensor([0]), 97, 1)
    k = int(np.abs(weight).argmax())
    np.testing.assert_allclose(
        one.sum(), spread(torch.from_numpy(weight[k] * places[k])[None], (4, 19), width).sum(), rtol=1e-4
    )


def test_folders_that_do_not_serve(ask, values, fitted, tmp_path):
    classifier, found, folder = fitted
    x = tone_sound(500, 0.2)
    with pytest.raises(ParameterError, match=r"of another classifier.*got 'spectral'"):
        values(ask(spectral(), np.zeros(8000)), "prototypes", folder=str(folder))
    fewer = found.without(["p1", "p2"]).save(tmp_path / "fewer")
    with pytest.raises(ParameterError, match=r"has no prototype of class 'high'; explain another class, or fit"):
        values(ask(classifier, x, target=0), "prototypes", folder=str(fewer))
    with pytest.raises(OtoscopeError, match=r"cannot read the prototypes"):
        values(ask(classifier, x), "prototypes", folder=str(tmp_path / "nowhere"))


def test_a_batch_gives_what_single_clips_give(ask, values, fitted):
    classifier, _, folder = fitted
    x = np.stack([tone_sound(hz, 0.2, int(hz)) for hz in (500, 1500, 2500)])
    every = values(ask(classifier, x, target=[1, 2, 0], batch_size=2), "prototypes", folder=str(folder))
    for i, target in enumerate((1, 2, 0)):
        alone = values(ask(classifier, x[i], target=target), "prototypes", folder=str(folder))
        np.testing.assert_allclose(alone[0], every[i], atol=1e-6)
