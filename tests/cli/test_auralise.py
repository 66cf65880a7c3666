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


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--layer", "features.33"], "unknown layer 'features.33'; did you mean"),
        (["--layer", "features.3", "--feature", "999"], "layer 'features.3' has features 0 to"),
        (["--way", "gradientt"], "unknown method 'gradientt'; did you mean 'gradient'"),
        (["--layer", "features.3", "--mode", "magnitude"], "are no magnitudes of an STFT"),
        (["--layer", "classifier"], "gives shape|unknown layer"),
    ],
)
def test_bad_input(otoscope, sound, tmp_path, arguments, said):
    import re

    run = otoscope("auralise", sound, *arguments, "--out", tmp_path / "o")
    assert run.code == 2
    assert re.search(said, run.err)
    assert "Traceback" not in run.err
