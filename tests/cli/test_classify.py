"""`otoscope classify`."""

from __future__ import annotations

import pytest

LABELS = {"dog", "siren", "rain", "clock tick"}


@pytest.fixture
def classify(otoscope, model):
    def run(*arguments):
        return otoscope("classify", "--model", model, *arguments)

    return run


def test_json_of_one_sound_is_the_list_of_a_hugging_face_pipeline(classify, wav):
    run = classify(wav(), "--json")
    assert (run.code, run.errors) == (0, [])
    assert {x["label"] for x in run.json} == LABELS
    assert all(set(x) == {"label", "score"} for x in run.json)
    scores = [x["score"] for x in run.json]
    assert scores == sorted(scores, reverse=True)
    assert sum(scores) == pytest.approx(1, abs=1e-5)


def test_json_of_several_is_a_list_of_lists(classify, wav):
    a, b = wav("a.wav"), wav("b.wav", 0.4, rate=44100)
    both = classify(a, b, "--json").json
    assert both == [classify(a, "--json").json, classify(b, "--json").json]


def test_top_k(classify, wav):
    assert len(classify(wav(), "--json", "--top-k", 2).json) == 2
    assert len(classify(wav(), "--json", "--top-k", 99).json) == 4


@pytest.mark.parametrize("k", ["0", "-1", "x", "1.5"])
def test_a_wrong_top_k(classify, wav, k):
    run = classify(wav(), "--top-k", k)
    assert run.code == 2
    assert "--top-k" in run.err
    assert "Traceback" not in run.err


def test_the_table(classify, wav):
    a = wav()
    lines = classify(a, "--top-k", "2").out.splitlines()
    assert lines[0].split() == ["file", "score", "label"]
    assert len(lines) == 3
    assert lines[1].startswith(str(a))


def test_a_bad_file_keeps_its_place(classify, wav):
    """Who reads the lists beside their files must not take one for another."""
    run = classify("missing.wav", wav(), "--json")
    assert run.code == 1
    assert [len(labels) for labels in run.json] == [0, 4]
    assert run.error.startswith("otoscope: missing.wav: cannot read missing.wav: there is no such file")


def test_nothing_that_can_be_done(classify):
    run = classify("missing.wav", "--json")
    assert run.code == 2
    assert run.json == []
    run = classify("missing.wav")
    assert run.code == 2
    assert run.out == ""


@pytest.mark.parametrize("size", ["0", "-3"])
def test_an_impossible_batch_size(classify, wav, size):
    run = classify(wav(), "--batch-size", size)
    assert run.code == 2
    assert "batch_size must be a whole number from 1" in run.error


def test_a_published_network_knows_typing(otoscope, shared):
    run = otoscope(
        "classify", shared("clips/typing.wav"), "--model", "mn04_as", "--json",
        "--weights", shared("weights/mn04_as_mAP_432.pt"),
    )  # fmt: skip
    assert [x["label"] for x in run.json[:2]] == ["Computer keyboard", "Typing"]
    assert [x["score"] for x in run.json[:2]] == pytest.approx([0.891, 0.871], abs=2e-3)


@pytest.mark.parametrize("labels", ["", "a,,b", "a,a", ","])
def test_labels_must_be_different_names(otoscope, tmp_path, labels):
    run = otoscope("classify", tmp_path / "x.wav", "--labels", labels)
    assert run.code == 2
    assert any(words in run.err for words in ("at least one class", "not empty", "must be different"))
