"""Markdown, LaTeX and CSV: the marks, the widths, the counts, and names that could break out."""

import csv
import io
import json
import math
import re

import pytest

from otoscope.core.errors import ParameterError
from otoscope.report.leaderboard import save_leaderboard
from otoscope.report.leaderboard_text import comma_separated, latex, markdown, sanity_csv
from otoscope.results import LeaderboardOptions as Options
from otoscope.results import make_leaderboard, read_results
from result_rows import METHODS, fail, make_rows, write_study

ONE = {"conditions": {"clean": 0.0}, "classifiers": {"mel": 0.0}}
HOSTILE = "a|b_c *d* <b>&%$#{}~^\\ \n`e`"


@pytest.fixture
def table(study):
    rows = fail(make_rows(**ONE), lambda row: row["method"] == "gradient" and row["clip"] == "1-001-A.wav")
    return make_leaderboard(study(rows), Options(metrics=("heard_faithfulness", "heard_average_drop")))


def cells(text, start):
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {start}")]
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def test_markdown(table):
    text = markdown(table)
    best, second, lost = (cells(text, name) for name in ("integrated_gradients", "grad_cam", "gradient |"))
    value = table.lines[0].values[0]
    assert best[3] == f"**{value.mean:.3f}** ±{value.half_width:.3f}"
    assert second[3].startswith("<u>0.7")
    assert best[:3] == ["integrated_gradients", "stft", "topk:0.3"]
    assert lost[-3:] == ["9", "3", "0.510"]
    assert cells(text, "method")[3:] == ["heard FF ↑", "heard AD (%) ↓", "clips", "failed", "s/clip"]
    assert cells(text, "clean")[4:] == ["the clip is silent", "3", "1-001-A.wav"]
    assert text.startswith("# A made-up study\n\n## clean, mel\n")


def test_latex(table):
    text = latex(table)
    value = table.lines[0].values[0]
    width = rf"{{\scriptsize $\pm${value.half_width:.3f}}}"
    assert rf"integrated\_gradients & stft & topk:0.3 & \textbf{{{value.mean:.3f}}} {width} &" in text
    assert r"& \underline{0.7" in text
    assert r"heard FF $\uparrow$ & heard AD (\%) $\downarrow$ & clips & failed & s/clip \\" in text
    assert r"\begin{tabular}{lllrrrrr}" in text
    for rule in (r"\toprule", r"\midrule", r"\bottomrule", r"\caption{A made-up study. clean, mel. "):
        assert text.count(rule) == 1
    for line in [line for line in text.splitlines() if line.endswith(r"\\")]:
        assert len(re.findall(r"(?<!\\)&", line)) == 7


def test_csv_is_in_full_precision(table):
    rows = list(csv.DictReader(io.StringIO(comma_separated(table))))
    assert [row["method"] for row in rows] == [method for method, _ in METHODS]
    for row, line in zip(rows, table.lines, strict=True):
        for name, value in zip(("heard_faithfulness", "heard_average_drop"), line.values, strict=True):
            assert [float(row[name]), float(row[f"{name}_low"]), float(row[f"{name}_high"])] == [
                value.mean,
                value.low,
                value.high,
            ]
            assert (int(row[f"{name}_n"]), row[f"{name}_mark"]) == (value.n, value.mark)
            assert row[f"{name}_p"] == ("" if math.isnan(value.p) else repr(value.p))
        assert (int(row["clips"]), int(row["failed"]), int(row["rows"])) == (line.clips, line.failed, line.rows)
        assert (row["condition"], row["classifier"], row["mask"]) == ("clean", "mel", "topk:0.3")


def test_what_cannot_be_told_from_the_best_is_marked(study):
    methods = {("gradient", "stft"): 0.5, ("grad_cam", "stft"): 0.5, ("rise", "stft"): 0.1}
    table = make_leaderboard(study(make_rows(**ONE, methods=methods, noise=0.2)), Options(metrics=("faithfulness",)))
    assert [line.values[0].alike for line in table.lines] == [False, True, False]
    assert [line.count("≈") for line in markdown(table).splitlines() if line.startswith(("| g", "| r"))] == [0, 1, 0]
    assert latex(table).count(r"$\approx$ &") == 1


def test_numbers_of_fewer_clips_say_so(study):
    rows = make_rows(**ONE)
    for row in rows:
        if row["method"] == "random" and row["clip"] in ("1-001-A.wav", "1-003-A.wav"):
            row["sparseness"] = None
    table = make_leaderboard(study(rows), Options(metrics=("sparseness",)))
    assert cells(markdown(table), "random")[3] == "0.700 ±0.000 (8)"
    assert cells(markdown(table), "gradient")[3] == "0.700 ±0.000"


def test_scores_stand_beside_the_masks_that_they_chose(study):
    rows = fail(make_rows(**ONE), lambda row: row["method"] == "gradient")
    table = make_leaderboard(study(rows), Options(metrics=("heard_faithfulness",), choose="score"))
    text = markdown(table)
    assert cells(text, "method")[4:] == ["score", "clips", "failed", "s/clip"]
    assert cells(text, "integrated_gradients")[4] == f"{table.lines[0].score:.3f}"
    assert cells(text, "gradient |")[4:6] == ["–", "0"]
    (first, *_) = csv.DictReader(io.StringIO(comma_separated(table)))
    assert float(first["score"]) == table.lines[0].score
    assert r"\begin{tabular}{lllrrrrr}" in latex(table)


def test_nothing_known_is_a_dash(study):
    rows = fail(make_rows(**ONE), lambda row: row["method"] == "gradient")
    table = make_leaderboard(study(rows), Options(metrics=("faithfulness",)))
    assert cells(markdown(table), "gradient |")[2:] == ["–", "–", "0", "60", "–"]
    assert r"gradient & stft & -- & -- & 0 & 60 & --" in latex(table)


def test_hostile_names_stay_in_their_cells(study):
    rows = [{**row, "method": HOSTILE} if row["method"] == "gradient" else row for row in make_rows(**ONE)]
    rows = fail(rows, lambda row: row["clip"] == "1-001-A.wav", HOSTILE)
    table = make_leaderboard(study(rows), Options(metrics=("faithfulness",)))
    text = markdown(table)
    line = cells(text, r"a\|b")
    assert len(line) == 7
    assert line[0] == r"a\|b_c \*d\* \<b\>&%$#{}\~^\\ \`e\`"
    shown = (
        r"a\textbar{}b\_c *d* \textless{}b\textgreater{}\&\%\$\#\{\}\textasciitilde{}\textasciicircum{}\textbackslash{}"
    )
    assert rf"{shown} `e` & stft" in latex(table)
    (row,) = [row for row in csv.DictReader(io.StringIO(comma_separated(table))) if row["method"].startswith("a|b")]
    assert row["method"] == HOSTILE


def test_truth_is_compared_in_words(study):
    methods = {(method, "stft"): good for (method, _), good in METHODS.items()}
    rows = study(make_rows(**ONE, methods=methods, truth=True))
    text = markdown(make_leaderboard(rows, Options(metrics=("truth", "faithfulness"))))
    assert cells(text, "clean, mel | FF")[2:4] == ["stft", "1.00 (1.00 to 1.00)"]


ABOUT = [
    {"name": "grads", "title": "Plain gradient", "method": "gradient", "domain": "stft"},
    {"name": "cam", "title": "cam", "method": "grad_cam", "domain": "features"},
]
SANE = {
    "classifier": "mel", "method": "gradient", "domain": "stft", "clips": 4, "error": "", "unchanged": True,
    "randomisation_similarity": 0.9, "randomisation_stages": [0.9, 0.8], "seed_agreement": 1.0, "seed_spread": None,
    "noise_sensitivity": 0.25, "shift_sensitivity": 0.5,
}  # fmt: skip
LOST = {"classifier": "mel", "method": "rise", "domain": "mel", "clips": 0, "error": "no room | left"}


def test_titles_of_the_study_stand_for_methods(study):
    rows = study([{**row, "name": row["method"]} for row in make_rows(**ONE, clips=4)], methods=ABOUT)
    table = make_leaderboard(rows, Options(metrics=("faithfulness",)))
    assert cells(markdown(table), "Plain gradient")[1] == "stft"
    assert cells(markdown(table), "grad_cam")[1] == "features"  # its title is its name
    assert "Plain gradient & stft" in latex(table)
    found = {row["method"]: row["title"] for row in csv.DictReader(io.StringIO(comma_separated(table)))}
    assert (found["gradient"], found["grad_cam"]) == ("Plain gradient", "")
    named = [{**row, "name": {"gradient": "grads"}.get(row["method"], "x")} for row in make_rows(**ONE, clips=4)]
    named = [row for row in named if row["name"] == "grads" or row["method"] == "rise,masks=500"]
    by_name = make_leaderboard(study(named, methods=ABOUT), Options(by=("name",), metrics=("faithfulness",)))
    assert cells(markdown(by_name), "Plain gradient")[1] == "gradient"


def test_what_chance_gets(study):
    rows = [{**row, "chance_relevance_mass": 0.25} for row in make_rows(**ONE, clips=4, truth=True)]
    table = make_leaderboard(study(rows), Options(metrics=("truth_relevance_mass", "sparseness")))
    text = markdown(table)
    assert cells(text.split("## Chance levels")[1], "clean, mel | stft")[2:] == ["0.250"]
    assert "Chance level in features true Mass 0.250; in mel true Mass 0.250; in stft" in latex(table)
    (first, *_) = csv.DictReader(io.StringIO(comma_separated(table)))
    assert (first["truth_relevance_mass_chance"], first["sparseness_chance"]) == ("0.25", "")
    assert "Chance levels" not in markdown(make_leaderboard(study(rows), Options(metrics=("sparseness",))))


def test_what_explanations_depend_on(tmp_path):
    folder = write_study(tmp_path / "s", make_rows(clips=4), methods=ABOUT)
    (folder / "sanity.json").write_text(json.dumps([SANE, LOST, {**SANE, "classifier": "stft", "unchanged": False}]))
    table = make_leaderboard(read_results(folder), Options(metrics=("faithfulness",)))
    part = markdown(table).split("## Sanity checks")[1]
    assert cells(part, "mel | Plain gradient")[3:9] == ["4", "0.90", "1.00", "–", "0.25", "0.50"]
    assert cells(part, "mel | Plain gradient")[9].startswith("unchanged by randomisation")
    assert cells(part, "mel | rise")[9] == r"failed: no room \| left"
    assert cells(part, "stft | Plain gradient")[9] == "depends on the network"
    assert "unchanged by randomisation" in latex(table)
    rows = list(csv.DictReader(io.StringIO(sanity_csv(table))))
    assert [row["unchanged"] for row in rows] == ["yes", "no", "no"]
    assert (rows[0]["noise_sensitivity"], rows[0]["seed_spread"]) == ("0.25", "")
    assert table.to_dict()["sanity"][0]["randomisation_stages"] == [0.9, 0.8]
    paths = save_leaderboard(table, tmp_path / "out")
    assert paths["sanity"].endswith("sanity.csv")
    page = (tmp_path / "out" / "table.html").read_text(encoding="utf-8")
    assert "<strong>unchanged by randomisation" in page
    mel = make_leaderboard(read_results(folder), Options(metrics=("faithfulness",), only={"classifier": ("mel",)}))
    assert [row["classifier"] for row in mel.sanity] == ["mel", "mel"]


# --- pivots ---------------------------------------------------------------------------------------------------------


def test_a_pivot_has_masks_as_lines_and_methods_as_columns(study):
    methods = {("gradient", "stft"): 0.2, ("grad_cam", "stft"): 0.6, ("rise", "mel"): 0.4}
    rows = make_rows(**ONE, methods=methods, clips=6)
    table = make_leaderboard(
        study(rows), Options(metrics=("faithfulness", "sparseness"), by=("method", "domain", "mask"))
    )
    text = markdown(table, pivot=True)
    assert "### mel" in text
    assert "### stft" in text
    assert cells(text, "mask | grad_cam") == ["mask", "grad_cam", "gradient"]
    own = next(
        line for line in table.lines if line.name == {"method": "grad_cam", "domain": "stft", "mask": "positive"}
    )
    assert own.values[0].mark == "second"
    assert cells(text.split("### stft")[1], "positive")[1] == f"<u>{own.values[0].mean:.3f}</u> / 0.500"
    assert "Each cell: FF ↑ / SPS ↑." in text
    titles = [{"name": "cam", "title": "Grad-CAM", "method": "grad_cam", "domain": "stft"}]
    titled = make_leaderboard(
        study(rows, methods=titles), Options(metrics=("faithfulness",), by=("method", "mask", "domain"))
    )
    assert cells(markdown(titled, pivot=True), "mask | Grad-CAM") == ["mask", "Grad-CAM", "gradient"]
    set_ = latex(table, pivot=True)
    assert set_.count(r"\begin{tabular}{lr}") == 1
    assert set_.count(r"\begin{tabular}{lrr}") == 1
    assert r"\textbf{" in set_


def test_a_pivot_names_failures_and_what_is_missing(study):
    rows = make_rows(**ONE, methods={("gradient", "stft"): 0.2, ("grad_cam", "stft"): 0.6}, clips=6)
    rows = [row for row in rows if not (row["method"] == "gradient" and row["mask"] == "positive")]
    rows = fail(rows, lambda row: row["method"] == "grad_cam" and row["clip"] == "1-002-A.wav")
    text = markdown(
        make_leaderboard(study(rows), Options(metrics=("faithfulness",), by=("method", "domain", "mask"))),
        pivot=True,
    )
    assert cells(text, "positive")[1].endswith("(1 failed)")
    assert cells(text, "positive")[2] == "–"


def test_other_lines_are_no_pivot(table):
    with pytest.raises(ParameterError, match="make lines by method,domain,mask; got method,domain"):
        markdown(table, pivot=True)
