"""Numbers as text, and what a table says of itself."""

import math

import pytest

from otoscope.report.leaderboard_captions import caption, digits_of, head, number, width_of
from otoscope.report.pages.leaderboard import page_contents
from otoscope.results import LeaderboardOptions, make_leaderboard
from otoscope.results.compare import Value
from otoscope.results.metrics import Metric
from result_rows import METHODS, fail, make_rows


@pytest.mark.parametrize(
    ("largest", "places"),
    [(0.5, 3), (0.05, 4), (1.0, 2), (0.999, 3), (9.7, 2), (28.75, 1), (100.0, 0), (1e6, 0), (0.0, 3), (math.nan, 3)],
)
def test_decimals(largest, places):
    assert digits_of([largest, 0.0, math.nan]) == places


@pytest.mark.parametrize(
    ("value", "places", "text"),
    [(-0.25, 2, "−0.25"), (-0.001, 2, "0.00"), (math.nan, 2, "–"), (math.inf, 0, "–"), (99.96, 1, "100.0")],
)
def test_numbers(value, places, text):
    assert number(value, places) == text


def test_widths():
    assert width_of(Value(0.5, 0.4, 0.7, 9), 2) == "±0.15"
    assert width_of(Value(0.5, math.nan, math.nan, 1), 2) == ""


def test_heads():
    assert head(Metric("heard_x", "AD", "Average drop", "%", False, "", True, False)) == "heard AD (%) ↓"
    assert head(Metric("truth_x", "Mass", "Mass", "", True, "", False, True)) == "true Mass ↑"
    assert head(Metric("x", "x", "X", "", None, "", False, False)) == "x"


def said(study, rows, **ask):
    return " ".join(caption(make_leaderboard(study(rows), LeaderboardOptions(**ask))))


def test_a_caption_says_how_the_numbers_came_about(study):
    text = said(study, fail(make_rows(), lambda row: row["method"] == "gradient"))
    assert "1200 rows, 240 of them failed." in text
    assert "Means over 10 clips ± half the width of 95 % intervals (bootstrap over clips, 1000 draws)." in text
    assert "was chosen on 10 other clips (every second one in sorted order), by mean rank over faithfulness" in text
    assert "≈ marks values that do not differ significantly from the best" in text
    assert "Oracles" not in text
    assert "in parentheses" not in text


def test_a_caption_names_what_was_taken_together(study):
    text = said(study, make_rows(clips=4), pool=("condition",))
    assert "Pooled: clean, white; each clip counts by its mean, and only if none of its rows failed." in text
    assert "Pooled:" not in said(study, make_rows(clips=4, conditions={"clean": 0.0}), pool=("condition",))


def test_a_caption_says_only_what_is_so(study):
    rows = make_rows(clips=6, methods={**METHODS, ("oracle:ratio", "stft"): 0.9})
    rows[0]["sparseness"] = None
    text = said(study, rows, by=("method", "domain", "mask"), metrics=("sparseness", "faithfulness"))
    assert "chosen" not in text
    assert "Oracles know the ground truth" in text
    assert "in parentheses" in text
    text = said(study, rows, choose="score", seed=5)
    assert "(drawn at random with seed 5), by the geometric mean of" in text
    assert "was chosen on the same clips, so the numbers are too optimistic" in said(study, rows, same_clips=True)
    assert "by sparseness." in said(study, rows, choose="sparseness")
    assert "≈" not in said(study, make_rows(clips=4, methods={("gradient", "stft"): 0.5}))


def test_titles_of_the_study(study):
    about = {"conditions": {"clean": "Clean sound"}, "classifiers": {"mel": {"title": "CNN"}}}
    table = make_leaderboard(study(make_rows(clips=4), **about))
    assert [table.panel_title(p) for p in range(4)] == [
        "Clean sound, CNN",
        "Clean sound, stft",
        "white, CNN",
        "white, stft",
    ]


def test_what_the_page_gets(study):
    table = make_leaderboard(study(make_rows(clips=4)), LeaderboardOptions(metrics=("faithfulness", "average_drop")))
    contents = page_contents(table, {"href": "x", "clips": []})
    assert [metric["digits"] for metric in contents["metrics"]] == [3, 1]
    assert contents["caption"] == caption(table)
    assert contents["listen"] == {"href": "x", "clips": []}
    assert "listen" not in page_contents(table)
