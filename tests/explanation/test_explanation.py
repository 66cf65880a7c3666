"""The record of one answer, and the files, pictures and pages that come of it."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import otoscope
from otoscope.audio import write_wav
from otoscope.core.errors import OtoscopeError, WriteError
from otoscope.explanation.scoring import score_sound
from worlds import RATE, band_energy, spectral, tone, tone_and_decoy

PARTS = ("original", "kept", "removed")
SCORED = [
    "faithfulness",
    "average_increase",
    "average_drop",
    "average_gain",
    "input_fidelity",
    "average_drop_speechbrain",
]


def made(samples=None, rate=RATE, **options):
    samples = np.stack([tone_and_decoy(0.5)] * 2) if samples is None else samples
    options = {"method": "input_x_gradient", "mask": "topk:0.3", **options}
    return otoscope.explain(samples, band_energy(), sample_rate=rate, **options)


@pytest.fixture(scope="module")
def e():
    return made()


@pytest.fixture
def saved(e, tmp_path):
    return {name: Path(path) for name, path in e.save(tmp_path / "out").items()}


def test_six_files_are_written(saved, tmp_path):
    assert {name: path.relative_to(tmp_path / "out").name for name, path in saved.items()} == {
        "original": "original.wav",
        "kept": "kept.wav",
        "removed": "removed.wav",
        "attribution": "attribution.npz",
        "record": "explanation.json",
        "report": "report.html",
    }
    assert {p.name for p in (tmp_path / "out").iterdir()} == {p.name for p in saved.values()}


def test_the_written_sounds_are_the_sounds(e, saved):
    for part, wanted in (("original", e.source.samples), ("kept", e.kept.samples), ("removed", e.removed.samples)):
        samples, rate = soundfile.read(saved[part], dtype="float32", always_2d=True)
        assert rate == RATE
        assert soundfile.info(saved[part]).subtype == "FLOAT"
        np.testing.assert_array_equal(samples.T, wanted)


def test_heard_is_what_the_classifier_says_of_the_written_files(saved, e):
    for part in PARTS:
        again = score_sound(otoscope.load_audio(saved[part]), band_energy())
        np.testing.assert_allclose(getattr(e.heard, part), again, atol=1e-7)
    for row in otoscope.classify(saved["kept"], band_energy()):
        assert row["score"] == pytest.approx(e.heard.kept[e.classifier.labels.index(row["label"])], abs=1e-7)


def test_heard_needs_no_folder_of_the_callers(e, monkeypatch, tmp_path):
    alone = made()
    for part in PARTS:
        np.testing.assert_allclose(getattr(alone.heard, part), getattr(e.heard, part), atol=1e-7)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(WriteError, match="TMPDIR"):
        _ = made().heard


def test_at_the_classifiers_own_rate_scored_and_heard_agree(e):
    for part in PARTS:
        assert e.heard.of(e.target.index)[part] == pytest.approx(e.scores.of(e.target.index)[part], abs=1e-4)


def test_the_arrays_hold_grid_axes_values_and_mask(e, saved):
    with np.load(saved["attribution"], allow_pickle=False) as arrays:
        found = dict(arrays)
    assert set(found) == {"attribution", "mask", "frequencies_hz", "times_s", "grid", "scale"}
    np.testing.assert_array_equal(found["attribution"], e.attribution.values)
    np.testing.assert_array_equal(found["mask"], e.mask.values)
    assert tuple(found["grid"]) == found["mask"].shape == (len(found["frequencies_hz"]), len(found["times_s"]))
    assert str(found["scale"]) == "mel"
    assert (np.diff(found["frequencies_hz"]) > 0).all()
    assert (np.diff(found["times_s"]) > 0).all()
    assert 0 < found["frequencies_hz"][0] < found["frequencies_hz"][-1] < RATE / 2
    assert 0 < found["times_s"][0] < found["times_s"][-1] < 0.5
    assert found["attribution"].min() < 0 < found["attribution"].max()
    assert found["mask"].mean() == pytest.approx(0.3, abs=0.01)


def test_sampling_methods_write_their_standard_errors(tmp_path):
    e = made(method="rise,masks=6")
    e.save(tmp_path, report=False)
    with np.load(tmp_path / "attribution.npz") as arrays:
        assert arrays["standard_error"].shape == e.mask.grid.shape
        assert (arrays["standard_error"] >= 0).all()
    assert not (tmp_path / "report.html").exists()


def test_the_record_holds_all_that_is_promised(e, saved):
    record = json.loads(saved["record"].read_text(), parse_constant=pytest.fail)
    assert record["format"] == "otoscope-explanation/1"
    assert record["file"] == "array"
    assert record["audio"] == {
        "sha256": e.source.digest(), "sample_rate": RATE, "channels": 2, "frames": RATE // 2, "seconds": 0.5,
    }  # fmt: skip
    assert record["model"]["name"] == "band_energy"
    assert record["model"]["sha256"] == e.classifier.digest()
    assert (record["model"]["classes"], record["model"]["multilabel"]) == (3, False)
    assert record["request"] == {"method": "input_x_gradient", "domain": "mel", "mask": "topk:0.3"}
    assert record["method"] == {"name": "input_x_gradient", "settings": {}}
    assert record["domain"]["name"] == "mel"
    assert record["domain"]["settings"] == {"bands": 32, "ms": 50.0}
    assert record["domain"]["grid"] == list(e.mask.grid.shape)
    assert record["mask"] == "topk:0.3"
    assert record["target"] == {"index": e.target.index, "label": e.target.label, "asked": None}
    assert set(record["score"]) == set(record["heard"]) == set(record["top"]) == set(PARTS)
    assert record["environment"]["seed"] == 0
    assert set(record["environment"]["versions"]) >= {"otoscope", "torch", "numpy", "python"}
    assert record["verdict"]["trust"] in ("good", "doubtful", "poor")
    assert record["files"] == {name: path.name for name, path in saved.items() if name != "report"}
    assert any("mean of 2 channels" in note for note in record["notes"])
    assert record["seconds"] > 0
    assert len(record["top"]["kept"]) == 3


def test_settings_of_the_method_are_in_the_record():
    record = made(method="rise,masks=6,keep=0.25", seed=9, batch_size=4).record()
    assert record["method"]["settings"] == {
        "masks": 6,
        "cells_freq": 8,
        "cells_time": 16,
        "keep": 0.25,
        "centred": True,
        "tolerance": 0.0,
    }
    assert record["request"]["method"] == "rise,masks=6,keep=0.25"
    assert (record["environment"]["seed"], record["environment"]["batch_size"]) == (9, 4)


def test_nan_metrics_are_null_in_the_record():
    e = made(np.zeros((1, 800), np.float32), mask="binary")
    assert np.isnan(e.metrics()["sparseness"])
    text = json.dumps(e.record(), allow_nan=False)
    assert json.loads(text)["metrics"]["sparseness"] is None


def test_anything_in_a_models_info_can_be_written(tmp_path):
    model = band_energy()
    model.info = {"path": Path("x"), "when": np.float32(2), "n": np.int64(3), "t": torch.ones(1), "nan": float("nan")}
    otoscope.explain(tone(1000, 0.1), model, sample_rate=RATE, method="gradient").save(tmp_path)
    info = json.loads((tmp_path / "explanation.json").read_text())["model"]["info"]
    assert (info["path"], info["when"], info["n"], info["nan"]) == ("x", 2.0, 3, None)


def test_the_path_in_the_record_is_absolute(tmp_path, monkeypatch):
    write_wav(tmp_path / "a.wav", tone(1000, 0.1)[None], RATE)
    monkeypatch.chdir(tmp_path)
    e = otoscope.explain("a.wav", band_energy(), method="gradient")
    assert e.record()["file"] == str(tmp_path / "a.wav")


@pytest.mark.parametrize("name", ["x" * 300, "a\0b", "", "a/b\nc", "http://example.org/a.wav"])
def test_names_that_no_file_can_have(tmp_path, name):
    e = otoscope.explain(
        {"array": tone(1000, 0.1), "sampling_rate": RATE, "path": name}, band_energy(), method="gradient"
    )
    e.save(tmp_path)
    assert json.loads((tmp_path / "explanation.json").read_text())["file"] == (name or "array")


def test_metrics_of_the_domain_and_of_the_sound(e):
    found = e.metrics()
    assert set(found) == {*SCORED, *(f"heard_{m}" for m in SCORED), "sparseness", "complexity", "mask_size"}
    p, h = e.scores.of(e.target.index), e.heard.of(e.target.index)
    assert found["faithfulness"] == pytest.approx(p["original"] - p["removed"])
    assert found["heard_faithfulness"] == pytest.approx(h["original"] - h["removed"])
    assert found["heard_average_drop"] == pytest.approx(100 * max(0, h["original"] - h["kept"]) / h["original"])
    assert found["mask_size"] == pytest.approx(e.mask.size)


def test_masked_features_and_the_sound_are_scored_apart():
    rng = np.random.default_rng(0)
    e = otoscope.explain(
        0.1 * rng.standard_normal(8000), spectral(), sample_rate=16000, method="input_x_gradient", domain="features"
    )
    assert e.mask.grid.shape[0] == 32
    assert not np.allclose(e.scores.kept, e.heard.kept, atol=1e-6)
    np.testing.assert_allclose(e.scores.original, e.heard.original, atol=1e-5)
    np.testing.assert_allclose(e.kept.samples + e.removed.samples, e.source.samples, atol=1e-6)


def test_saving_twice_and_in_two_folders_gives_the_same_bytes(e, tmp_path):
    one = e.save(tmp_path / "one")
    e.save(tmp_path / "one")
    two = e.save(tmp_path / "two")
    for name in ("original", "kept", "removed", "record", "report"):
        assert Path(one[name]).read_bytes() == Path(two[name]).read_bytes(), name


def test_a_sound_is_not_overwritten_by_its_own_explanation(tmp_path):
    for part in PARTS:
        path = write_wav(tmp_path / f"{part}.wav", tone(1000, 0.1)[None], RATE)
        before = path.read_bytes()
        with pytest.raises(WriteError, match="it is the very sound"):
            otoscope.explain(path, band_energy(), method="gradient").save(tmp_path)
        assert path.read_bytes() == before
        path.unlink()


def test_a_folder_that_cannot_be_made(e, tmp_path):
    (tmp_path / "file").write_text("x")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(WriteError, match="choose another folder"):
            e.save(folder)


def test_the_words_of_an_explanation(e):
    assert repr(e).startswith(f"Explanation({e.target.label!r} in array: original 0.")
    assert "input_x_gradient on mel, mask topk:0.3 of size 0.3" in repr(e)


def test_top_labels_are_those_heard(e):
    for part in PARTS:
        top = e.top(part, 2)
        assert len(top) == 2
        assert top[0]["score"] == pytest.approx(float(getattr(e.heard, part).max()))
        assert top[0]["label"] == e.classifier.labels[int(getattr(e.heard, part).argmax())]


def test_the_plot_is_a_figure_that_can_be_saved(e, tmp_path):
    figure_module = pytest.importorskip("matplotlib.figure")
    named = made(domain="components,n=2")
    for made_up in (e, made(domain="time"), made(np.zeros((1, 1), np.float32)), named):
        figure = made_up.plot()
        drawn = [t.get_text() for t in figure.axes[3].get_yticklabels()]
        assert (drawn == list(named.mask.grid.rows)) is (made_up is named)
        assert isinstance(figure, figure_module.Figure)
        figure.savefig(tmp_path / "a.png", dpi=30)
        assert (tmp_path / "a.png").stat().st_size > 1000


def test_a_missing_matplotlib_is_named(e, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install matplotlib .*'\.\[plot\]'"):
        e.plot()


def test_the_page_stands_alone(e):
    page = e.to_html()
    assert page.lstrip().lower().startswith("<!doctype html>")
    assert not re.search(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//""", page)
    assert "@import" not in page
    assert page.count("data:audio/flac;base64,") >= 3 or page.count("audio/flac") >= 3


def test_the_notebook_sees_the_page_in_a_frame(e):
    import html

    shown = e._repr_html_()
    assert shown.startswith("<iframe srcdoc=")
    inside = re.search(r'srcdoc="([^"]*)"', shown).group(1)
    assert html.unescape(inside) == e.to_html()


def test_markup_in_names_and_labels_stays_text(tmp_path):
    evil = "</script><script>alert(1)</script>"
    model = band_energy()
    model.labels = (evil, "b", "c")
    sound = {"array": tone(1000, 0.1), "sampling_rate": RATE, "path": evil.replace("/", "") + "<img src=x>"}
    e = otoscope.explain(sound, model, method="gradient")
    for page in (e.to_html(), e._repr_html_()):
        assert "<script>alert(1)" not in page
        assert "<img src=x>" not in page


def test_the_sounds_are_made_once(e):
    assert e.kept is e.kept
    assert e.removed is e.removed
    assert e.heard is e.heard


def test_a_sound_can_be_explained_again_from_its_kept_part(e):
    again = otoscope.explain(e.kept, e.classifier, method="input_x_gradient")
    assert again.source is e.kept
    assert again.source.source == "kept of array"


def test_a_model_that_was_changed_afterwards_is_not_measured():
    from worlds import RATE, band_energy, tone_and_decoy

    model = band_energy()
    e = otoscope.explain(tone_and_decoy(0.2), model, sample_rate=RATE, method="input_x_gradient", target=0)
    with torch.no_grad():
        model.network.level += 1
    with pytest.raises(OtoscopeError, match="changed after the explanation was made"):
        _ = e.heard
    with torch.no_grad():
        model.network.level -= 1
    assert e.heard.original.sum() == pytest.approx(1, abs=1e-5)


def test_saving_does_not_pile_up_rendered_sounds(tmp_path):
    from worlds import RATE, band_energy, tone_and_decoy

    e = otoscope.explain(tone_and_decoy(0.2), band_energy(), sample_rate=RATE, method="input_x_gradient", target=0)
    e.save(tmp_path / "a")
    assert not {"kept", "removed"} & set(vars(e))
    kept = e.kept
    e.save(tmp_path / "b")
    assert e.kept is kept  # what the caller asked for stays


def test_channels_that_cancel_lower_the_trust():
    """What the classifier hears of two opposite channels is silence, which no file and no mask shows."""
    one = tone(1000, 0.5)
    levels = {"alike": (one, one), "nearly": (one, -0.9 * one), "opposite": (one, -one)}
    found = {
        n: otoscope.explain(np.stack(pair), band_energy(), sample_rate=RATE, method="gradient")
        for n, pair in levels.items()
    }
    assert found["alike"].cancelled_db == pytest.approx(0, abs=1e-6)
    assert found["nearly"].cancelled_db == pytest.approx(20 * np.log10(0.05 / np.sqrt((1 + 0.81) / 2)), abs=0.01)
    assert found["opposite"].cancelled_db == -np.inf
    assert not any("cancel" in w for w in found["alike"].verdict().warnings)
    assert "is 26 dB softer" in found["nearly"].verdict().warnings[0]
    assert "is silent" in found["opposite"].verdict().warnings[0]
    assert found["nearly"].verdict().trust != "good"


def test_noise_and_silence_may_lack_the_class():
    """`not call` for silence is right; `call` would not be."""

    class Loud(torch.nn.Module):
        def forward(self, waveform):
            return 10 * waveform.square().mean(1, keepdim=True).sqrt() - 5

    model = otoscope.wrap(Loud(), sample_rate=RATE, labels=["call"], outputs="logits")
    found = otoscope.explain(tone(1000, 0.5, level=0.01), model, sample_rate=RATE, method="gradient", target="not call")
    assert found.controls["silence"][0] > 0.99
    assert found.verdict().answer == ()
