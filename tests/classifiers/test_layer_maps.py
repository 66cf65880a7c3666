"""What a layer makes of waveforms: one pass, every clip its own map."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from otoscope.classifiers.layer_maps import one_map, record_maps
from otoscope.core.errors import UnsupportedError
from tone_worlds import RATE, tones_classifier


def test_maps_probabilities_and_cells_are_those_of_each_waveform():
    classifier = tones_classifier()
    waves = torch.from_numpy(np.random.default_rng(0).standard_normal((3, RATE // 2)).astype(np.float32)) * 0.1
    made = record_maps(classifier, waves, "cells")
    assert made.maps.ndim == 4
    assert len(made.maps) == 3
    assert made.maps.shape[2:] == (len(made.cells.edges_hz) - 1, len(made.cells.edges_s) - 1)
    torch.testing.assert_close(made.probabilities, classifier.probabilities(classifier(waves)).detach())
    classifier.one_by_one = True
    for one, several in zip(record_maps(classifier, waves, "cells")[:2], made[:2], strict=True):
        torch.testing.assert_close(one, several, atol=1e-5, rtol=1e-5)
    assert not made.maps.requires_grad


def test_a_layer_must_give_one_map():
    maps = [torch.zeros(2, 3, 4, 5)]
    assert one_map("x", maps, 2) is maps[0]
    with pytest.raises(UnsupportedError, match=r"layer 'x' is used 2 times in a forward pass"):
        one_map("x", maps * 2, 2)
    with pytest.raises(UnsupportedError, match=r"layer 'x' does not return one map per clip"):
        one_map("x", maps, 3)
    with pytest.raises(UnsupportedError, match=r"layer 'x' is not used in a forward pass"):
        one_map("x", [], 3)
