"""Markdown, LaTeX and CSV: the marks, the widths, the counts, and names that could break out."""

import csv
import io
import math
import re

import pytest

from otoscope.core.errors import ParameterError
from otoscope.study.tables import Ask, make_table
from otoscope.study.tables.write import comma_separated, latex, markdown
from result_rows import METHODS, fail, make_rows

ONE = {"conditions": {"clean": 0.0}, "classifiers": {"mel": 0.0}}
HOSTILE = "a|b_c *d* <b>&%$#{}~^\\ \n`e`"


@pytest.fixture
def table(study):
    rows = fail(make_rows(**ONE), lambda row: row["method"] == "gradient" and row["clip"] == "1-001-A.wav")
    return make_table(study(rows), Ask(metrics=("faithfulness", "average_drop")))


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
    assert cells(text, "method")[3:] == ["FF ↑", "AD (%) ↓", "clips", "failed", "s/clip"]
    assert cells(text, "clean")[4:] == ["the clip is silent", "3", "1-001-A.wav"]
    assert text.startswith("# A made-up study\n\n## clean, mel\n")


def test_latex(table):
    text = latex(table)
    value = table.lines[0].values[0]
    width = rf"{{\scriptsize $\pm${value.half_width:.3f}}}"
    assert rf"integrated\_gradients & stft & topk:0.3 & \textbf{{{value.mean:.3f}}} {width} &" in text
    assert r"& \underline{0.7" in text
    assert r"FF $\uparrow$ & AD (\%) $\downarrow$ & clips & failed & s/clip \\" in text
    assert r"\begin{tabular}{lllrrrrr}" in text
    for rule in (r"\toprule", r"\midrule", r"\bottomrule", r"\caption{A made-up study. clean, mel. "):
        assert text.count(rule) == 1
    for line in [line for line in text.splitlines() if line.endswith(r"\\")]:
        assert len(re.findall(r"(?<!\\)&", line)) == 7


def test_csv_is_in_full_precision(table):
    rows = list(csv.DictReader(io.StringIO(comma_separated(table))))
    assert [row["method"] for row in rows] == [method for method, _ in METHODS]
    for row, line in zip(rows, table.lines, strict=True):
        for name, value in zip(("faithfulness", "average_drop"), line.values, strict=True):
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
    table = make_table(study(make_rows(**ONE, methods=methods, noise=0.2)), Ask(metrics=("faithfulness",)))
    assert [line.values[0].alike for line in table.lines] == [False, True, False]
    assert [line.count("≈") for line in markdown(table).splitlines() if line.startswith(("| g", "| r"))] == [0, 1, 0]
    assert latex(table).count(r"$\approx$ &") == 1


def test_numbers_of_fewer_clips_say_so(study):
    rows = make_rows(**ONE)
    for row in rows:
        if row["method"] == "random" and row["clip"] in ("1-001-A.wav", "1-003-A.wav"):
            row["sparseness"] = None
    table = make_table(study(rows), Ask(metrics=("sparseness",)))
    assert cells(markdown(table), "random")[3] == "0.700 ±0.000 (8)"
    assert cells(markdown(table), "gradient")[3] == "0.700 ±0.000"


def test_scores_stand_beside_the_masks_that_they_chose(study):
    rows = fail(make_rows(**ONE), lambda row: row["method"] == "gradient")
    table = make_table(study(rows), Ask(metrics=("faithfulness",), choose="score"))
    text = markdown(table)
    assert cells(text, "method")[4:] == ["score", "clips", "failed", "s/clip"]
    assert cells(text, "integrated_gradients")[4] == f"{table.lines[0].score:.3f}"
    assert cells(text, "gradient |")[4:6] == ["–", "0"]
    (first, *_) = csv.DictReader(io.StringIO(comma_separated(table)))
    assert float(first["score"]) == table.lines[0].score
    assert r"\begin{tabular}{lllrrrrr}" in latex(table)


def test_nothing_known_is_a_dash(study):
    rows = fail(make_rows(**ONE), lambda row: row["method"] == "gradient")
    table = make_table(study(rows), Ask(metrics=("faithfulness",)))
    assert cells(markdown(table), "gradient |")[2:] == ["–", "–", "0", "60", "–"]
    assert r"gradient & stft & -- & -- & 0 & 60 & --" in latex(table)


def test_hostile_names_stay_in_their_cells(study):
    rows = [{**row, "method": HOSTILE} if row["method"] == "gradient" else row for row in make_rows(**ONE)]
    rows = fail(rows, lambda row: row["clip"] == "1-001-A.wav", HOSTILE)
    table = make_table(study(rows), Ask(metrics=("faithfulness",)))
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
    text = markdown(make_table(study(make_rows(**ONE, truth=True)), Ask(metrics=("truth", "faithfulness"))))
    assert cells(text, "clean, mel | FF")[2] == "1.00 (1.00 to 1.00)"


# --- pivots ---------------------------------------------------------------------------------------------------------


def test_a_pivot_has_masks_as_lines_and_methods_as_columns(study):
    methods = {("gradient", "stft"): 0.2, ("grad_cam", "stft"): 0.6, ("rise", "mel"): 0.4}
    rows = make_rows(**ONE, methods=methods, clips=6)
    table = make_table(study(rows), Ask(metrics=("faithfulness", "sparseness"), by=("method", "domain", "mask")))
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
    set_ = latex(table, pivot=True)
    assert set_.count(r"\begin{tabular}{lr}") == 1
    assert set_.count(r"\begin{tabular}{lrr}") == 1
    assert r"\textbf{" in set_


def test_a_pivot_names_failures_and_what_is_missing(study):
    rows = make_rows(**ONE, methods={("gradient", "stft"): 0.2, ("grad_cam", "stft"): 0.6}, clips=6)
    rows = [row for row in rows if not (row["method"] == "gradient" and row["mask"] == "positive")]
    rows = fail(rows, lambda row: row["method"] == "grad_cam" and row["clip"] == "1-002-A.wav")
    text = markdown(
        make_table(study(rows), Ask(metrics=("faithfulness",), by=("method", "domain", "mask"))), pivot=True
    )
    assert cells(text, "positive")[1].endswith("(1 failed)")
    assert cells(text, "positive")[2] == "–"


def test_other_lines_are_no_pivot(table):
    with pytest.raises(ParameterError, match="make lines by method,domain,mask; got method,domain"):
        markdown(table, pivot=True)
