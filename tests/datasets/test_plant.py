"""Planted cues: levels against closed forms, where they sound, the same at every rate, bad specs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otoscope.core.errors import ParameterError, ShapeError, UnknownNameError
from otoscope.datasets import Plant, planter
from otoscope.datasets.plant import HZ, PARAMETERS

RATE = 16000


def noise(seconds=2.0, level=0.1, rate=RATE):
    return (level * np.random.default_rng(0).standard_normal(round(seconds * rate))).astype(np.float32)


def rms(x):
    return math.sqrt(float(np.mean(np.square(x, dtype=np.float64))))


def sounding(cue, record, rate=RATE):
    t = np.arange(len(cue)) / rate
    return np.any([(t >= on) & (t < off) for _, on, off, _, _ in record["events"]], axis=0)


@given(
    kind=st.sampled_from(list(HZ)), level_db=st.floats(-60, 20), seed=st.integers(0, 2**40), level=st.floats(0.01, 1.0)
)
def test_the_level_is_the_one_asked_for_and_holds_where_it_sounds(kind, level_db, seed, level):
    clip = noise(0.7, level)
    mixed, cue, record = Plant(kind, level_db=level_db, seed=seed)(clip, RATE, "clip")
    assert mixed.dtype == cue.dtype == np.float32
    assert np.array_equal(mixed, clip + cue)
    where = sounding(cue, record)
    assert rms(cue[where]) == pytest.approx(rms(clip) * 10 ** (level_db / 20), rel=1e-4)
    assert not cue[~where].any()
    assert {e[0] for e in record["events"]} == {kind}
    assert all(0 <= on < off <= 0.7 + 1e-9 for _, on, off, _, _ in record["events"])


@pytest.mark.parametrize(
    ("spec", "low", "high"),
    [
        ("tone,hz=2500", 2490, 2510),
        ("beep,hz=1200", 1100, 1300),
        ("hum,hz=60,partials=3", 55, 185),
        ("click", 900, 7600),
    ],
)
def test_nearly_all_energy_lies_in_the_recorded_band(spec, low, high):
    _, cue, record = planter(spec)(noise(), RATE, "clip")
    power, hertz = np.abs(np.fft.rfft(cue.astype(np.float64))) ** 2, np.fft.rfftfreq(len(cue), 1 / RATE)
    for a, b in ((low, high), record["events"][0][3:]):
        assert power[(hertz >= a) & (hertz <= b)].sum() > 0.9 * power.sum()


def test_a_hum_is_a_row_of_partials_that_fall():
    _, cue, _ = planter("hum,hz=50,partials=4")(noise(), RATE, "clip")
    lines = np.abs(np.fft.rfft(cue.astype(np.float64)))[[100, 200, 300, 400, 500]]
    np.testing.assert_allclose(lines[:4] / lines[0], [1, 1 / 2, 1 / 3, 1 / 4], rtol=1e-3)
    assert lines[4] < 1e-3 * lines[0]


def test_clicks_are_spread_over_the_clip():
    _, _, record = planter("click,per_second=5")(noise(), RATE, "clip")
    onsets = [e[1] for e in record["events"]]
    assert [int(on / 0.2) for on in onsets] == list(range(10))  # one in each stretch
    assert len({round(on % 0.2, 6) for on in onsets}) > 5  # at drawn places in it
    _, _, again = planter("click,per_second=5")(noise(), RATE, "another clip")
    assert again["events"] != record["events"]
    _, _, slow = planter("click,per_second=0.05")(noise(), 16000, "clip")  # one at least
    assert len(slow["events"]) == 1


def test_a_beep_lies_somewhere_else_in_every_clip():
    onsets = [planter("beep,seconds=0.5")(noise(), RATE, f"clip {i}")[2]["events"][0][1:3] for i in range(20)]
    assert all(off - on == pytest.approx(0.5) for on, off in onsets)
    assert max(on for on, _ in onsets) - min(on for on, _ in onsets) > 0.8
    whole = planter("beep,seconds=0.5")(noise(0.2), RATE, "short")[2]["events"][0]
    assert whole[1:3] == pytest.approx([0.0, 0.2])


@pytest.mark.parametrize("kind", HZ)
def test_all_depends_on_seed_and_clip_alone(kind):
    spec, clip = f"{kind},seed=3", noise()
    first = planter(spec)(clip, RATE, "a")
    again = planter(spec)(clip, RATE, "a")
    assert np.array_equal(first[1], again[1])
    assert first[2] == again[2]
    assert not np.array_equal(first[1], planter(spec)(clip, RATE, "b")[1])
    assert not np.array_equal(first[1], planter(f"{kind},seed=4")(clip, RATE, "a")[1])


@pytest.mark.parametrize("kind", HZ)
def test_it_is_the_same_sound_at_another_rate(kind):
    low, high = (planter(kind)(noise(1.0, 0.1, r), r, "a") for r in (16000, 48000))
    for a, b in zip(low[2]["events"], high[2]["events"], strict=True):
        assert a[1:3] == pytest.approx(b[1:3], abs=1e-9)
    a, b = low[1] / rms(low[1]), high[1][::3] / rms(high[1][::3])
    assert np.dot(a, b) / len(a) > 0.99


def test_stereo_clips_get_one_cue_in_both_channels():
    clip = np.stack([noise(), 0 * noise()])
    mixed, cue, _ = planter("tone")(clip, RATE, "a")
    assert cue.shape == (32000,)
    assert np.array_equal(mixed - clip, np.stack([clip[0] + cue - clip[0], cue]))
    assert rms(cue) == pytest.approx(rms(clip) / 10, rel=1e-4)


def test_a_silent_clip_gets_a_soft_cue():
    _, cue, record = planter("tone,level_db=-20")(np.zeros(RATE, np.float32), RATE, "a")
    assert rms(cue) == pytest.approx(1e-4, rel=1e-3)  # -60 dBFS and 20 dB less
    assert record["gain"] > 0


@pytest.mark.parametrize(
    ("spec", "error", "match"),
    [
        ("", UnknownNameError, "cue"),
        ("ton", UnknownNameError, "did you mean 'tone'"),
        ("tone,hz", ParameterError, "key=value"),
        ("tone,herz=3", UnknownNameError, "did you mean 'hz'"),
        ("tone,per_second=3", UnknownNameError, "setting of the cue 'tone'"),
        ("click,hz=3", UnknownNameError, "setting of the cue 'click'"),
        ("tone,hz=0", ParameterError, "hz must lie in"),
        ("tone,level_db=nan", ParameterError, "level_db"),
        ("tone,seed=-1", ParameterError, "seed"),
        ("hum,partials=1.5", ParameterError, "partials"),
    ],
)
def test_bad_specs(spec, error, match):
    with pytest.raises(error, match=match):
        planter(spec)


def test_a_cue_that_cannot_sound():
    with pytest.raises(ParameterError, match="nothing below 4000 Hz"):
        planter("tone")(noise(), 8000, "a")
    with pytest.raises(ParameterError, match="too short"):
        planter("click")(noise(0.005), RATE, "a")
    with pytest.raises(ShapeError, match=r"\(1, 2, 3\)"):
        planter("tone")(np.zeros((1, 2, 3)), RATE, "a")
    with pytest.raises(ShapeError):
        planter("tone")(np.zeros(0), RATE, "a")


def test_every_setting_has_its_default():
    for name, parameter in PARAMETERS.items():
        assert Plant.__dataclass_fields__[name].default == parameter.default
