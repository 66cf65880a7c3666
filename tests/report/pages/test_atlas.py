"""The atlas's page as text."""

from __future__ import annotations

import json
import re

import pytest

from otoscope.report.pages.atlas import write_atlas

FEATURE = {
    "number": 0, "name": "onsets", "explained": 0.9, "description": "onsets", "centre_hz": 1000.0, "bandwidth_octaves": 2.0,
    "onset": 1.0, "sustain": 0.1, "offset": 0.0, "latency_s": 0.01, "modulation_hz": 8.0, "modulation_contrast": 2.0,
    "pitch_hz": 55.0, "pitch_contrast": 2.0, "timbre": "odd", "timbre_contrast": 1.2, "level_exponent": 1.0,
    "twin": -1, "stable": True,
    "clips": [{"why": "activation", "clip": "</script><b>.wav", "label": "dog", "start_s": 0.5, "strength": 1.0,
               "original": "sounds/a.ogg",
               "heard": "sounds/b.ogg", "kept": 0.8, "selectivity": 2.0, "picture": {"rows": 1, "columns": 2, "values": [0, 255]}}],
}  # fmt: skip
DRIVE = {"same": 0.5, "different": 0.1, "drive": 0.4, "low": 0.2, "high": 0.6}


@pytest.fixture
def atlas():
    dead = {**FEATURE, "number": 1, "name": "dead", "clips": []}
    none = {**FEATURE, "number": 2, "name": "", "centre_hz": None, "bandwidth_octaves": None, "level_exponent": None}
    layer = {
        "name": "block1",
        "features": [FEATURE, dead, none],
        "drives": dict.fromkeys(("key", "kind", "timbre"), DRIVE),
    }
    return {"model": {"name": "<vgg5>"}, "clips": 3, "stimuli": 250, "layers": [layer]}


def test_what_the_page_says(atlas, tmp_path):
    page = (tmp_path / "atlas.html").read_text() if write_atlas(atlas, tmp_path / "atlas.html") else ""
    assert "3 features in 1 layers; 1 have a name" in re.sub(r"\s+", " ", page)
    assert "&lt;vgg5&gt;" in page
    assert "<vgg5>" not in page
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert json.loads(data.group(1))["layers"] == atlas["layers"]
    assert "</script><b>" not in page
    assert "https://" not in page
