"""The features domain: the classifier's own features, masked towards silence."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from otoscope.core.errors import UnsupportedError
from otoscope.domains import make_domain
from otoscope.spectral import hz_to_mel


def noise(n=8000):
    return 0.3 * torch.randn(2, n, generator=torch.Generator().manual_seed(0))


def test_one_cell_for_each_feature(listener):
    model = listener(8000)
    grid = make_domain("features").grid(8000, model)
    assert grid.shape == tuple(model.features(noise()).shape[2:])
    np.testing.assert_allclose(grid.frequencies, model.frontend.band_frequencies())
    np.testing.assert_allclose(grid.times, np.arange(grid.shape[1]) * 0.01)


@pytest.mark.parametrize(
    ("bands", "ms", "shape"), [(8, 100, (8, 10)), (4, 0, (4, 100)), (0, 250, (16, 4)), (1, 1e4, (1, 1))]
)
def test_a_coarser_resolution(bands, ms, shape, listener):
    model = listener(8000)
    grid = make_domain("features", {"bands": bands, "ms": ms}).grid(8000, model)
    assert grid.shape == shape
    mel, own = hz_to_mel(grid.frequencies), hz_to_mel(model.frontend.band_frequencies())
    assert own[0] <= mel[0] <= mel[-1] <= own[-1]
    if bands > 1:
        np.testing.assert_allclose(np.diff(mel), np.diff(mel)[0])


def test_the_mask_moves_features_between_silence_and_their_value(listener):
    """X_in = (X - s) M + s, cell by cell."""
    model = listener(8000)
    analysis = make_domain("features").analyse(noise(), model)
    mask = torch.rand(2, *analysis.grid.shape, generator=torch.Generator().manual_seed(1))
    features, silence = model.features(noise()), model.frontend.silence
    wanted = (features - silence) * mask[:, None] + silence
    assert torch.allclose(analysis.synthesise(mask), wanted, atol=1e-5)
    removed = (features - silence) * (1 - mask[:, None]) + silence
    assert torch.allclose(analysis.complement(wanted), removed, atol=1e-5)


def test_amplitude_is_the_distance_from_silence(listener):
    model = listener(8000)
    analysis = make_domain("features").analyse(noise(), model)
    wanted = (model.features(noise())[:, 0] - model.frontend.silence).abs()
    assert torch.allclose(analysis.amplitude(), wanted, atol=1e-4)


def test_without_a_front_end_it_is_refused(listener):
    words = "classifier 'listener' does not declare where its features lie; .* use the stft, mel or time domain"
    with pytest.raises(UnsupportedError, match=words):
        make_domain("features").analyse(noise(), listener(8000, frontend=False))


def test_a_front_end_that_does_not_tell_is_refused():
    class Plain(torch.nn.Module):
        def forward(self, x):
            return x[:, None, None]

    model = SimpleNamespace(sample_rate=8000, name="plain", frontend=Plain(), features=Plain())
    for ask in (lambda d: d.analyse(noise(), model), lambda d: d.grid(8000, model)):
        with pytest.raises(UnsupportedError, match="'plain' does not declare where its features lie"):
            ask(make_domain("features"))


def test_the_grid_of_a_classifier_without_front_end_is_refused():
    from worlds import linear

    with pytest.raises(UnsupportedError, match="'linear' has no separate front end"):
        make_domain("features").grid(100, linear(100))
