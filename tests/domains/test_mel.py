"""The mel domain: evenly spaced in mel; otherwise as the STFT domain."""

import numpy as np
import pytest
import torch

from otoscope.domains import make_domain
from otoscope.spectral import hz_to_mel
from worlds import tone


@pytest.mark.parametrize(("bands", "ms", "shape"), [(32, 50, (32, 20)), (1, 1000, (1, 1)), (4, 20, (4, 50))])
def test_the_grid_is_even_in_mel(bands, ms, shape, listener):
    grid = make_domain("mel", {"bands": bands, "ms": ms}).grid(8000, listener(8000))
    assert grid.shape == shape
    assert grid.scale == "mel"
    top = float(hz_to_mel(4000))
    np.testing.assert_allclose(hz_to_mel(grid.frequencies), (np.arange(bands) + 0.5) * top / bands)


def test_a_band_taken_away_takes_its_tone_and_leaves_the_other(listener, db):
    both = tone(400) + tone(2500)
    analysis = make_domain("mel").analyse(torch.from_numpy(both)[None], listener(8000))
    mask = torch.ones(1, *analysis.grid.shape)
    mask[:, analysis.grid.frequencies > 1200] = 0
    kept = analysis.synthesise(mask)[0]
    assert db(kept, 2500, 8000) < db(both, 2500, 8000) - 60
    assert db(kept, 400, 8000) == pytest.approx(db(both, 400, 8000), abs=0.05)
