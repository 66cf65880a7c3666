"""Numbers of one feature's sounds."""

from __future__ import annotations

import numpy as np
import pytest

from feature_worlds import BAND, clip, planted_classifier, tone
from otoscope.auralisation import feature_responses, measure_feature
from otoscope.classifiers.layer_features import layer_features


def test_shares_and_selectivity_written_out():
    original, kept, removed = np.array([2.0, 4.0, 1.0]), np.array([1.0, 1.0, 0.5]), np.array([0.5, 4.0, 0.25])
    found = measure_feature(original, kept, removed, 0)
    assert (found.strength, found.kept, found.removed) == (2.0, 0.5, 0.25)
    assert found.selectivity == pytest.approx(0.5 / np.mean([0.25, 0.5]))
    assert found.selectivity_removed == pytest.approx(0.25 / np.mean([1.0, 0.25]))


def test_features_that_do_not_respond_do_not_count():
    found = measure_feature(np.array([1.0, 1e-4, 1.0]), np.array([0.8, 5.0, 0.2]), np.zeros(3), 0)
    assert found.selectivity == pytest.approx(4)
    alone = measure_feature(np.array([1.0, 1e-4]), np.array([0.8, 1.0]), np.zeros(2), 0)
    assert np.isnan(alone.selectivity)
    lost = measure_feature(np.array([1.0, 1.0]), np.array([0.8, 0.0]), np.zeros(2), 0)
    assert np.isnan(lost.selectivity)  # no number beats none of the others


def test_responses_grow_with_the_sound_and_not_with_its_rate():
    features = layer_features(planted_classifier(), "planted")
    one, two = (feature_responses(features, clip(a * tone(1100)))[BAND] for a in (1, 3))
    assert two == pytest.approx(3 * one, rel=1e-3)
    long = feature_responses(features, clip(np.tile(tone(1100), 20)))[BAND]  # in windows
    assert long == pytest.approx(one, rel=0.02)
