"""The thresholds of the verdict, one by one, on both sides."""

from __future__ import annotations

import pytest

from otoscope.explanation.verdict import cancellation, judge

GOOD = {"original": 0.9, "kept": 0.95, "removed": 0.1}


def verdict(scores=None, heard=None, size=0.3, silent=False, is_top=True):
    heard = {**GOOD, **(heard or {})}
    return judge("dog", {**heard, **(scores or {})}, heard, size, silent, is_top)


def test_nothing_wrong_is_good():
    found = verdict()
    assert (found.trust, found.warnings) == ("good", ())
    assert found.sentence == (
        "The classifier says 'dog' with 90 % on the original, 95 % on the kept sound alone and 10 % on what was removed."
    )


@pytest.mark.parametrize(
    ("at", "beyond", "trust", "word"),
    [
        ({"heard": {"kept": 0.45}}, {"heard": {"kept": 0.4499}}, "poor", "has lost the answer"),
        ({"size": 1e-6}, {"size": 0.0}, "poor", "mask is empty"),
        ({"heard": {"removed": 0.4499}}, {"heard": {"removed": 0.45}}, "doubtful", "still carries the answer"),
        ({"scores": {"kept": 0.7501}}, {"scores": {"kept": 0.7499}}, "doubtful", "differ by up to 0.20"),
        ({"scores": {"removed": 0.2999}}, {"scores": {"removed": 0.31}}, "doubtful", "differ by up to 0.21"),
        ({"size": 0.9}, {"size": 0.91}, "doubtful", "Nearly everything is kept"),
        ({"heard": {"original": 0.5}}, {"heard": {"original": 0.499}}, "doubtful", "itself was unsure"),
        ({"is_top": True}, {"is_top": False}, "doubtful", "explained on request"),
        ({"silent": False}, {"silent": True}, "poor", "is silent"),
    ],
)
def test_a_threshold(at, beyond, trust, word):
    assert verdict(**at).warnings == ()
    assert verdict(**at).trust == "good"
    found = verdict(**beyond)
    assert found.trust == trust
    assert len(found.warnings) == 1
    assert word in found.warnings[0]


def test_half_of_the_original_counts_not_half_of_everything():
    assert verdict(heard={"original": 0.6, "kept": 0.31, "removed": 0.0}).trust == "good"
    assert verdict(heard={"original": 0.6, "kept": 0.29, "removed": 0.0}).trust == "poor"


def test_the_worst_decides_and_comes_first():
    found = verdict(heard={"kept": 0.1, "removed": 0.8}, is_top=False)
    assert found.trust == "poor"
    assert "lost the answer" in found.warnings[0]
    assert len(found.warnings) == 3


def test_what_is_heard_decides_not_what_was_scored():
    assert verdict(scores={"kept": 0.1}, heard={"kept": 0.95}).trust == "doubtful"
    assert verdict(scores={"kept": 0.95}, heard={"kept": 0.1}).trust == "poor"


def test_silence_is_not_blamed_on_the_removed_part():
    found = verdict(heard={"removed": 0.9}, silent=True)
    assert not any("still carries" in w for w in found.warnings)


def test_nan_is_spoken():
    assert "an undefined probability" in verdict(heard={"kept": float("nan")}).sentence


def test_labels_with_odd_characters_stay_in_one_line():
    found = judge("a\nb", GOOD, GOOD, 0.3, False, False)
    assert "\n" not in found.sentence
    assert not any("\n" in w for w in found.warnings)


def test_reasons_to_doubt_come_first_and_never_raise_the_trust():
    good, poor = verdict(), verdict(heard={"kept": 0.1})
    assert good.doubted(()) == good
    assert (good.doubted(("why",)).trust, good.doubted(("why",)).warnings) == ("doubtful", ("why",))
    assert poor.doubted(("why",)).trust == "poor"
    assert poor.doubted(("why",)).warnings == ("why", *poor.warnings)
    assert good.doubted(("why",)).sentence == good.sentence


def test_attributions_that_do_not_add_up_are_told():
    from otoscope.explanation.verdict import judge

    scores = {"original": 0.9, "kept": 0.9, "removed": 0.1}
    fine = judge("dog", scores, scores, 0.2, False, True, facts={"gap": 0.05, "change": 2.0})
    off = judge("dog", scores, scores, 0.2, False, True, facts={"gap": -0.9, "change": 2.0})
    assert (fine.trust, off.trust) == ("good", "doubtful")
    assert "miss it by 0.90 (45%)" in off.warnings[0]
    assert (
        judge("dog", scores, scores, 0.2, False, True, facts={"gap": 0.5}).trust == "good"
    )  # nobody knows what it should be
    assert (
        "should sum to 0.00"
        in judge("dog", scores, scores, 0.2, False, True, facts={"gap": 0.5, "change": 0.0}).warnings[0]
    )


def test_controls_at_the_level_of_the_original_speak_of_the_answer_alone():
    from otoscope.explanation.verdict import judge

    scores = {"original": 0.9, "kept": 0.9, "removed": 0.1}
    found = judge("dog", scores, scores, 0.2, False, True, {"noise": 0.8, "silence": 0.71, "shuffled": 0.1})
    assert found.trust == "good"
    assert found.warnings == ()
    assert len(found.answer) == 1
    assert "white noise" in found.answer[0]
    low = {"original": 0.1, "kept": 0.1, "removed": 0.0}
    assert (
        judge("dog", low, low, 0.2, False, True, {"noise": 0.1}).answer == ()
    )  # a class that has little anywhere is no habit


@pytest.mark.parametrize(
    ("level", "said"), [(0.0, ""), (-3.0, ""), (-11.9, ""), (-25.2, "25 dB softer"), (-200.0, "silent")]
)
def test_channels_that_cancel_are_told(level, said):
    assert said in "".join(cancellation(level))
    assert bool(cancellation(level)) == bool(said)
