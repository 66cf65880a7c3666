"""The page of several explanations of one sound."""

from __future__ import annotations

import re

import pytest

from otoscope.report.pages.comparison import write_comparison


def row(method, folder, **more):
    files = {part: str(folder / method / f"{part}.wav") for part in ("original", "kept", "removed")}
    return {
        "file": "field <1>.wav",
        "method": method,
        "domain": "mel,bands=20",
        "mask": "positive",
        "target": {"index": 1, "label": "<rain>"},
        "score": {"original": 0.9, "kept": 0.8, "removed": 0.1},
        "heard": {"kept": 0.75, "removed": 0.125},
        "verdict": {"trust": "doubtful"},
        "files": {**files, "report": str(folder / method / "report.html")},
        **more,
    }


@pytest.fixture
def page(tmp_path):
    rows = [row("lime", tmp_path), row("rise & co", tmp_path)]
    file = write_comparison(rows, tmp_path / "comparison.html")
    with open(file, encoding="utf-8") as text:
        return text.read()


def test_every_explanation_has_its_scores_sounds_and_report(page):
    assert page.count("<tr>") == 3
    assert len(re.findall(r"\b75\W+%", page)) == 2
    assert re.findall(r'src="(lime/[a-z]+\.wav)"', page) == ["lime/original.wav", "lime/kept.wav", "lime/removed.wav"]
    assert 'href="rise%20%26%20co/report.html"' in page
    assert "Doubtful" in page


def test_names_stay_text(page):
    assert "<rain>" not in page
    assert "&lt;rain&gt;" in page
    assert "field &lt;1&gt;.wav" in page
    assert "rise &amp; co" in page
