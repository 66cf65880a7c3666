"""The clips that tell most: chosen as a loop would choose, and written as sounds that hold what was rendered."""

import json
import re

import numpy as np
import pytest
import soundfile

from otoscope.core.errors import OtoscopeError
from otoscope.core.records import Clip
from otoscope.report.examples import write_examples
from otoscope.results import LeaderboardOptions as Options
from otoscope.results import make_leaderboard, read_results
from otoscope.results.examples import METHODS as MOST
from otoscope.results.examples import example_clips
from result_rows import METHODS, fail, make_rows

ONE = {"conditions": {"clean": 0.0}, "classifiers": {"mel": 0.0}}


def by_hand(rows, table):
    """Names of the best, worst and most disputed clip, by loops."""
    names = sorted({row["clip"] for row in rows})[1::2]
    lines = [line for line in table.lines if line.role != "oracle"][:MOST]
    gaps = {}
    for name in names:
        mine = [
            row["heard_kept"] - row["heard_removed"] for line in lines for row in rows
            if row["clip"] == name and row["method"] == line.name["method"] and row["mask"] == line.chosen["mask"]
        ]  # fmt: skip
        gaps[name] = mine
    best = max(names, key=lambda n: np.mean(gaps[n]))
    worst = min((n for n in names if n != best), key=lambda n: np.mean(gaps[n]))
    return [best, worst, max((n for n in names if n not in (best, worst)), key=lambda n: np.ptp(gaps[n]))]


def test_best_worst_and_disputed(study):
    made = make_rows(**ONE, methods={**METHODS, ("oracle:ratio", "stft"): 0.9})
    rows = study(made)
    table = make_leaderboard(rows)
    found = example_clips(rows, table)
    assert [clip.why for clip in found] == ["best", "worst", "disputed"]
    assert [clip.clip for clip in found] == by_hand(made, table)
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


# --- sounds ---------------------------------------------------------------------------------------------------------

RATE = 8000
TIME = np.arange(RATE // 2) / RATE


def sounds(row, rate=RATE, true=False):
    """A tone whose pitch tells the clip: kept is its half, removed the other half."""
    hz = 200 + 10 * int(row["clip"][2:5])
    tone = 0.4 * np.sin(2 * np.pi * hz * np.arange(rate // 2) / rate)[None]
    share = row["heard_kept"]
    parts = {"original": Clip(tone, rate), "kept": Clip(share * tone, rate), "removed": Clip((1 - share) * tone, rate)}
    return {**parts, "true": Clip(0.3 * tone, rate)} if true else parts


def contents_of(folder):
    page = (folder / "index.html").read_text(encoding="utf-8")
    return page, json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)[1])


def test_the_page_holds_what_was_rendered(study, tmp_path):
    made = make_rows(**ONE)
    rows = study(made)
    table, told = make_leaderboard(rows), []
    found = write_examples(rows, table, lambda row: sounds(row, true=True), tmp_path / "listen", told.append)
    page, data = contents_of(tmp_path / "listen")
    assert [(card["why"], card["clip"], card["place"]) for card in found["clips"]] == [
        (why, clip, i)
        for i, (why, clip) in enumerate(zip(("best", "worst", "disputed"), by_hand(made, table), strict=True))
    ]
    assert len(told) == 3
    first = found["clips"][0]
    assert first["where"] == "clean, mel"
    assert next(h["name"] for h in first["heard"]) == "integrated_gradients, stft, topk:0.3"
    clip = data["clips"][0]
    assert clip["file"] == f"{first['clip']} (best, clean, mel)"
    assert [s["kind"] for s in clip["sounds"]] == ["original", "control", *["reconstruction", "difference"] * MOST]
    assert clip["sounds"][3]["title"] == "integrated_gradients, stft, topk:0.3, removed"
    assert clip["sounds"][2]["facts"] == [[f"p({first['label']})", f"{100 * first['heard'][0]['kept']:.1f} %"]]
    assert clip["sounds"][1]["title"] == "Ground truth"
    samples, rate = soundfile.read(tmp_path / "listen" / "audio" / "0-0-kept.flac")
    words = {"clip": first["clip"], "method": "integrated_gradients", "mask": "topk:0.3"}
    (row,) = [row for row in made if all(row[k] == v for k, v in words.items())]
    np.testing.assert_allclose(samples, sounds(row)["kept"].samples[0], atol=1e-4)
    assert rate == RATE
    for word in (">Kept<", ">Removed<", ">Method<", 'aria-label="Methods"'):
        assert word in page
    for word in ("Reconstructions", "autoencoder", "<legend>Network"):
        assert word not in page


def test_rates_lengths_channels_and_peaks_are_brought_together(study, tmp_path):
    rows = study(make_rows(**ONE))

    def odd(row):
        made = sounds(row, rate=16000 if row["clip"] < "1-010" else 4000)
        kept = made["kept"]
        made["kept"] = Clip(np.repeat(5 * kept.samples[:, :-7], 3, axis=0), kept.sample_rate)
        return made

    write_examples(rows, make_leaderboard(rows), odd, tmp_path / "listen")
    _, data = contents_of(tmp_path / "listen")
    for path in (tmp_path / "listen" / "audio").iterdir():
        info = soundfile.info(path)
        assert (info.samplerate, info.frames) == (16000, 8000)
    assert data["clips"][0]["sounds"][1]["gain"] > 1  # it was turned down to hold its peaks, and is turned up again


def test_what_holds_attributes_will_do(study, tmp_path):
    rows = study(make_rows(**ONE, clips=4))

    class Found:
        def __init__(self, row):
            vars(self).update(sounds(row))

    assert len(write_examples(rows, make_leaderboard(rows), Found, tmp_path / "listen")["clips"]) == 2


def test_rows_that_cannot_be_made_again_are_named_and_left_out(study, tmp_path):
    rows = study(make_rows(**ONE))
    told = []

    def sometimes(row):
        if row["method"] == "grad_cam":
            raise OtoscopeError("the clip has moved")
        return sounds(row)

    found = write_examples(rows, make_leaderboard(rows), sometimes, tmp_path / "listen", told.append)
    assert {len(card["heard"]) for card in found["clips"]} == {MOST - 1}
    assert sum("grad_cam on" in line and "the clip has moved" in line for line in told) == 3

    def never(row):
        raise OtoscopeError("all is gone")

    assert write_examples(rows, make_leaderboard(rows), never, tmp_path / "other") is None
    assert not (tmp_path / "other").exists()


def test_the_rows_are_those_of_the_selection(tmp_path):
    """With a selection, rows are numbered anew: what is rendered must still be the row that was chosen."""
    from result_rows import write_study

    rows = read_results(write_study(tmp_path / "s", make_rows()))
    ask = Options(only={"condition": ("white",), "classifier": ("stft",)})
    seen = []
    write_examples(
        rows.where(ask.only),
        make_leaderboard(rows, ask),
        lambda row: seen.append(row) or sounds(row),
        tmp_path / "listen",
    )
    assert {(row["condition"], row["classifier"]) for row in seen} == {("white", "stft")}


def test_where_conditions_are_pooled_all_methods_are_heard_under_one(study):
    rows = make_rows(clips=8, masks={"positive": 0.0}, classifiers={"mel": 0.0})
    best = "integrated_gradients"
    rows = fail(rows, lambda r: r["condition"] == "clean" and r["method"] == best and int(r["clip"][2:5]) < 5)
    asked = Options(pool=("condition",), metrics=("heard_difference",), by=("method", "domain", "mask"))
    rows = study(rows)
    table = make_leaderboard(rows, asked)
    found = example_clips(rows.where(asked.only), table)
    assert found[0].lines[0].name["method"] == best
    for clip in found:
        made = [rows.row(i) for i in clip.rows]
        assert {row["condition"] for row in made} == {clip.pooled["condition"]}
        assert {row["status"] for row in made} == {"ok"}
        assert clip.where(table) == f"{clip.pooled['condition']}, mel"
    assert {clip.pooled["condition"] for clip in found} >= {"white"}
