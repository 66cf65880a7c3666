"""Files that version 0.1 wrote before the rooms were rebuilt still load; `data/v0_1/make.py` made them with that version."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from click.testing import CliRunner

import otoscope
from otoscope.cli.main import cli
from otoscope.report.like_to_hear import sections
from otoscope.results import read_results

OLD = Path(__file__).parent / "data" / "v0_1"
EXPECTED = json.loads((OLD / "expected.json").read_text())


@pytest.mark.parametrize("name", ["explanation", "explanation-like-to-hear"])
def test_an_old_record_is_reproduced(name):
    """The second has the key ``autoencoder``, which is now ``generator``."""
    old = json.loads((OLD / name / "explanation.json").read_text())
    made = otoscope.replay(OLD / name / "explanation.json", audio=OLD / name / "original.wav")
    kept, _ = soundfile.read(OLD / name / "kept.wav", dtype="float32")
    np.testing.assert_allclose(made.kept.samples[0], kept, atol=1e-5)
    assert {part: pytest.approx(p, abs=1e-4) for part, p in old["heard"].items()} == made.record()["heard"]
    assert set(old) - {"files", "autoencoder"} <= set(made.record())


def test_old_model_folders_load():
    classifier = otoscope.load_classifier(OLD / "classifier-run" / "model")
    autoencoder = otoscope.load_autoencoder(OLD / "autoencoder-run" / "model")
    sound = torch.from_numpy(soundfile.read(OLD / "explanation" / "original.wav", dtype="float32")[0])[None]
    with torch.no_grad():
        logits, made = classifier(sound)[0], autoencoder(sound[:, :4000])[0, :16]
    assert classifier.digest() == EXPECTED["classifier"]["sha256"]
    torch.testing.assert_close(logits, torch.tensor(EXPECTED["classifier"]["logits"]), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(made, torch.tensor(EXPECTED["autoencoder"]["samples"]), atol=1e-4, rtol=1e-4)


def test_an_old_study_gives_its_table(tmp_path):
    folder = shutil.copytree(OLD / "study", tmp_path / "study")
    assert len(read_results(folder)) == 40
    done = CliRunner().invoke(
        cli, ["table", str(folder), "--pool", "condition", "--out", str(tmp_path / "table"), "--format", "md,csv"]
    )
    assert done.exit_code == 0, done.output
    for name in ("table.md", "table.csv"):
        old, new = ((root / name).read_text().splitlines() for root in (OLD / "study" / "table", tmp_path / "table"))
        numbers = [line for line in old if "oracle:ratio" in line or "random" in line or "gradient" in line]
        assert len(numbers) >= 3
        assert not [line for line in numbers if line not in new and " net" not in line]  # of sanity, the words changed


def test_old_results_of_like_to_hear_give_their_tables():
    text = "\n\n".join(sections(json.loads((OLD / "like-to-hear" / "results.json").read_text())))
    old = (OLD / "like-to-hear" / "tables.md").read_text()
    rows = [row for row in old.splitlines() if row.startswith("| ") and any(c.isdigit() for c in row)]
    assert len(rows) > 10
    assert not [row for row in rows if row not in text and "at Hz" not in row]
