"""Rows that can be heard again."""

import json
import shutil

import numpy as np
import pytest
import torch

from otoscope.core.errors import OtoscopeError
from otoscope.studies import Replayer
from study_worlds import rows_of


def test_rows_can_be_heard_again(done):
    _, out, _, _ = done
    replayer = Replayer(out, "cpu")
    row = next(r for r in rows_of(out) if r["condition"] == "cue" and r["method"].startswith("rise"))
    made = replayer(row)
    np.testing.assert_allclose(made.kept.samples + made.removed.samples, made.original.samples, atol=1e-6)
    from worlds import band_energy

    ears = band_energy()
    p = ears.probabilities(ears(torch.tensor(made.kept.samples))).detach()[0, row["target"]]
    assert float(p) == pytest.approx(row["heard_kept"], abs=1e-5)
    assert made.true is not None


def test_rows_of_other_weights_or_settings_are_not_heard(done, tmp_path):
    _, out, _, _ = done
    row = rows_of(out)[0]
    assert Replayer(out, "cpu")(row).kept.samples.size
    shutil.copytree(out, tmp_path / "other")
    content = json.loads((out / "recipe.json").read_text())
    for change in ({"classifiers": {"ears": {"model": "worlds:spectral"}}}, {"seed": 4}):
        (tmp_path / "other" / "recipe.json").write_text(json.dumps({**content, **change}))
        with pytest.raises(OtoscopeError, match="the weights of 'ears' or the settings have changed"):
            Replayer(tmp_path / "other", "cpu")(row)
