"""Versions of a sound: kept for a while, with what the network says."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile

from feature_worlds import RATE, planted_classifier, tone
from otoscope.core.errors import UnknownNameError
from otoscope.studio.stage import KEPT_SOUNDS, Stage


def test_sounds_are_kept_until_many_others_came():
    stage = Stage(RATE)
    for i in range(KEPT_SOUNDS):
        stage.keep(str(i), np.full(10, i, np.float32))
    stage.keep("0", np.zeros(10, np.float32))  # used again: the newest now
    stage.keep("more", np.ones(10, np.float32))
    assert stage.kept("1") is None
    assert stage.kept("0") is not None
    sound, rate = soundfile.read(io.BytesIO(stage.wav("more")))
    assert (rate, sound.tolist()) == (RATE, [1.0] * 10)
    with pytest.raises(UnknownNameError, match="unknown sound '1'"):
        stage.wav("1")


def test_what_a_version_says():
    stage, model, sound = Stage(RATE), planted_classifier(), tone(1100)
    made = stage.version(model, "k", sound, "original", "Title", "note", [("Response", "0.5")])
    assert made["said"][0]["label"] in model.labels
    assert len(made["said"]) == 2
    content = stage.content([made, stage.version(model, "l", 0.1 * sound, "kept", "Soft", "")])
    loud, soft = content["versions"]
    assert content["duration"] == pytest.approx(2.0)
    assert loud["rms_db"] - soft["rms_db"] == pytest.approx(20, abs=0.1)
    assert loud["facts"] == [["Response", "0.5"]]
    assert "picture" not in loud
