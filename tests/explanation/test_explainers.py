"""A method that gives the kept sound itself: what is kept, removed, scored, described, written, said and made again."""

from __future__ import annotations

import gc
import importlib
import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch

import otoscope
from autoencoder_worlds import acting, tiny_autoencoder, tuned_to
from otoscope.audio import FileSource, write_wav
from otoscope.core.errors import (
    NonFiniteError,
    OtoscopeError,
    ParameterError,
    ShapeError,
    UnknownNameError,
    UnsupportedError,
    WeightsError,
    WriteError,
)
from otoscope.explanation.explainers import generate
from otoscope.explanation.many import explain_files
from otoscope.explanation.request import make_request, with_autoencoder
from worlds import RATE, band_energy, tone, tone_and_decoy

PARTS = ("original", "kept", "removed")


@pytest.fixture(autouse=True)
def own_temporary(tmp_path, monkeypatch):
    """A folder for temporary files that is looked at, and must be empty afterwards."""
    room = tmp_path / "temporary"
    room.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(room))
    yield room
    if any(room.iterdir()):  # of explanations that garbage still holds
        gc.collect()
    assert list(room.iterdir()) == []


@pytest.fixture
def half(monkeypatch):
    """An autoencoder that halves every sound; tuned, it says, to `band_energy`."""
    return acting(monkeypatch, lambda x: x / 2, RATE, tuned_to(band_energy()))


def noise(frames: int, channels: int = 1, level: float = 0.1) -> np.ndarray:
    return (level * np.random.default_rng(0).standard_normal((channels, frames))).astype(np.float32)


def made(samples, rate=RATE, **options):
    return otoscope.explain(samples, band_energy(), sample_rate=rate, method="like-to-hear", **options)


# Known answers


@pytest.mark.parametrize("domain", ["mel", "stft", "time"])
@pytest.mark.parametrize("seconds", [1.0, 35.0])
def test_what_is_halved_is_kept_by_half_and_lies_6_db_lower(half, domain, seconds):
    samples = noise(round(seconds * RATE))
    e = made(samples, domain=domain)
    np.testing.assert_allclose(e.kept.samples, samples / 2, atol=1e-6)
    np.testing.assert_allclose(e.removed.samples, samples / 2, atol=1e-6)
    np.testing.assert_allclose(e.attribution.values, 20 * np.log10(0.5), atol=1e-2)
    np.testing.assert_allclose(e.mask.values, 0.5, atol=1e-3)
    assert e.mask.spec == "level"
    assert e.mask.grid.duration == pytest.approx(seconds)
    assert e.mask.grid.domain == domain


def test_what_is_passed_low_loses_its_high_cells(monkeypatch):
    def low(x):
        spectrum = torch.fft.rfft(x)
        spectrum[..., round(spectrum.shape[-1] / 2) :] = 0
        return torch.fft.irfft(spectrum, x.shape[-1])

    acting(monkeypatch, low, RATE)
    e = made(noise(2 * RATE))
    hz = e.mask.grid.frequencies
    assert np.abs(e.attribution.values[hz < 1700]).max() < 0.5
    assert e.mask.values[hz < 1700].min() > 0.95
    assert e.attribution.values[hz > 2400].max() < -20
    assert e.mask.values[hz > 2400].max() < 0.1


def test_what_was_put_in_is_louder_and_no_share_exceeds_one(monkeypatch):
    acting(monkeypatch, lambda x: 3 * x, RATE)
    e = made(noise(RATE))
    np.testing.assert_allclose(e.attribution.values, 20 * np.log10(3), atol=1e-2)
    np.testing.assert_array_equal(e.mask.values, 1)


def test_scores_are_of_the_very_sounds_and_agree_with_those_heard(half):
    for rate, seconds in ((RATE, 0.5), (11025, 0.5), (RATE, 32.0)):
        e = made(np.stack([tone_and_decoy(seconds, rate)] * 2), rate)
        for part in PARTS:
            np.testing.assert_allclose(getattr(e.scores, part), getattr(e.heard, part), atol=1e-5)
        if seconds < 30:
            (top,) = otoscope.classify(e.kept, band_energy(), top_k=1)
            assert top["score"] == pytest.approx(e.scores.kept.max(), abs=1e-5)
    assert e.scores.kept[0] < e.scores.original[0]


# Forms of sound


@pytest.mark.parametrize(
    ("rate", "frames", "channels"),
    [(RATE, 1, 1), (44100, 1, 2), (48000, 4801, 2), (11025, 3000, 5), (100, 30, 1), (384_000, 40_000, 1)],
)
def test_every_form_of_sound_is_parted(half, rate, frames, channels):
    samples = noise(frames, channels)
    e = made(samples, rate)
    assert e.kept.samples.shape == e.removed.samples.shape == samples.shape
    np.testing.assert_allclose(e.kept.samples + e.removed.samples, samples, atol=1e-6)
    assert e.kept.sample_rate == rate
    assert np.isfinite(e.attribution.values).all()


def test_silence_gives_silence(monkeypatch, tmp_path):
    acting(monkeypatch, lambda x: x + 0.5, RATE)
    for seconds in (0.2, 32.0):
        e = made(np.zeros((2, round(seconds * RATE)), np.float32))
        assert not e.kept.samples.any()
        assert not e.removed.samples.any()
        assert not e.attribution.values.any()
        assert not e.mask.values.any()
        assert e.verdict().trust == "poor"
        assert "the sound is silent" in e.notes
        e.save(tmp_path / str(seconds))


def test_a_sound_that_clips_keeps_its_level_and_the_notes_say_so(half, tmp_path):
    e = made(8 * tone(1000, 0.3))
    files = e.save(tmp_path / "out")
    assert np.abs(otoscope.load_audio(files["kept"]).samples).max() == pytest.approx(1.2, abs=0.01)
    assert [n for n in e.notes if "1.6 dB above full scale" in n]
    assert not [n for n in made(tone(1000, 0.3)).notes if "full scale" in n]


@pytest.mark.parametrize("batch_size", [1, 3, 16])
def test_a_list_equals_singles(tmp_path, batch_size):
    folder = tiny_autoencoder(tmp_path / "tiny", RATE)
    method = f"like-to-hear,autoencoder={folder}"
    sounds = [tone(1000, 0.3), tone_and_decoy(0.5), noise(2400)[0], noise(31 * RATE)[0]]
    many = otoscope.explain(sounds, band_energy(), sample_rate=RATE, method=method, batch_size=batch_size)
    for sound, e in zip(sounds, many, strict=True):
        single = otoscope.explain(sound, band_energy(), sample_rate=RATE, method=method)
        np.testing.assert_allclose(e.kept.samples, single.kept.samples, atol=1e-6)
        np.testing.assert_allclose(e.attribution.values, single.attribution.values, atol=1e-3)
        np.testing.assert_allclose(e.scores.kept, single.scores.kept, atol=1e-5)
        assert e.target == single.target


# Cost and memory


def test_it_is_reconstructed_once(half, tmp_path):
    network, loaded = half
    e = made(noise(35 * RATE))
    asked = network.calls
    assert len(loaded) == 1
    e.save(tmp_path / "out")
    _ = e.kept, e.removed, e.heard, e.to_html()
    assert network.calls == asked == 5


def test_a_long_sound_lies_in_a_temporary_file_as_long_as_its_explanation(half, own_temporary):
    short, long = made(noise(RATE)), made(noise(35 * RATE))
    assert isinstance(short.generated.kept, otoscope.Clip)
    assert isinstance(long.generated.kept, FileSource)
    assert [p.name for p in own_temporary.rglob("*.wav")] == ["kept.wav"]
    del long
    gc.collect()
    assert list(own_temporary.iterdir()) == []


def test_nothing_is_left_behind_by_an_error(monkeypatch, own_temporary):
    calls = []

    def fail(x):
        calls.append(x.shape)
        return x * float("nan") if len(calls) == 3 else x

    acting(monkeypatch, fail, RATE)
    with pytest.raises(NonFiniteError, match="sound made for array holds NaN or infinity"):
        made(noise(35 * RATE))
    assert list(own_temporary.iterdir()) == []


def test_no_room_for_temporary_files_is_told(half, monkeypatch, tmp_path, own_temporary):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(WriteError, match="TMPDIR"):
        made(noise(35 * RATE))


def test_a_long_file_is_read_in_parts(half, tmp_path, monkeypatch):
    path, longest, read = write_wav(tmp_path / "long.wav", noise(70 * RATE), RATE), [], FileSource.read

    def watched(self, start, stop):
        longest.append(stop - start)
        return read(self, start, stop)

    monkeypatch.setattr(FileSource, "read", watched)
    monkeypatch.setattr("otoscope.explanation.artifacts.BLOCK", 10 * RATE)
    monkeypatch.setattr("otoscope.audio.source.DIGEST_VALUES", 10 * RATE)
    otoscope.explain(path, band_energy(), method="like-to-hear").save(tmp_path / "out", report=False)
    assert max(longest) <= 12 * RATE


def test_the_bar_counts_to_its_end(half, monkeypatch):
    run = importlib.import_module("otoscope.explanation.explain")  # the package's name is the function

    totals, ticks = [], []

    class Bar:
        def __init__(self, total, **_):
            totals.append(total)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def update(self, n):
            ticks.append(n)

    monkeypatch.setattr(run, "tqdm", Bar)
    for seconds in (0.5, 35.0):
        ticks.clear()
        made(noise(round(seconds * RATE)))
        assert sum(ticks) == totals[-1] == 4 * (1 if seconds < 1 else 5)


class Wrong:
    """Gives sounds of another form."""

    warnings = ()

    def __init__(self, *blocks):
        self.made = blocks

    def blocks(self, source):
        return iter(self.made)

    def notes(self, source):
        return ()

    def facts(self):
        return {}


@pytest.mark.parametrize(
    "shapes", [[(1, 99)], [(1, 101)], [(2, 100)], [(100,)], [(1, 60), (1, 41)], [(1, 60), (2, 40)], []]
)
def test_a_sound_of_another_form_is_refused(shapes):
    source = otoscope.Clip(noise(100), RATE)
    with pytest.raises(ShapeError, match="sound made for array"):
        generate(Wrong(*(np.zeros(s, np.float32) for s in shapes)), source, 1, lambda _n: None)


# What is said


def test_an_autoencoder_of_another_classifier_or_none_is_doubted(monkeypatch):
    other = {"tuned_to": {"name": "other", "sha256": "0" * 64}}
    for info, said in (
        (other, "was tuned to 'other', not to this 'band_energy'"),
        (None, "not tuned to any classifier"),
    ):
        acting(monkeypatch, lambda x: x * 0.99, RATE, info)
        e = made(tone(1000, 0.5))
        verdict = e.verdict()
        assert verdict.trust == "doubtful"
        assert said in verdict.warnings[0]
        assert verdict.warnings[0].startswith("The autoencoder 'acting'")
        assert e.record()["verdict"]["warnings"][0] == verdict.warnings[0]
    acting(monkeypatch, lambda x: x * 0, RATE, other)
    lost = made(tone(1000, 0.5)).verdict()
    assert lost.trust == "poor"
    assert "tuned to 'other'" in lost.warnings[0]


def test_the_right_autoencoder_is_not_doubted(half):
    assert not any("autoencoder" in w for w in made(tone(1000, 0.5)).verdict().warnings)


def test_the_notes_tell_what_was_done(half):
    short, long = made(tone(1000, 0.5)), made(noise(32 * 16000, 2), 16000)
    assert f"reconstructed by the autoencoder 'acting' at {RATE} Hz" in short.notes
    for e in (short, long):
        assert any("the mask does not make the sound" in n for n in e.notes)
    assert not any("windows" in n or "channels" in n for n in short.notes)
    assert any("mean of 2 channels; each is reconstructed by itself" in n for n in long.notes)
    assert any("reconstructed in windows of 10 s" in n for n in long.notes)
    assert any("above 4000 Hz is out of the classifier's reach" in n for n in long.notes)
    assert not any("masked alike" in n for n in long.notes)


def test_an_autoencoder_below_the_classifiers_rate_says_what_is_lost(monkeypatch):
    acting(monkeypatch, lambda x: x, 4000)
    assert any("so that sound above 2000 Hz is lost" in n for n in made(tone(1000, 0.5)).notes)


def test_the_record_names_the_autoencoder(half, tmp_path):
    e = made(tone(1000, 0.5))
    e.save(tmp_path / "out")
    record = json.loads((tmp_path / "out" / "explanation.json").read_text())
    assert record["generator"]["name"] == "acting"
    assert len(record["generator"]["sha256"]) == 64
    assert record["generator"]["info"]["tuned_to"]["name"] == "band_energy"
    assert (record["mask"], record["request"]["mask"]) == ("level", "level")
    assert record["method"] == {"name": "like-to-hear", "settings": {"autoencoder": "esc10-mn"}}
    masked = otoscope.explain(tone(1000, 0.1), band_energy(), sample_rate=RATE, method="gradient")
    assert "autoencoder" not in masked.record()


# Made again


def test_a_record_gives_the_same_samples_also_with_odd_names(tmp_path, monkeypatch):
    folder = tiny_autoencoder(tmp_path / "a,b=c d", RATE)
    path = write_wav(tmp_path / "a.wav", noise(RATE, 2), RATE)
    monkeypatch.chdir(tmp_path)
    e = otoscope.explain(path, band_energy(), method=("like-to-hear", {"autoencoder": "a,b=c d"}))
    files = e.save(tmp_path / "out")
    monkeypatch.chdir(tmp_path / "out")
    again = otoscope.replay(files["record"], model=band_energy())
    np.testing.assert_array_equal(again.kept.samples, e.kept.samples)
    np.testing.assert_array_equal(again.attribution.values, e.attribution.values)
    assert again.request.method_settings == {"autoencoder": str(folder)}
    other = otoscope.replay(files["record"], model=band_energy(), method="input_x_gradient")
    assert (other.generated, other.mask.spec) == (None, "positive:topk:0.5")


def test_another_autoencoder_than_the_records_is_refused(tmp_path):
    folder = tiny_autoencoder(tmp_path / "tiny", RATE)
    path = write_wav(tmp_path / "a.wav", noise(RATE), RATE)
    record = otoscope.explain(path, band_energy(), method=f"like-to-hear,autoencoder={folder}").record()
    tiny_autoencoder(folder, RATE, seed=1)
    with pytest.raises(OtoscopeError, match="autoencoder's weights are not those of the record"):
        otoscope.replay(record, model=band_energy())
    for damage in (5, {}, {"sha256": "x"}):
        with pytest.raises(OtoscopeError):
            otoscope.replay({**record, "autoencoder": damage}, model=band_energy())
    for damage in (5, {}, {"name": "like-to-hear", "settings": 5}, {"name": 5, "settings": {}}):
        with pytest.raises(OtoscopeError):
            otoscope.replay({**record, "method": damage}, model=band_energy())


# What is asked


def ask(**changes):
    asked = {"method": "like-to-hear", "domain": "mel", "mask": "positive", "target": None, "seed": 0, "batch_size": 4}
    return make_request(**{**asked, **changes})


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"domain": "features"}, ParameterError, "'features'; use stft, mel, time"),
        ({"mask": "topk:0.3"}, ParameterError, "no mask makes it.*'topk:0.3'"),
        ({"mask": "positive,smooth_time=0.1"}, ParameterError, "leave it out"),
        ({"method": "like-to-hear,autoencode=x"}, UnknownNameError, "did you mean 'autoencoder'"),
        ({"method": ("like-to-hear", {"autoencode": "x"})}, UnknownNameError, "did you mean 'autoencoder'"),
        ({"method": ("like-to-hear",)}, ParameterError, "NAME, {setting: value}"),
        ({"method": ("like-to-hear", "x")}, ParameterError, "NAME, {setting: value}"),
        ({"method": ("like-to-heer", {})}, UnknownNameError, "did you mean 'like-to-hear'"),
    ],
)
def test_wrong_requests(changes, error, said):
    with pytest.raises(error, match=said) as caught:
        ask(**changes)
    assert "\n" not in str(caught.value)


def test_a_request_can_be_asked_again():
    first = ask()
    assert first.spec == {"method": "like-to-hear", "domain": "mel", "mask": "level"}
    assert ask(**first.spec).spec == first.spec


def test_a_method_with_its_settings_apart_is_that_method():
    assert ask(method=("rise", {"masks": 7})).spec["method"] == "rise,masks=7"


@pytest.mark.parametrize(
    ("method", "autoencoder", "found"),
    [
        (None, None, None),
        ("rise", None, "rise"),
        (None, "a,b=c", ("like-to-hear", {"autoencoder": "a,b=c"})),
        ("like-to-hear", "x", ("like-to-hear", {"autoencoder": "x"})),
        ("like-to-hear,autoencoder=x", "x", ("like-to-hear", {"autoencoder": "x"})),
    ],
)
def test_an_autoencoder_beside_a_method(method, autoencoder, found):
    assert with_autoencoder(method, autoencoder) == found


def test_an_autoencoder_beside_another_method_is_refused():
    with pytest.raises(ParameterError, match="goes with the method like-to-hear, not with 'rise'"):
        with_autoencoder("rise,masks=7", "x")
    with pytest.raises(ParameterError, match="two autoencoders are named: 'y' with the method and 'x'"):
        with_autoencoder("like-to-hear,autoencoder=y", "x")


def test_autoencoders_that_are_not_there(tmp_path):
    (tmp_path / "empty").mkdir()
    for name, error, said in (
        ("esc10-nm", UnknownNameError, "did you mean 'esc10-mn'"),
        (str(tmp_path / "empty"), WeightsError, "not a folder of an autoencoder"),
        (" ", ParameterError, "names or paths"),
    ):
        with pytest.raises(error, match=said):
            otoscope.explain(
                tone(1000, 0.1), band_energy(), sample_rate=RATE, method=("like-to-hear", {"autoencoder": name})
            )


def test_a_wrong_target_is_refused_before_anything_is_made(half):
    for target, error in ((7, ParameterError), ("tome", UnknownNameError)):
        with pytest.raises(error):
            made(tone(1000, 0.1), target=target)
    assert half[0].calls == 0
    assert made(tone(1000, 0.1), target="DECOY").target.label == "decoy"


def test_captum_and_attribution_methods_are_as_before():
    e = otoscope.explain(tone(1000, 0.1), band_energy(), sample_rate=RATE, method="input_x_gradient")
    assert e.generated is None
    with pytest.raises(UnsupportedError, match="features"):
        otoscope.explain(tone(1000, 0.1), band_energy(), sample_rate=RATE, method="gradient", domain="features")


# Many files


def test_files_share_one_autoencoder(half, tmp_path):
    _, loaded = half
    files = [write_wav(tmp_path / f"{i}.wav", noise(800 + i), RATE) for i in range(3)] + [tmp_path / "gone.wav"]
    outcomes = list(explain_files(files, band_energy(), ask(batch_size=2), tmp_path / "out"))
    assert [o.error is None for o in outcomes] == [True, True, True, False]
    assert loaded == ["esc10-mn"]
    for outcome in outcomes[:3]:
        kept, original = (otoscope.load_audio(outcome.row["files"][p]).samples for p in ("kept", "original"))
        np.testing.assert_allclose(kept, original / 2, atol=1e-7)
        assert outcome.row["mask"] == "level"
        assert Path(outcome.row["files"]["report"]).is_file()


def test_an_autoencoder_that_is_not_there_is_told_once(tmp_path):
    request = ask(method=("like-to-hear", {"autoencoder": "nothing-near"}))
    with pytest.raises(UnknownNameError, match="unknown autoencoder 'nothing-near'"):
        list(explain_files(["a.wav", "b.wav"], band_energy(), request, tmp_path / "out"))
