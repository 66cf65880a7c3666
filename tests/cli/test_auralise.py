"""`otoscope auralise`."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile


@pytest.fixture
def sound(tmp_path):
    rng = np.random.default_rng(0)
    soundfile.write(tmp_path / "noise.wav", 0.1 * rng.standard_normal(32000), 32000)
    return tmp_path / "noise.wav"


def test_the_strongest_features(otoscope, sound, tmp_path):
    run = otoscope("auralise", sound, "--layer", "features.3", "--top", "2", "--out", tmp_path / "o", "--json")
    assert run.code == 0
    folder = tmp_path / "o" / "noise"
    assert run.json["folder"] == str(folder)
    for row in run.json["features"]:
        assert (folder / row["folder"] / "report.html").is_file()
        assert row["measures"]["strength"] > 0.1
    assert (folder / "comparison.html").is_file()


def test_the_table(otoscope, sound, tmp_path):
    run = otoscope(
        "auralise", sound, "--layer", "features.3", "--feature", "4", "--way", "gradient", "--out", tmp_path / "o"
    )
    head, line = run.out.strip().splitlines()
    assert head.split() == ["feature", "strength", "kept", "removed", "selectivity", "folder"]
    assert line.split()[0] == "4"


def test_every_feature(otoscope, sound, tmp_path):
    run = otoscope("auralise", sound, "--layer", "features.3", "--all", "--out", tmp_path / "o", "--json")
    assert run.code == 0, run.err
    folder = tmp_path / "o" / "noise" / "features.3"
    assert (run.json["folder"], run.json["layer"]) == (str(folder), "features.3")
    rows = run.json["features"]
    heard = [row for row in rows if "file" in row]
    assert len(rows) == 16
    assert all((folder / row["file"]).is_file() for row in heard)
    assert (folder / "features.csv").read_text().count("\n") == 17
    alone = otoscope("auralise", sound, "--layer", "features.3", "--feature", "4", "--out", tmp_path / "p", "--json")
    assert rows[4]["kept"] == pytest.approx(alone.json["features"][0]["measures"]["kept"], rel=2e-3)
    table = otoscope("auralise", sound, "--layer", "features.3", "--all", "--out", tmp_path / "o")
    assert table.out.startswith(f"{len(heard)} of 16 features respond")


def test_silence_and_long_sounds_with_all(otoscope, tmp_path):
    soundfile.write(tmp_path / "still.wav", np.zeros(32000), 32000)
    run = otoscope("auralise", tmp_path / "still.wav", "--layer", "features.3", "--all", "--out", tmp_path / "o")
    assert run.code == 0
    assert "0 of 16 features respond" in run.out
    soundfile.write(tmp_path / "long.wav", np.zeros(32000 * 40), 32000)
    run = otoscope("auralise", tmp_path / "long.wav", "--layer", "features.3", "--all", "--out", tmp_path / "o")
    assert run.code == 2
    assert "takes at once; cut it" in run.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--layer", "features.33"], "unknown layer 'features.33'; did you mean"),
        (["--layer", "features.3", "--feature", "999"], "layer 'features.3' has features 0 to"),
        (["--way", "gradientt"], "unknown method 'gradientt'; did you mean 'gradient'"),
        (["--layer", "features.3", "--mode", "magnitude"], "are no magnitudes of an STFT"),
        (["--layer", "features.3", "--all", "--feature", "3"], "--all goes with none of"),
        (["--layer", "features.3", "--all", "--mode", "magnitude"], "--all goes with none of"),
        (["--layer", "features.3", "--all", "--peak"], "--all goes with none of .*--peak"),
        (["--layer", "features.3", "--all", "--top", "2"], "--all goes with none of"),
        (["--layer", "features.3:heads", "--all"], "has no heads that can be read"),
        (["--layer", "classifier"], "gives shape|unknown layer"),
    ],
)
def test_bad_input(otoscope, sound, tmp_path, arguments, said):
    import re

    run = otoscope("auralise", sound, *arguments, "--out", tmp_path / "o")
    assert run.code == 2
    assert re.search(said, run.err)
    assert "Traceback" not in run.err
