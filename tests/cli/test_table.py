"""`otoscope table`: prints, writes, selects; bad input is one line."""

import csv
import io

import pytest

from result_rows import fail, make_rows, write_rows, write_study

pytest.importorskip("pyarrow")
pytestmark = pytest.mark.usefixtures("no_left_overs")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    rows = fail(
        make_rows(clips=8, truth=True), lambda row: row["method"] == "gradient" and row["clip"] == "1-001-A.wav"
    )
    return write_study(tmp_path_factory.mktemp("results") / "study", rows)


def test_the_leaderboard_is_printed(otoscope, study, tmp_path):
    run = otoscope("table", study)
    assert (run.code, run.err) == (0, "")
    assert run.out.startswith("# A made-up study\n\n## clean, mel\n")
    assert "| integrated_gradients | stft | topk:0.3 | **0.7" in run.out
    assert "960 rows" not in run.out
    assert "480 rows, 12 of them failed." in run.out
    assert list((tmp_path / "cwd").iterdir()) == []


def test_metrics_panels_lines_and_order(otoscope, study):
    run = otoscope(
        "table", study, "--metrics", "faithfulness,mask_size", "--condition", "clean", "--classifier", "mel", "--only",
        "method=random", "--only", "method=gradient", "--by", "method,domain,mask", "--sort", "mask_size",
        "--format", "csv",
    )  # fmt: skip
    assert run.code == 0
    rows = list(csv.DictReader(io.StringIO(run.out)))
    assert {row["method"] for row in rows} == {"random", "gradient"}
    assert [float(row["mask_size"]) for row in rows] == pytest.approx([0.05] * 2 + [0.3] * 2 + [0.5] * 2)
    assert {row["condition"] + row["classifier"] for row in rows} == {"cleanmel"}


def test_everything_is_written(otoscope, study):
    run = otoscope("table", study, "--out", "made")
    assert run.code == 0
    ends = {"md": "md", "latex": "tex", "csv": "csv", "html": "html"}
    assert run.out.splitlines()[-4:] == [f"{form}: made/table.{end}" for form, end in ends.items()]


def test_one_form_is_printed_or_written(otoscope, study, tmp_path):
    assert otoscope("table", study, "--format", "latex").out.startswith("% needs")
    run = otoscope("table", study, "--format", "html", "--out", "made")
    assert run.out.startswith("# A made-up study")
    assert [p.name for p in (tmp_path / "cwd" / "made").iterdir()] == ["table.html"]


def test_a_pivot(otoscope, study):
    run = otoscope("table", study, "--pivot", "--by", "method,domain,mask", "--metrics", "audiointerp")
    assert run.code == 0
    assert "| mask | gradient | integrated_gradients | random |" in run.out


def test_json(otoscope, study):
    made = otoscope("table", study, "--json", "--seed", "3", "--choose", "score", "--same-clips").json
    assert made["choice"]["same_clips"] is True
    assert 0 < made["lines"][0]["score"] <= 1
    assert made["choice"]["how"] == "score"
    assert made["choice"]["seed"] == 3
    assert made["lines"][0]["name"] == {"method": "integrated_gradients", "domain": "stft"}
    assert made["files"] == {}


def test_an_odd_terminal_can_print_it(otoscope, tmp_path):
    rows = [{**row, "method": "Grüße 狮子"} for row in make_rows(clips=4, conditions={"clean": 0.0})]
    assert "Grüße 狮子" in otoscope("table", write_rows(tmp_path / "a.parquet", rows)).out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--metrics", "faithfulnes"], "did you mean 'faithfulness'"),
        (["--metrics", "a,,b"], "distinct names separated by commas"),
        (["--by", "method,method"], "distinct names separated by commas"),
        (["--by", "methods"], "unknown column of the results 'methods'; did you mean 'method'"),
        (["--condition", "noisy"], "unknown condition of the results 'noisy'; there are clean, white"),
        (["--only", "condition"], "must be COLUMN=TEXT"),
        (["--only", "clip=1-000-A.wav"], "there is one clip, so the mask of each line cannot be chosen"),
        (["--sort", "speed"], "unknown order of the table 'speed'"),
        (["--choose", "luck"], "unknown criterion for masks 'luck'"),
        (["--format", "pdf"], "unknown form of a table 'pdf'"),
        (["--format", "html"], "name one with --out"),
        (["--pivot"], "make lines by method,domain,mask"),
        (["--listen", "--format", "md"], "add html to the formats"),
        (["--listen", "--out", "made"], "no recipe.json next to the results"),
        (["--seed", "-1"], "seed must be at least 0; got -1"),
        (["nowhere"], "nowhere does not exist"),
        (["--out", "file/made"], "cannot write"),
    ],
)
def test_bad_input_is_one_line(otoscope, study, tmp_path, arguments, said):
    (tmp_path / "cwd" / "file").write_text("")
    run = otoscope("table", study, *arguments)
    assert run.code == 2
    assert said in run.error
    assert run.out == ""
    assert [p.name for p in (tmp_path / "cwd").iterdir()] == ["file"]


def test_damaged_results_are_named(otoscope, study, tmp_path):
    cut = tmp_path / "cut.parquet"
    cut.write_bytes((study / "results.parquet").read_bytes()[:-100])
    assert "cut.parquet is damaged or not a Parquet file" in otoscope("table", cut).error
    assert otoscope("table").error == "otoscope: Missing argument 'RESULTS...'; see otoscope table --help"
    (tmp_path / "dir").mkdir()
    assert "holds no results" in otoscope("table", tmp_path / "dir").error


def test_notes_on_the_results_go_to_stderr(otoscope, tmp_path):
    rows = make_rows(clips=4, conditions={"clean": 0.0})
    write_rows(tmp_path / "s" / "parts" / "a.parquet", rows)
    (tmp_path / "s" / "parts.json").write_text('["a.parquet", "b.parquet"]')
    run = otoscope("table", tmp_path / "s")
    assert run.code == 0
    assert "otoscope: 1 of 2 parts are missing or damaged: run the study again" in run.err
    assert "1 of 2 parts are missing or damaged" in run.out
