"""Example clips are written as sounds that hold what was rendered."""

import json
import re

import numpy as np
import soundfile

from otoscope.core.errors import OtoscopeError
from otoscope.core.records import Clip
from otoscope.report.examples import write_examples
from otoscope.results import LeaderboardOptions as Options
from otoscope.results import make_leaderboard, read_results
from otoscope.results.examples import METHODS as MOST
from otoscope.results.examples import example_clips
from result_rows import example_names, fail, make_rows

ONE = {"conditions": {"clean": 0.0}, "classifiers": {"mel": 0.0}}

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
        for i, (why, clip) in enumerate(zip(("best", "worst", "disputed"), example_names(made, table), strict=True))
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
