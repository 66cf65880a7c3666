"""Halves of clips: within each panel, with whole sources, and none left without."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otoscope.core.errors import OtoscopeError
from otoscope.results import Ask, make_table
from otoscope.results.halves import choosing_half
from otoscope.results.listen import telling_clips
from otoscope.results.words import caption
from result_rows import make_rows

ONE = {"conditions": {"clean": 0.0}, "classifiers": {"mel": 0.0}}


def half(n, seed=None):
    return choosing_half(np.ones((1, n), bool), np.arange(n), seed)


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
    chosen = choosing_half(present, source, seed)
    for one in np.unique(source):
        assert len(set(chosen[source == one].tolist())) == 1
    first = np.unique(source[present[0]])
    sides = [bool(chosen[source == one][0]) for one in first]
    assert len(first) < 2 or abs(2 * sum(sides) - len(sides)) <= 1


def test_each_panel_is_halved_where_parity_tells_the_panel(study):
    table = make_table(study(mixtures()), Ask(metrics=("faithfulness",)))
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
    table = make_table(study(made), Ask(metrics=("faithfulness",)))
    assert [int(name[2:5]) for name in table.choice.clips[0]] == [0, 1, 2, 3, 8, 9, 10, 11]
    assert (table.clips, table.of_clips, table.sources) == (4, 12, 1)
    text = " ".join(caption(table))
    assert "4 clips from 1 source" in text
    assert "every second source in sorted order" in text
    assert np.isnan(table.lines[0].values[0].low)  # one source has no interval


def test_empty_sources_are_none(study):
    rows = [{**row, "source": ""} for row in make_rows(**ONE, clips=6)]
    table = make_table(study(rows), Ask(metrics=("faithfulness",)))
    assert (len(table.choice.clips[0]), table.sources) == (3, 0)


def test_lines_of_several_conditions_are_halved_too(study):
    table = make_table(study(mixtures()), Ask(by=("condition", "method"), metrics=("faithfulness",)))
    assert {line.clips for line in table.lines} == {3}


def test_heard_clips_are_of_the_reported_half(study):
    rows = study(mixtures(source=True))
    table = make_table(rows)
    heard = telling_clips(rows, table, Ask())
    assert {clip.panel for clip in heard} == {0, 1}
    for clip in heard:
        assert clip.clip not in table.choice.clips[clip.panel]


def test_a_panel_in_which_no_clip_can_choose_says_so(study):
    made = make_rows(classifiers={"mel": 0.0}, clips=6)
    made = [row for row in made if row["condition"] == "clean" or row["clip"] == "1-003-A.wav"]
    table = make_table(study(made), Ask(metrics=("faithfulness",)))
    assert table.choice.blind == (0, 5)
    assert table.panel_clips == (3, 1)
    text = " ".join(caption(table))
    assert "In white, mel no clip could choose the mask of any line: the first by name stands there." in text
    assert "In clean" not in text


def test_a_line_for_which_no_clip_can_choose_is_counted(study):
    made = make_rows(**ONE, clips=6)
    made = [row for row in made if row["method"] != "gradient" or int(row["clip"][2:5]) % 2]
    table = make_table(study(made), Ask(metrics=("faithfulness",)))
    assert table.choice.blind == (1,)
    assert "no clip could choose the mask of 1 of 5 lines" in " ".join(caption(table))


def test_panels_of_one_source_are_refused(study):
    rows = [{**row, "source": "one"} for row in make_rows(**ONE, clips=6)]
    with pytest.raises(OtoscopeError, match="one clip, or clips of one source, so the mask"):
        make_table(study(rows))
