"""Files of an auralisation."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile

from feature_worlds import BAND, clip, planted_classifier, tone
from otoscope.auralisation import auralise, save_auralisation
from otoscope.core.errors import WriteError


def test_folders_record_and_page(tmp_path):
    found = auralise(clip(tone(1100) + tone(200)), planted_classifier(), "planted", [BAND, 1])
    record = save_auralisation(found, tmp_path / "out", magnitudes=True)
    assert record == json.loads((tmp_path / "out" / "auralisation.json").read_text())
    assert [row["folder"] for row in record["features"]] == ["planted-2", "planted-1"]
    assert (tmp_path / "out" / "comparison.html").is_file()
    assert record["features"][0]["measures"]["kept"] == pytest.approx(found.features[0].measures.kept)
    assert len(record["responses"]) == 4
    for row in record["features"]:
        sound, _ = soundfile.read(tmp_path / "out" / row["folder"] / "magnitudes.wav")
        assert np.abs(sound).max() == pytest.approx(row["magnitudes"]["peak"], rel=1e-3)
    assert record["features"][0]["magnitudes"]["selectivity"] > 1.2


def test_full_scale_only_if_asked(tmp_path):
    found = auralise(clip(tone(1100)), planted_classifier(), "planted", [BAND])
    save_auralisation(found, tmp_path, magnitudes=True, normalise=True)
    sound, _ = soundfile.read(tmp_path / "planted-2" / "magnitudes.wav")
    assert np.abs(sound).max() == pytest.approx(1, abs=1e-3)


def test_a_feature_that_does_not_respond_has_no_files(tmp_path):
    found = auralise(clip(np.zeros(8000)), planted_classifier(), "planted", [0])
    (row,) = save_auralisation(found, tmp_path)["features"]
    assert row == {"feature": 0, "silent": True}
    assert [p.name for p in tmp_path.iterdir()] == ["auralisation.json"]


def test_a_file_in_the_way(tmp_path):
    (tmp_path / "out").write_text("mine")
    found = auralise(clip(np.zeros(8000)), planted_classifier(), "planted", [0])
    with pytest.raises(WriteError):
        save_auralisation(found, tmp_path / "out")
    assert (tmp_path / "out").read_text() == "mine"
