"""The matplotlib figure of an explanation: five panels that show the numbers of its page."""

import numpy as np
import pytest

import otoscope
from otoscope.report.pages.explanation_contents import build_page
from otoscope.report.plots import plot
from worlds import RATE, band_energy, tone_and_decoy


@pytest.mark.parametrize(
    ("method", "domain", "rows"), [("input_x_gradient", "stft", 0), ("occlusion", "components,n=2", 3)]
)
def test_five_panels(method, domain, rows):
    pytest.importorskip("matplotlib")
    options = {"sample_rate": RATE, "method": method, "domain": domain, "target": "tone"}
    explanation = otoscope.explain(tone_and_decoy(1.0), band_energy(), **options)
    page = build_page(explanation)
    axes = plot(explanation).axes[:5]
    heard = [f"{part}: tone {page.heard[part]:.3f} as heard" for part in ("original", "kept", "removed")]
    assert [ax.get_title(loc="left") for ax in axes] == [*heard, "attribution", "mask"]
    shown = axes[3].collections[0].get_array()
    assert float(np.abs(shown).max()) == pytest.approx(float(np.abs(page.attribution).max()))
    assert axes[4].collections[0].get_clim() == (0, 1)
    assert axes[4].get_xlim() == (0, 1)
    assert len(page.rows) == rows
    if rows:
        assert [label.get_text() for label in axes[4].get_yticklabels()] == list(page.rows)
