"""Tables and plots of a like-to-hear study, from results with known numbers."""

import sys

import pytest

from otoscope.core import registry
from otoscope.report import like_to_hear as view
from otoscope.report.like_to_hear import sections, write_like_to_hear

CONDITIONS = [
    {"kind": "all", "low_hz": 0.0, "high_hz": 8000.0},
    {"kind": "only", "low_hz": 0.0, "high_hz": 1000.0},
    {"kind": "below", "low_hz": 0.0, "high_hz": 2000.0},
    {"kind": "above", "low_hz": 2000.0, "high_hz": 8000.0},
]


def share(accuracy):
    return {"accuracy": accuracy, "interval": [accuracy - 0.05, accuracy + 0.04], "right": round(80 * accuracy)}


def results():
    """Two main networks and an ablation, three starting points in use."""
    edges = [88.0, 111.0, 140.0, 177.0, 223.0, 281.0, 354.0, 446.0]
    pairs = {"a--control": ("a", "control"), "b--random": ("b", "random"), "a-off--control": ("a-off", "control")}
    sounds = ["original", "resampled", "control", *pairs]
    classifiers = {
        name: {"title": title, "group": group, "sha256": "0", "sample_rate": 16000, "parameters": 1234567}
        for name, title, group in (("a", "Net A", "main"), ("b", "Net | B", "main"), ("a-off", "A off", "switched"))
    }
    level = {
        "all": [-1.0, 2.0, -3.0, 4.0, -5.0, 6.0, -7.0],
        "clips": [],
        "by_class": {"dog": [0.0] * 7, "cat": [1.0] * 7},
    }
    ratio = {"mean": 4.25, "low": 3.0, "high": 5.5, "n": 80}
    return {
        "clips": 80,
        "labels": ["dog", "cat"],
        "data": "ESC-10, test folds 1",
        "classifiers": classifiers,
        "autoencoders": {
            "control": {"classifier": "", "start": "", "mse": 0.001, "si_sdr_db": ratio, "epoch": 3, "train_s": 90.0},
            **{
                key: {"classifier": c, "start": s, "mse": 0.5, "si_sdr_db": ratio, "epoch": 2, "train_s": None}
                for key, (c, s) in pairs.items()
            },
        },
        "cross": {
            sound: {name: share(0.5 + 0.05 * i + 0.1 * j) for j, name in enumerate(classifiers)}
            for i, sound in enumerate(sounds)
        },
        "bands": {"edges_hz": edges, "sounds": {k: {"original": level, "control": level} for k in ["control", *pairs]}},
        "likeness": {
            "sounds": sounds,
            "matrix": [[1.0 if i == j else 0.1 * (i + j) for j in range(6)] for i in range(6)],
            "within": None,
            "between": 0.345,
            "between_same_start": None,
            "pairs": [0, 1, 0],
        },
        "frequencies": {
            "conditions": CONDITIONS,
            "classifiers": {
                "a": {
                    "own": "a--control",
                    "original": [share(x) for x in (0.9, 0.3, 0.7, 0.2)],
                    "reconstruction": [share(x) for x in (0.8, 0.4, 0.6, 0.1)],
                },
                "b": {"own": None, "original": [share(x) for x in (0.85, 0.35, 0.65, 0.25)]},
            },
        },
    }


def row_of(text, start):
    lines = [line.replace("\\|", "/") for line in text.splitlines()]
    (line,) = [line for line in lines if line.startswith(f"| {start}")]
    return [cell.strip() for cell in line.strip("| ").split(" | ")]


def test_the_cross_matrix_marks_each_network_on_its_own():
    text = view.cross_table(results())
    assert row_of(text, "original")[1:] == ["50.0 (45–54)", "60.0 (55–64)"]
    assert row_of(text, "tuned to Net A")[1:] == ["**65.0** (60–69)", "75.0 (70–79)"]
    assert row_of(text, "tuned to Net / B")[1:] == ["70.0 (65–74)", "**80.0** (75–84)"]
    assert "A off" not in text.splitlines()[0]  # ablations have a table of their own
    others = view.cross_table(results(), ablations=True)
    assert row_of(others, "tuned to A off")[1:] == ["**95.0** (90–99)"]


def test_changes_and_levels():
    text = view.change_table(results())
    assert row_of(text, "autoencoder, MSE alone")[1:] == ["4.2 (3.0 to 5.5)", "0.001", "3", "1.5"]
    found = results()
    found["autoencoders"]["control"]["si_sdr_db"]["n"] = 79
    assert row_of(view.change_table(found), "autoencoder, MSE alone")[1] == "4.2 (3.0 to 5.5, 79 of 80 clips)"
    levels = view.level_table(results(), "original")
    assert row_of(levels, "dB relative to the original")[1:] == ["125", "250"]  # every third band
    assert row_of(levels, "autoencoder, MSE alone")[1:] == ["+2.0", "-5.0"]
    assert "autoencoder, MSE alone" not in view.level_table(results(), "control")


def test_frequencies_stand_beside_everything():
    band, below, above = view.frequency_tables(results())
    assert row_of(band, "everything")[1:] == ["90.0 (80.0)", "85.0"]
    assert row_of(band, "0–1000 Hz")[1:] == ["30.0 (40.0)", "35.0"]
    assert row_of(below, "below 2000 Hz")[1:] == ["70.0 (60.0)", "65.0"]
    assert row_of(above, "above 2000 Hz")[1:] == ["20.0 (10.0)", "25.0"]


def test_ablations_have_their_row():
    text = view.ablation_table(results())
    assert row_of(text, "A off") == ["A off", "1,234,567", "70.0 (65–74)", "80.0 (75–84)", "95.0 (90–99)", "4.2"]


def test_an_undefined_ratio_is_said():
    found = results()
    found["autoencoders"]["a-off--control"]["si_sdr_db"] = {"mean": None, "low": None, "high": None, "n": 0}
    assert row_of(view.change_table(found), "tuned to A off")[1] == "undefined"
    assert row_of(view.ablation_table(found), "A off")[-1] == "undefined"


def test_likeness_says_what_there_is():
    text = view.likeness_table(results())
    assert "between networks: 0.345 (1 pair)" in text
    assert "within" not in text
    assert len([line for line in text.splitlines() if line.startswith("| ")]) == 2 + 4  # head, rule, and four sounds


def test_all_of_it_is_written(tmp_path, monkeypatch):
    found = results() | {"listening": {"clips": []}}
    monkeypatch.setitem(
        registry._entries,
        ("view", "listening"),
        registry.Entry("view", "listening", lambda folder, _contents: folder / "index.html", ""),
    )
    written = write_like_to_hear(found, tmp_path)
    text = (tmp_path / "tables.md").read_text()
    assert text == "\n\n".join(sections(found)) + "\n"
    assert {line for line in text.splitlines() if line.startswith("## ")} == {
        "## Cross matrix",
        "## What changes",
        "## How alike",
        "## Which frequencies matter",
        "## Ablations",
    }
    assert sorted(p.name for p in (tmp_path / "plots").iterdir()) == [
        "classes.png",
        "cross.png",
        "frequencies.png",
        "levels.png",
    ]
    assert len({p.read_bytes()[:8] for p in (tmp_path / "plots").iterdir()}) == 1
    assert written["summary"].splitlines() == [
        "Net A: original 50.0 %, MSE alone 60.0 %, the MSE one 65.0 %",
        "Net | B: original 60.0 %, MSE alone 70.0 %, random weights 80.0 %",
    ]


def test_without_matplotlib_it_says_so_and_writes_the_rest(tmp_path, monkeypatch):
    found = results() | {"listening": {"clips": []}}
    monkeypatch.setitem(
        registry._entries,
        ("view", "listening"),
        registry.Entry("view", "listening", lambda folder, _contents: folder / "index.html", ""),
    )
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    written = write_like_to_hear(found, tmp_path)
    assert "otoscope[plot]" in written["summary"]
    assert written["plots"] == []
    assert (tmp_path / "tables.md").is_file()


@pytest.mark.parametrize("name", ["like-to-hear", "listening"])
def test_the_views_are_registered(name):
    assert registry.get("view", name).kind == "view"
