"""Example clips are chosen as a loop would choose them."""

import pytest

from otoscope.core.errors import OtoscopeError
from otoscope.results import LeaderboardOptions as Options
from otoscope.results import make_leaderboard
from otoscope.results.examples import METHODS as MOST
from otoscope.results.examples import example_clips
from result_rows import METHODS, example_names, fail, make_rows

ONE = {"conditions": {"clean": 0.0}, "classifiers": {"mel": 0.0}}


def test_best_worst_and_disputed(study):
    made = make_rows(**ONE, methods={**METHODS, ("oracle:ratio", "stft"): 0.9})
    rows = study(made)
    table = make_leaderboard(rows)
    found = example_clips(rows, table)
    assert [clip.why for clip in found] == ["best", "worst", "disputed"]
    assert [clip.clip for clip in found] == example_names(made, table)
    for clip in found:
        assert [line.name["method"] for line in clip.lines] == [method for method, _ in METHODS][:MOST]
        for line, place in zip(clip.lines, clip.rows, strict=True):
            row = rows.row(place)
            assert (row["clip"], row["method"], row["mask"]) == (clip.clip, line.name["method"], line.chosen["mask"])


def test_each_panel_has_its_own_and_selections_hold(study):
    rows = study(make_rows())
    ask = Options(only={"condition": ("white",)})
    found = example_clips(rows.where(ask.only), make_leaderboard(rows, ask))
    assert [(clip.panel, clip.why) for clip in found] == [
        (p, why) for p in (0, 1) for why in ("best", "worst", "disputed")
    ]
    assert {rows.where(ask.only).row(place)["condition"] for clip in found for place in clip.rows} == {"white"}


def test_clips_that_failed_are_not_heard(study):
    made = make_rows(**ONE, clips=6)
    rows = study(fail(made, lambda row: row["method"] == "grad_cam" and row["clip"] in ("1-001-A.wav", "1-003-A.wav")))
    found = example_clips(rows, make_leaderboard(rows))
    assert [(clip.why, clip.clip) for clip in found] == [("best", "1-005-A.wav")]


def test_all_clips_are_heard_where_all_are_reported(study):
    made = make_rows(**ONE, clips=3)
    rows, ask = study(made), Options(same_clips=True)
    assert {clip.clip for clip in example_clips(rows.where(ask.only), make_leaderboard(rows, ask))} == {
        row["clip"] for row in made
    }


def test_one_method_is_not_disputed(study):
    rows = study(make_rows(**ONE, methods={("gradient", "stft"): 0.5}))
    assert [clip.why for clip in example_clips(rows, make_leaderboard(rows))] == ["best", "worst"]


def test_without_probabilities_nothing_can_be_chosen(study):
    rows = study([{k: v for k, v in row.items() if "kept" not in k} for row in make_rows(**ONE, clips=4)])
    with pytest.raises(OtoscopeError, match="no probabilities of kept and removed"):
        example_clips(rows, make_leaderboard(rows))
