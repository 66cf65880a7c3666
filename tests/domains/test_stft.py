"""The STFT domain: evenly spaced in Hz; a mask on a band takes a tone away and leaves the other."""

import numpy as np
import pytest
import torch

from otoscope.domains import make_domain
from otoscope.domains.stft import config_at
from worlds import tone


def test_the_grid_is_even_in_hz_and_seconds(listener):
    grid = make_domain("stft", {"bands": 8, "ms": 100}).grid(8000, listener(8000))
    assert grid.shape == (8, 10)
    assert grid.scale == "hz"
    np.testing.assert_allclose(grid.frequencies, 250 + 500 * np.arange(8))
    np.testing.assert_allclose(grid.times, 0.05 + 0.1 * np.arange(10))


@pytest.mark.parametrize(("bands", "ms", "shape"), [(64, 50, (64, 20)), (1, 1000, (1, 1)), (200, 10, (200, 100))])
def test_the_resolution_is_what_was_asked_for(bands, ms, shape, listener):
    analysis = make_domain("stft", {"bands": bands, "ms": ms}).analyse(torch.zeros(1, 8000), listener(8000))
    assert analysis.grid.shape == shape
    assert analysis.synthesise(torch.ones(1, *shape)).shape == (1, 8000)


def test_a_band_taken_away_takes_its_tone_and_leaves_the_other(listener, db):
    both = tone(1000) + tone(3000)
    analysis = make_domain("stft", {"bands": 16, "ms": 50}).analyse(torch.from_numpy(both)[None], listener(8000))
    mask = torch.ones(1, *analysis.grid.shape)
    mask[:, np.abs(analysis.grid.frequencies - 3000) < 600] = 0
    kept = analysis.synthesise(mask)
    removed = analysis.complement(kept)[0]
    assert db(kept[0], 3000, 8000) < db(both, 3000, 8000) - 60
    assert db(kept[0], 1000, 8000) == pytest.approx(db(both, 1000, 8000), abs=0.05)
    assert db(removed, 1000, 8000) < db(both, 1000, 8000) - 60
    assert db(removed, 3000, 8000) == pytest.approx(db(both, 3000, 8000), abs=0.05)


def test_a_stretch_taken_away_is_silent_there_and_whole_elsewhere(listener):
    x = torch.from_numpy(tone(1000))[None]
    analysis = make_domain("stft", {"bands": 16, "ms": 50}).analyse(x, listener(8000))
    mask = torch.ones(1, *analysis.grid.shape)
    mask[:, :, analysis.grid.times > 0.5] = 0
    kept = analysis.synthesise(mask)
    assert kept[0, 4600:].abs().max() < 1e-5
    assert (kept - x)[0, :3400].abs().max() < 1e-5


def test_amplitude_says_where_the_sound_is(listener):
    x = torch.from_numpy(tone(1000))[None]
    analysis = make_domain("stft", {"bands": 16, "ms": 100}).analyse(x, listener(8000))
    amplitude = analysis.amplitude()[0]
    loud = amplitude.mean(1).argmax()
    assert abs(analysis.grid.frequencies[loud] - 1000) <= 250
    energy = analysis.spec.abs().square().sum()
    assert amplitude.square().sum() == pytest.approx(float(energy), rel=1e-4)


@pytest.mark.parametrize("rate", [1, 50, 100, 8000, 11025, 22050, 44100, 48000, 384000])
def test_windows_of_32_ms_at_any_rate(rate):
    config = config_at(rate)
    assert config.n_fft == 2 * config.hop_length
    if rate >= 8000:
        assert config.n_fft / rate == pytest.approx(0.032, rel=0.01)
