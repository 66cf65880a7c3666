"""Halves of clips, mean ranks, and audiointerp's score, which gives its published numbers."""

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otoscope.results.choose import best_of_each, geometric_score, mean_rank

HIGHER = np.array([True, True, False, True, True, True, False])
PUBLISHED = Path(__file__).with_name("audiointerp.csv")
SCORES = {
    ("Mel, clean", "saliency"): ("topK_50_pos", 0.205), ("Mel, clean", "gradcam"): ("bin", 0.448),
    ("Mel, clean", "lime"): ("bin", 0.548), ("Mel, clean", "shap"): ("sigmoid", 0.087),
    ("Mel, white noise", "saliency"): ("topK_50_pos", 0.215), ("Mel, white noise", "gradcam"): ("bin", 0.391),
    ("Mel, white noise", "lime"): ("bin", 0.539), ("Mel, white noise", "shap"): (None, 0.096),
    ("Mel, room tone", "saliency"): ("topK_50_pos", 0.218), ("Mel, room tone", "gradcam"): ("bin", 0.422),
    ("Mel, room tone", "lime"): ("bin", 0.483), ("Mel, room tone", "shap"): (None, 0.094),
    ("Mel, horse whinny", "saliency"): ("minmax", 0.221), ("Mel, horse whinny", "gradcam"): ("bin", 0.398),
    ("Mel, horse whinny", "lime"): ("bin", 0.601), ("Mel, horse whinny", "shap"): (None, 0.074),
    ("STFT, clean", "saliency"): ("topK_50_pos", 0.177), ("STFT, clean", "gradcam"): ("topK_50_pos", 0.329),
    ("STFT, clean", "lime"): ("bin", 0.413), ("STFT, clean", "shap"): ("topK_50_pos", 0.150),
}  # fmt: skip


def test_audiointerps_published_scores():
    """Of 280 published rows of seven rounded means; where a mean is 0.01 its rounding is felt, so 0.02 is allowed."""
    with PUBLISHED.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.reader(lines))[1:]
    assert len(rows) == 280
    names = [tuple(row[:3]) for row in rows]
    score = geometric_score(np.array([[float(x) for x in row[3:]] for row in rows]), HIGHER)
    for method, (mask, published) in SCORES.items():
        mine = [i for i, name in enumerate(names) if name[:2] == method]
        best = max(mine, key=lambda i: score[i])
        assert score[best] == pytest.approx(published, abs=0.02)
        assert mask in (None, names[best][2])


def test_a_score_by_hand():
    means = np.array([[0.0, 10.0], [0.5, 4.0], [1.0, 0.0]])
    score = geometric_score(means, np.array([True, False]))
    np.testing.assert_allclose(score, [np.sqrt(1e-18), np.sqrt(0.5 * 0.6), 1.0], rtol=1e-12)


def test_the_range_may_come_from_elsewhere_and_cuts_off():
    means, among = np.array([[2.0], [0.5], [-1.0]]), np.array([[0.0], [1.0]])
    np.testing.assert_allclose(geometric_score(means, np.array([True]), among), [1.0, 0.5, 1e-9])


def test_a_metric_that_is_the_same_everywhere_says_nothing():
    means = np.array([[1.0, 3.0], [2.0, 3.0]])
    np.testing.assert_allclose(geometric_score(means, np.array([True, True])), [1e-9, 1.0])
    np.testing.assert_allclose(geometric_score(means[:, 1:], np.array([True])), [1.0, 1.0])


def test_what_is_unknown_has_no_score():
    score = geometric_score(np.array([[1.0], [np.nan], [2.0]]), np.array([True]))
    assert np.isnan(score).tolist() == [False, True, False]


def test_mean_rank_by_hand():
    means = np.array([[0.9, 5.0], [0.9, 1.0], [0.1, np.nan]])
    np.testing.assert_allclose(mean_rank(means, np.array([True, False])), [(1.5 + 2) / 2, (1.5 + 1) / 2, (3 + 3) / 2])


@given(st.lists(st.lists(st.integers(-3, 3), min_size=2, max_size=2), min_size=1, max_size=8))
def test_mean_ranks_do_not_hang_on_scale_and_share_their_sum(values):
    means = np.array(values, float)
    rank = mean_rank(means, np.array([True, False]))
    np.testing.assert_allclose(rank, mean_rank(np.exp(means), np.array([True, False])))
    assert rank.sum() == pytest.approx(len(means) * (len(means) + 1) / 2)


def test_best_of_each_line():
    line, goodness = np.array([1, 0, 1, 0, 2]), np.array([1.0, np.nan, 3.0, -5.0, np.nan])
    assert best_of_each(goodness, line).tolist() == [3, 2, 4]
    assert best_of_each(np.zeros(4), np.array([0, 1, 0, 1])).tolist() == [0, 1]  # the first of several
