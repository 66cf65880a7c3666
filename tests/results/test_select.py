"""Halves of clips, mean ranks, and audiointerp's score, which gives its published numbers."""

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otoscope.core.errors import OtoscopeError
from otoscope.report.leaderboard_captions import caption
from otoscope.results import LeaderboardOptions, make_leaderboard
from otoscope.results.examples import example_clips
from otoscope.results.select import best_of_each, geometric_score, holdout, mean_rank
from result_rows import make_rows

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


ONE = {"conditions": {"clean": 0.0}, "classifiers": {"mel": 0.0}}


def half(n, seed=None):
    return holdout(np.ones((1, n), bool), np.arange(n), seed)


def mixtures(pairs=6, source=False):
    """A pair at two ratios is two clips whose numbers are odd and even; each condition has its own ratio."""
    rows = []
    for row in make_rows(clips=pairs, classifiers={"mel": 0.0}):
        pair, ratio = int(row["clip"][2:5]), ["clean", "white"].index(row["condition"])
        row["clip"] = f"mixture-{2 * pair + ratio:06d}"
        rows.append({**row, "source": f"pair {pair}"} if source else row)
    return rows


def test_every_second_or_drawn():
    assert half(5).tolist() == [True, False, True, False, True]
    drawn = half(20, seed=3)
    assert drawn.sum() == 10
    np.testing.assert_array_equal(drawn, half(20, seed=3))
    assert (drawn != half(20, seed=4)).any()
    assert (drawn != half(20)).any()
    assert half(1).tolist() == [False]  # one clip is reported


@given(st.integers(1, 4), st.lists(st.integers(0, 8), min_size=1, max_size=30), st.integers(0, 5))
def test_sources_stay_whole_and_halves_are_even(strata, source, seed):
    source = np.array(source)
    present = np.random.default_rng(seed).random((strata, len(source))) < 0.7
    chosen = holdout(present, source, seed)
    for one in np.unique(source):
        assert len(set(chosen[source == one].tolist())) == 1
    first = np.unique(source[present[0]])
    sides = [bool(chosen[source == one][0]) for one in first]
    assert len(first) < 2 or abs(2 * sum(sides) - len(sides)) <= 1


def test_each_panel_is_halved_where_parity_tells_the_panel(study):
    table = make_leaderboard(study(mixtures()), LeaderboardOptions(metrics=("faithfulness",)))
    assert [len(clips) for clips in table.choice.clips] == [3, 3]
    assert table.panel_clips == (3, 3)
    assert {line.clips for line in table.lines} == {3}
    assert table.choice.blind == (0, 0)
    assert {line.chosen["mask"] for line in table.lines} == {"topk:0.3"}
    assert "Means over 3 clips of each panel" in " ".join(caption(table))


def test_clips_of_a_source_are_in_one_half(study):
    made = make_rows(**ONE, clips=12)
    for row in made:
        row["source"] = f"pair {int(row['clip'][2:5]) // 4}"
    table = make_leaderboard(study(made), LeaderboardOptions(metrics=("faithfulness",)))
    assert [int(name[2:5]) for name in table.choice.clips[0]] == [0, 1, 2, 3, 8, 9, 10, 11]
    assert (table.clips, table.of_clips, table.sources) == (4, 12, 1)
    text = " ".join(caption(table))
    assert "4 clips from 1 source" in text
    assert "every second source in sorted order" in text
    assert np.isnan(table.lines[0].values[0].low)  # one source has no interval


def test_empty_sources_are_none(study):
    rows = [{**row, "source": ""} for row in make_rows(**ONE, clips=6)]
    table = make_leaderboard(study(rows), LeaderboardOptions(metrics=("faithfulness",)))
    assert (len(table.choice.clips[0]), table.sources) == (3, 0)


def test_lines_of_several_conditions_are_halved_too(study):
    table = make_leaderboard(
        study(mixtures()), LeaderboardOptions(by=("condition", "method"), metrics=("faithfulness",))
    )
    assert {line.clips for line in table.lines} == {3}


def test_heard_clips_are_of_the_reported_half(study):
    rows = study(mixtures(source=True))
    table = make_leaderboard(rows)
    heard = example_clips(rows, table)
    assert {clip.panel for clip in heard} == {0, 1}
    for clip in heard:
        assert clip.clip not in table.choice.clips[clip.panel]


def test_a_panel_in_which_no_clip_can_choose_says_so(study):
    made = make_rows(classifiers={"mel": 0.0}, clips=6)
    made = [row for row in made if row["condition"] == "clean" or row["clip"] == "1-003-A.wav"]
    table = make_leaderboard(study(made), LeaderboardOptions(metrics=("faithfulness",)))
    assert table.choice.blind == (0, 5)
    assert table.panel_clips == (3, 1)
    text = " ".join(caption(table))
    assert "In white, mel, no clip could decide the mask of any line; the first by name is shown." in text
    assert "In clean" not in text


def test_a_line_for_which_no_clip_can_choose_is_counted(study):
    made = make_rows(**ONE, clips=6)
    made = [row for row in made if row["method"] != "gradient" or int(row["clip"][2:5]) % 2]
    table = make_leaderboard(study(made), LeaderboardOptions(metrics=("faithfulness",)))
    assert table.choice.blind == (1,)
    assert "no clip could decide the mask of 1 of 5 lines" in " ".join(caption(table))


def test_panels_of_one_source_are_refused(study):
    rows = [{**row, "source": "one"} for row in make_rows(**ONE, clips=6)]
    with pytest.raises(OtoscopeError, match="one clip, or clips of one source, so the mask"):
        make_leaderboard(study(rows))
