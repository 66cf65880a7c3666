"""`otoscope explain`."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

import otoscope as package

FILES = {"original.wav", "kept.wav", "removed.wav", "attribution.npz", "explanation.json", "report.html"}
PARTS = ("original", "kept", "removed")


def test_each_sound_gets_its_folder(explain, wav):
    run = explain(wav("a.wav", channels=2, rate=44100), wav("b.wav"))
    assert (run.code, run.errors) == (0, [])
    for stem, channels, rate in (("a", 2, 44100), ("b", 1, 16000)):
        folder = Path("out") / stem
        assert {p.name for p in folder.iterdir()} == FILES
        for part in PARTS:
            info = soundfile.info(folder / f"{part}.wav")
            assert (info.channels, info.samplerate, info.subtype) == (channels, rate, "FLOAT")
            assert info.frames == round(0.2 * rate)


def test_the_table_names_files_and_reports(explain, wav):
    a = wav("a.wav")
    lines = explain(a).out.splitlines()
    assert lines[0].split() == ["file", "target", "original", "kept", "removed", "trust", "report"]
    assert len(lines) == 2
    assert lines[1].startswith(str(a))
    assert lines[1].endswith("out/a/report.html")


def test_a_narrow_terminal_does_not_break_the_path(explain, wav, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    run = explain(wav("a-rather-long-name-with-hyphens-in-it-so-that-it-wraps.wav"))
    assert "out/a-rather-long-name-with-hyphens-in-it-so-that-it-wraps/report.html" in run.out


def test_json_has_what_is_promised(explain, wav):
    a = wav("a.wav")
    run = explain(a, "--json", "--domain", "mel,bands=16", "--mask", "topk:0.3", "--target", "rain")
    assert (run.code, run.errors) == (0, [])
    (row,) = run.json
    promised = {
        "file", "model", "method", "domain", "mask", "target", "score", "heard", "metrics", "files", "seconds",
    }  # fmt: skip
    assert set(row) == promised | {"verdict", "notes"}
    assert row["file"] == str(a)
    assert (row["model"], row["method"], row["domain"], row["mask"]) == ("tiny", "input_x_gradient", "mel", "topk:0.3")
    assert row["target"] == {"index": 2, "label": "rain"}
    assert set(row["score"]) == set(PARTS)
    assert set(row["heard"]) == {"kept", "removed"}
    for p in (*row["score"].values(), *row["heard"].values()):
        assert 0 <= p <= 1
    assert set(row["files"]) == {*PARTS, "attribution", "record", "report"}
    assert row["seconds"] > 0
    scored = {"faithfulness", "average_increase", "average_drop", "average_gain", "input_fidelity"}
    scored |= {"average_drop_speechbrain"}
    shape = {"sparseness", "complexity", "mask_size"}
    assert set(row["metrics"]) == scored | {f"heard_{m}" for m in scored} | shape
    assert row["metrics"]["faithfulness"] == pytest.approx(row["score"]["original"] - row["score"]["removed"])
    assert row["metrics"]["mask_size"] == pytest.approx(0.3, abs=0.02)


def test_json_of_several_is_one_list_in_order(explain, wav):
    files = [wav("b.wav"), wav("a.wav", 0.3), wav("c.wav")]
    assert [r["file"] for r in explain(*files, "--json").json] == [str(f) for f in files]


def test_heard_is_what_classify_says_of_the_written_files(explain, wav, otoscope, model):
    (row,) = explain(wav(rate=44100, channels=2), "--json").json
    for part in ("kept", "removed"):
        found = otoscope("classify", "--model", model, "--json", row["files"][part]).json
        score = {x["label"]: x["score"] for x in found}[row["target"]["label"]]
        assert score == pytest.approx(row["heard"][part], abs=1e-7)


def test_the_record_and_the_row_agree(explain, wav):
    (row,) = explain(wav(), "--json", "--seed", "3", "--batch-size", "5").json
    record = json.loads(Path(row["files"]["record"]).read_text())
    assert record["score"] == row["score"]
    assert record["metrics"] == row["metrics"]
    assert record["environment"]["seed"] == 3
    assert record["environment"]["batch_size"] == 5
    assert record["environment"]["device"] == "cpu"


def test_it_can_be_replayed_from_the_written_record(explain, wav):
    (row,) = explain(wav(), "--json", method="rise,masks=6").json
    again = package.replay(row["files"]["record"])
    np.testing.assert_array_equal(again.kept.samples, package.load_audio(row["files"]["kept"]).samples)


def test_one_bad_file_among_three_does_not_stop_the_others(explain, wav, tmp_path):
    bad = tmp_path / "bad.wav"
    bad.write_text("this is no sound")
    run = explain(wav("a.wav"), bad, wav("c.wav"), "--json")
    assert run.code == 1
    assert [r["file"][-5:] for r in run.json] == ["a.wav", "c.wav"]
    assert len(run.errors) == 2
    assert run.errors[0].startswith(f"otoscope: {bad}: cannot read")
    assert run.errors[1] == "otoscope: 1 of 3 files failed"
    assert not (tmp_path / "cwd/out/bad").exists()


@pytest.mark.parametrize("batch_size", [1, 2, 16])
def test_the_bad_file_may_be_anywhere(explain, wav, batch_size):
    files = ["missing.wav", wav("a.wav"), "gone.wav", wav("b.wav")]
    run = explain(*files, "--json", "--batch-size", batch_size)
    assert run.code == 1
    assert [r["files"]["kept"] for r in run.json] == ["out/a/kept.wav", "out/b/kept.wav"]
    assert run.errors[-1] == "otoscope: 2 of 4 files failed"


def test_nothing_that_can_be_done_is_code_2(explain):
    run = explain("missing.wav", "gone.wav", "--json")
    assert run.code == 2
    assert run.json == []
    assert len(run.errors) == 2


def test_two_files_with_one_stem_do_not_overwrite_each_other(explain, wav):
    run = explain(wav("x/a.wav"), wav("y/a.wav", 0.3), wav("z/a-2.wav", 0.4), wav("z/a.wav", 0.1), "--json")
    folders = [r["files"]["kept"] for r in run.json]
    assert folders == ["out/a/kept.wav", "out/a-3/kept.wav", "out/a-2/kept.wav", "out/a-4/kept.wav"]
    assert [soundfile.info(f).frames for f in folders] == [3200, 4800, 6400, 1600]


def test_the_same_file_twice_is_explained_twice(explain, wav):
    a = wav()
    run = explain(a, a, "--json")
    assert [r["files"]["kept"] for r in run.json] == ["out/a/kept.wav", "out/a-2/kept.wav"]


def test_old_results_are_replaced(explain, wav, tmp_path):
    explain(wav("a.wav", 0.1))
    run = explain(wav("a.wav", 0.3), "--json")
    assert soundfile.info(run.json[0]["files"]["kept"]).frames == 4800
    assert {p.name for p in (tmp_path / "cwd/out/a").iterdir()} == FILES


def test_the_seed_decides(explain, wav):
    a, masks = wav(), []
    for seed in (1, 1, 2):
        (row,) = explain(a, "--json", "--overwrite", "--seed", seed, method="rise,masks=4").json
        with np.load(row["files"]["attribution"]) as stored:
            masks.append(stored["mask"])
    np.testing.assert_array_equal(masks[0], masks[1])
    assert not np.array_equal(masks[0], masks[2])


@pytest.mark.parametrize("domain", ["stft,bands=16", "mel", "time,ms=20", "features"])
def test_domains(explain, wav, domain):
    (row,) = explain(wav(), "--json", "--domain", domain).json
    assert row["domain"] == domain.split(",")[0]
    with np.load(row["files"]["attribution"]) as stored:
        assert stored["mask"].shape == tuple(stored["grid"])


def test_a_model_with_weights_of_its_own(explain, wav, model, tmp_path):
    import torch
    from safetensors.torch import load_file

    torch.save(
        {k: v * 1.01 if v.is_floating_point() else v for k, v in load_file(model / "model.safetensors").items()},
        tmp_path / "w.pt",
    )
    (row,) = explain(wav(), "--json", "--weights", tmp_path / "w.pt", "--device", "cpu").json
    assert json.loads(Path(row["files"]["record"]).read_text())["model"]["info"]["weights"] == "w.pt"


def test_an_absolute_and_a_nested_out(otoscope, model, wav, tmp_path):
    run = otoscope(
        "explain", wav(), "--model", model, "--method", "gradient", "--out", tmp_path / "x" / "y z", "--json"
    )
    assert (tmp_path / "x" / "y z" / "a" / "report.html").is_file()
    assert run.json[0]["files"]["report"] == str(tmp_path / "x" / "y z" / "a" / "report.html")


def test_the_default_model_explains(otoscope, wav, esc10_mn):
    (row,) = otoscope("explain", wav(), "--method", "input_x_gradient", "--json").json
    assert row["model"] == "esc10-mn"
    assert row["target"]["label"] in esc10_mn.labels
    assert row["files"]["kept"] == "explanations/a/kept.wav"


def test_the_default_method_explains(otoscope, model, wav):
    from otoscope.explanation import DEFAULT_DOMAIN, DEFAULT_METHOD

    (row,) = otoscope("explain", wav(seconds=0.1), "--model", model, "--json").json
    assert (row["method"], row["domain"]) == (DEFAULT_METHOD.split(",")[0], DEFAULT_DOMAIN.split(",")[0])


# What a network likes to hear


@pytest.fixture
def autoencoder(tmp_path, model):
    """The folder of a tiny autoencoder that was tuned to no classifier; its name would break a spec."""
    from autoencoder_worlds import tiny_autoencoder

    return tiny_autoencoder(tmp_path / "runs" / "a,b=c", 16000)


def test_an_autoencoder_implies_like_to_hear(otoscope, model, wav, autoencoder):
    run = otoscope("explain", wav(), wav("b.wav", 0.3), "--model", model, "--autoencoder", autoencoder, "--json")
    assert (run.code, run.errors) == (0, [])
    for row in run.json:
        assert (row["method"], row["domain"], row["mask"]) == ("like-to-hear", "mel", "level")
        assert row["verdict"]["trust"] in ("doubtful", "poor")
        assert "not tuned to any classifier" in row["verdict"]["warnings"][0]
        kept, removed, original = (package.load_audio(row["files"][p]).samples for p in ("kept", "removed", "original"))
        np.testing.assert_allclose(kept + removed, original, atol=1e-6)
        assert row["heard"]["kept"] == pytest.approx(row["score"]["kept"], abs=1e-5)
        page = Path(row["files"]["report"]).read_text()
        assert "not tuned to any classifier" in page
        assert "the mask does not make the sound" in page.lower()
        assert "what the method generated" in page
        again = package.replay(row["files"]["record"])
        np.testing.assert_array_equal(again.kept.samples, kept)


def test_the_table_shows_that_it_is_doubted(otoscope, model, wav, autoencoder):
    run = otoscope("explain", wav(), "--model", model, "--method", "like-to-hear", "--autoencoder", autoencoder)
    assert run.code == 0
    assert re.search(r" (doubtful|poor) +explanations/a/report\.html$", run.out.splitlines()[1])


def test_an_autoencoder_tuned_to_the_model_is_not_doubted_for_it(otoscope, model, wav, tmp_path):
    from autoencoder_worlds import tiny_autoencoder

    folder = tiny_autoencoder(tmp_path / "mine", 16000, classifier=package.load_classifier(model))
    (row,) = otoscope("explain", wav(), "--model", model, "--autoencoder", folder, "--json").json
    assert not any("autoencoder" in w for w in row["verdict"]["warnings"])
