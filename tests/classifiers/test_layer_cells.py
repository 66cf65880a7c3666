"""Where the cells of layers lie."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import otoscope
from otoscope.classifiers.layer_cells import LayerCells, layer_cells
from otoscope.core.errors import UnsupportedError
from tone_worlds import RATE, tones_classifier
from worlds import linear


def test_cells_lie_where_the_classifier_places_them():
    """Cells of five frames of 10 ms, the first around frame 2, whose middle is at 16 ms."""
    cells = layer_cells(tones_classifier(), "cells", (4, 19), 97, RATE)
    np.testing.assert_allclose(cells.edges_s, 0.011 + 0.05 * np.arange(20), atol=1e-9)
    assert cells.step_s == pytest.approx(0.05)
    assert cells.edges_hz[[0, -1]].tolist() == [0, 4000]
    assert (np.diff(cells.edges_hz) > 800).all()
    assert np.abs(cells.edges_hz[1:4] - [1000, 2000, 3000]).max() < 100  # halfway on the mel scale


def test_cells_without_a_place_tile_the_features():
    cells = layer_cells(tones_classifier(places={}), "cells", (1, 10), 100, RATE)
    steps = np.diff(cells.edges_s)
    np.testing.assert_allclose(steps[1:-1], 0.1, atol=1e-9)
    assert cells.edges_hz.tolist() == [0, 4000]


def test_cells_of_a_network_of_the_waveform():
    cells = layer_cells(linear(RATE), "any", (1, 4), RATE, RATE)
    np.testing.assert_allclose(cells.edges_s, [0, 0.25, 0.5, 0.75, 1], atol=1e-3)
    one = layer_cells(linear(RATE), "any", (1, 1), RATE, RATE)
    assert one.edges_s.tolist() == [0, 1]
    assert one.frames(0.2) == 1


def test_edges_stay_within_the_sound():
    cells = layer_cells(tones_classifier(places={"cells": ((1.5, 4.0), (0.0, 32.0))}), "cells", (4, 4), 97, RATE)
    assert cells.edges_s[0] == 0
    assert cells.edges_s[-1] == 1
    assert (np.diff(cells.edges_s) > 0).all()


def test_bands_without_a_declared_place():
    class Front(torch.nn.Module):
        silence, minimum_length = 0.0, 1

    model = otoscope.Classifier(torch.nn.Identity(), sample_rate=RATE, labels=["a"], frontend=Front(), name="plain")
    with pytest.raises(UnsupportedError, match=r"'plain' does not declare where its features lie"):
        layer_cells(model, "x", (4, 8), 100, RATE)
    cells = layer_cells(model, "x", (1, 4), 100, RATE)
    assert len(cells.edges_s) == 5
    assert cells.edges_s[-1] == pytest.approx(1, abs=0.01)


def test_levels_are_mean_squares():
    cells, x = LayerCells(np.linspace(0, 1, 5), np.array([0.0, 4000.0]), 0.25), np.zeros(RATE, np.float32)
    x[2000:4000] = 0.5
    np.testing.assert_allclose(cells.levels(x, RATE), [0, 0.25, 0, 0])
    np.testing.assert_allclose(cells.levels(x, RATE, 2), [0.125, 0.125, 0])
    assert [cells.frames(s) for s in (0.01, 0.25, 0.6, 9)] == [1, 1, 2, 4]
