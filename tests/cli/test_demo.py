"""`otoscope demo`."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def quick(monkeypatch):
    """The demo with a cheap method and the first half second of its scene."""
    import otoscope.explanation as room

    explain = room.explain

    def cheap(clip, **options):
        return explain(clip, method="input_x_gradient", **options)

    monkeypatch.setattr(room, "explain", cheap)


def test_it_says_what_it_found_and_where_the_report_is(otoscope, esc10_mn, quick):
    run = otoscope("demo", "--out", "here")
    assert (run.code, run.errors) == (0, [])
    assert {p.name for p in Path("here").iterdir()} >= {
        "original.wav", "kept.wav", "removed.wav", "attribution.npz", "explanation.json", "report.html",
    }  # fmt: skip
    assert run.out.startswith("The scene: ")
    assert "The classifier says" in run.out
    assert "Trust in the explanation: " in run.out
    assert run.out.splitlines()[-1].endswith("here/report.html")
    for part in ("original", "kept", "removed"):
        assert any(line.startswith(part) for line in run.out.splitlines())


def test_it_takes_no_file(otoscope):
    run = otoscope("demo", "a.wav")
    assert run.code == 2
    assert "unexpected extra argument" in run.err
