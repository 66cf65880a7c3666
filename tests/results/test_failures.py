"""Failures by reason."""

from otoscope.results.failures import SHOWN, list_failures
from result_rows import fail, make_rows


def test_reasons_with_counts_and_clips(study):
    rows = fail(
        make_rows(clips=8, conditions={"clean": 0.0}), lambda row: row["method"] == "grad_cam", "no feature maps"
    )
    rows = fail(
        rows,
        lambda row: row["method"] == "gradient" and row["clip"] == "1-003-A.wav" and row["classifier"] == "mel",
        "",
    )
    found = list_failures(study(rows))
    assert [(f.method, f.domain, f.classifier, f.reason, f.rows) for f in found] == [
        ("grad_cam", "features", "mel", "no feature maps", 24),
        ("grad_cam", "features", "stft", "no feature maps", 24),
        ("gradient", "stft", "mel", "no reason was written", 3),
    ]
    assert found[0].clips == tuple(f"1-00{i}-A.wav" for i in range(SHOWN))
    assert found[2].clips == ("1-003-A.wav",)


def test_none(study):
    assert list_failures(study(make_rows(clips=2))) == ()


def test_without_a_column_for_reasons_the_status_is_one(study):
    rows = [
        {k: v for k, v in row.items() if k != "error"}
        for row in fail(make_rows(clips=2), lambda row: row["method"] == "random")
    ]
    assert {f.reason for f in list_failures(study(rows))} == {"failed"}
