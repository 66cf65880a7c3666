"""Contamination: levels against closed forms, the same noise for the same clip, records, silence, bad specs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otoscope.audio import rms_db, write_wav
from otoscope.core.errors import OtoscopeError, ParameterError, ShapeError, UnknownNameError
from otoscope.datasets import Contamination, contaminator
from otoscope.datasets.contaminate import pink

RATE = 8000


def tone(frames=4000, level=0.1):
    return (level * np.sin(2 * np.pi * 440 * np.arange(frames) / RATE)).astype(np.float32)


@pytest.fixture
def noise(tmp_path):
    """A short recorded noise: a falling ramp, so that its places can be told apart."""
    return write_wav(tmp_path / "ramp.wav", np.linspace(0.5, 0.1, 300, dtype=np.float32)[None], RATE)


def ratio_db(clip, mixed):
    return rms_db(clip) - rms_db(mixed.astype(np.float64) - clip)


@given(
    snr_db=st.floats(-40, 40),
    kind=st.sampled_from(["white", "pink"]),
    level=st.floats(1e-3, 1.0),
    seed=st.integers(0, 2**40),
    frames=st.integers(20, 3000),
)
def test_the_snr_is_the_one_asked_for(snr_db, kind, level, seed, frames):
    clip = tone(frames, level)
    mixed, record = Contamination(kind, snr_db=snr_db, seed=seed)(clip, RATE, "clip")
    assert mixed.dtype == np.float32
    assert mixed.shape == clip.shape
    assert ratio_db(clip, mixed) == pytest.approx(snr_db, abs=0.02)
    assert record["snr_db"] == pytest.approx(snr_db)


def test_a_recorded_noise_has_the_snr_too(noise, tmp_path):
    clip = tone()
    mixed, record = Contamination(str(noise), snr_db=-6.0, cache=tmp_path / "c")(clip, RATE, "clip")
    assert ratio_db(clip, mixed) == pytest.approx(-6.0, abs=1e-3)
    assert (record["noise"], record["file"], record["rule"]) == ("ramp.wav", "ramp.wav", "snr")
    added = (mixed - clip) / record["gain"]
    start = round(record["start_s"] * RATE)
    want = [np.linspace(0.5, 0.1, 300)[(start + i) % 300] for i in range(len(clip))]  # a short noise is repeated
    np.testing.assert_allclose(added, want, atol=1e-4)


@pytest.mark.parametrize("alpha", [0.6, 0.25, 0.9])
def test_the_alpha_rule(alpha, noise, tmp_path):
    """The slow twin of the rule, with a noise that starts at its beginning."""
    clip = tone().astype(np.float64)
    mixed, record = Contamination(str(noise), alpha=alpha, cache=tmp_path / "c")(clip, RATE, "clip")
    ramp = np.linspace(0.5, 0.1, 300, dtype=np.float32).astype(np.float64)
    long = np.array([ramp[i % 300] for i in range(len(clip))])
    want = alpha * clip / math.sqrt((clip**2).mean()) + (1 - alpha) * long / math.sqrt((long**2).mean())
    want /= np.abs(want).max()
    np.testing.assert_allclose(mixed, want, atol=1e-6)
    assert np.abs(mixed).max() == pytest.approx(1.0)
    assert record["start_s"] == 0.0
    assert record["snr_db"] == pytest.approx(20 * math.log10(alpha / (1 - alpha)))


def test_six_tenths_are_3_52_db():
    assert Contamination("white", alpha=0.6)(tone(), RATE, "k")[1]["snr_db"] == pytest.approx(3.52, abs=0.005)


def test_the_ends_of_alpha():
    clip = tone()
    only, record = Contamination("white", alpha=1.0)(clip, RATE, "k")
    np.testing.assert_allclose(only, clip / np.abs(clip).max(), atol=1e-6)
    assert record["snr_db"] is None
    noise, _ = Contamination("white", alpha=0.0)(clip, RATE, "k")
    assert abs(np.corrcoef(noise, clip)[0, 1]) < 0.1


@pytest.mark.parametrize("kind", ["white", "pink"])
def test_seed_and_clip_decide_and_nothing_else(kind):
    clip, other = tone(), tone(level=0.3)
    one = Contamination(kind, seed=1)
    first, _ = one(clip, RATE, "a")
    one(other, RATE, "b")
    again, _ = Contamination(kind, seed=1)(clip, RATE, "a")
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, one(clip, RATE, "b")[0])
    assert not np.array_equal(first, Contamination(kind, seed=2)(clip, RATE, "a")[0])


def test_the_slope_of_the_noises():
    """Power in octaves: white doubles with each, pink stays."""
    rng = np.random.default_rng(0)
    frames = 1 << 16
    for samples, step in ((rng.standard_normal(frames), 10 * math.log10(2)), (pink(frames, rng), 0.0)):
        power = np.abs(np.fft.rfft(samples)) ** 2
        octaves = [10 * math.log10(power[2**k : 2 ** (k + 1)].sum()) for k in range(8, 15)]
        np.testing.assert_allclose(np.diff(octaves), step, atol=0.6)


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_pink_noise_of_few_samples_is_finite(frames):
    assert np.isfinite(pink(frames, np.random.default_rng(0))).all()


@pytest.mark.parametrize("rule", [{"snr_db": 0.0}, {"alpha": 0.6}])
def test_silence_stays_silence(rule, tmp_path):
    clip = np.zeros(500, np.float32)
    mixed, record = Contamination("white", **rule)(clip, RATE, "k")
    assert not mixed.any()
    assert (record["snr_db"], record["gain"], record["note"]) == (None, 0.0, "nothing was mixed: the clip is silent")
    quiet = write_wav(tmp_path / "quiet.wav", np.zeros((1, 100), np.float32), RATE)
    mixed, record = Contamination(str(quiet), **rule, cache=tmp_path / "c")(tone(), RATE, "k")
    np.testing.assert_array_equal(mixed, tone())
    assert record["note"] == "nothing was mixed: the noise is silent"


def test_another_clip_is_never_the_clip_itself(tmp_path):
    paths = [write_wav(tmp_path / f"{i}.wav", np.full((1, 50), 0.1 * (i + 1), np.float32), RATE) for i in range(3)]
    mix = contaminator("clip,snr_db=0,seed=4", paths, tmp_path / "c")
    drawn = {mix(tone(), RATE, f"{i % 3}.wav")[1]["file"] for i in range(3)}
    for i in range(3):
        assert mix(tone(), RATE, f"{i}.wav")[1]["file"] != f"{i}.wav"
    assert drawn <= {"0.wav", "1.wav", "2.wav"}
    with pytest.raises(OtoscopeError, match="no other clip"):
        contaminator("clip", paths[:1], tmp_path / "c")(tone(), RATE, "0.wav")


def test_specs():
    assert contaminator("white") == Contamination("white", snr_db=0.0)
    assert contaminator("pink,snr_db=5,seed=3") == Contamination("pink", 5.0, seed=3)
    assert contaminator(" white , alpha = .6 ") == Contamination("white", alpha=0.6)


@pytest.mark.parametrize(
    ("spec", "error", "match"),
    [
        ("wite", UnknownNameError, "did you mean 'white'"),
        ("missing.wav", ParameterError, r"'missing\.wav' is not a sound file"),
        ("", ParameterError, "written NOISE"),
        ("white,snr_db", ParameterError, "key=value"),
        ("white,snr=3", UnknownNameError, "did you mean 'snr_db'"),
        ("white,snr_db=loud", ParameterError, "must be a float"),
        ("white,snr_db=nan", ParameterError, r"must lie in \[-120, 120\]"),
        ("white,alpha=1.5", ParameterError, r"must lie in \[0, 1\]"),
        ("white,seed=-1", ParameterError, "seed must lie"),
        ("white,alpha=0.5,snr_db=0", ParameterError, "snr_db or alpha"),
        ("clip", ParameterError, "pool"),
    ],
)
def test_bad_specs(spec, error, match):
    with pytest.raises(error, match=match):
        contaminator(spec)


@pytest.mark.parametrize("shape", [(0,), (2, 10), ()])
def test_bad_shapes(shape):
    with pytest.raises(ShapeError, match="waveform"):
        Contamination("white")(np.zeros(shape), RATE, "k")


def test_the_real_noises(shared, tmp_path):
    clip = tone(32000)
    for path in sorted(p for p in shared("noises").iterdir() if p.suffix in (".wav", ".mp3", ".ogg", ".flac")):
        mixed, record = Contamination(str(path), snr_db=3.0, cache=tmp_path)(clip, RATE, "k")
        assert ratio_db(clip, mixed) == pytest.approx(3.0, abs=0.02), path.name
        assert record["file"] == path.name
