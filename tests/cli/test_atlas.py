"""`otoscope atlas`."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from note_worlds import write_notes


@pytest.fixture
def clips(tmp_path):
    rng = np.random.default_rng(0)
    for label in ("a", "b"):
        (tmp_path / "clips" / label).mkdir(parents=True)
        for i in range(3):
            soundfile.write(tmp_path / "clips" / label / f"{label}{i}.wav", 0.1 * rng.standard_normal(32000), 32000)
    return tmp_path / "clips"


def test_table_json_and_page(otoscope, clips, tmp_path):
    arguments = ("atlas", "esc10-mn", "--root", clips, "--layer", "features.1", "--clips", "3", "--out", tmp_path / "o")
    run = otoscope(*arguments, "--json")
    assert run.code == 0
    assert run.json["layers"][0]["features"] == 8
    assert (tmp_path / "o" / "atlas.html").is_file()
    table = otoscope(*arguments).out
    assert table.split()[:3] == ["layer", "features", "named"]
    assert "atlas.html in a browser" in table


def test_notes_and_twin(otoscope, clips, tmp_path):
    import torch

    from otoscope.classifiers import load_classifier

    notes = write_notes(tmp_path / "notes")
    twin = load_classifier("esc10-mn")
    with torch.no_grad():
        for parameter in twin.network.parameters():
            parameter.mul_(1.01)
    twin.save_pretrained(tmp_path / "twin")
    arguments = ("atlas", "esc10-mn", "--root", clips, "--layer", "features.1", "--clips", "1", "--out", tmp_path / "o")
    run = otoscope(*arguments, "--notes", notes, "--twin", tmp_path / "twin", "--json")
    assert run.code == 0, run.err
    row = run.json["layers"][0]
    assert 0 < row["same in the twin"] <= row["named"]
    run = otoscope(*arguments, "--notes", tmp_path)
    assert run.code == 2
    assert "notes.csv" in run.err
    run = otoscope(*arguments, "--twin", "esc10-mn")
    assert "has the same weights" in run.err


def test_bad_input(otoscope, clips, tmp_path):
    run = otoscope("atlas", "esc10-mn", "--root", clips, "--layer", "features.99", "--out", tmp_path / "o")
    assert run.code == 2
    assert "unknown layer 'features.99'; did you mean" in run.err
    run = otoscope("atlas", "esc10-mn", "--root", tmp_path / "none")
    assert run.code == 2
    assert "Traceback" not in run.err
