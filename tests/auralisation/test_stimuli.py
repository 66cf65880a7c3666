"""Made stimuli are what they say."""

from __future__ import annotations

import numpy as np
import pytest

from note_worlds import pitch_of, write_notes
from otoscope.auralisation import make_stimuli
from otoscope.auralisation.stimuli import KINDS
from otoscope.core.errors import ParameterError
from otoscope.datasets import Notes

RATE = 16000


@pytest.fixture(scope="module")
def stimuli():
    return make_stimuli(RATE)


def spectrum(sound):
    return np.fft.rfftfreq(len(sound), 1 / RATE), np.abs(np.fft.rfft(sound.astype(np.float64))) ** 2


def test_levels_and_lengths(stimuli):
    assert {len(s.samples) for s in stimuli} == {RATE}
    assert len({s.name for s in stimuli}) == len(stimuli)
    for s in stimuli:
        level = 10 * np.log10(np.mean(s.samples.astype(np.float64) ** 2))
        assert level == pytest.approx(s.values.get("level_db", -20.0), abs=0.01), s.name
        assert np.isfinite(s.samples).all()


def test_tones_bands_and_clicks(stimuli):
    for s in stimuli:
        hz, power = spectrum(s.samples)
        if s.group == "tone":
            assert abs(hz[power.argmax()] - s.values["hz"]) <= 2
        if s.group == "noise band":
            centre = (hz * power).sum() / power.sum()
            assert 0.7 < centre / s.values["hz"] < 1.5
        if s.group == "clicks":
            peaks = np.flatnonzero(np.abs(s.samples) > 0.5 * np.abs(s.samples).max())
            assert abs(len(peaks) - s.values["rate_hz"]) <= 1
            if len(peaks) > 1:
                np.testing.assert_allclose(np.diff(peaks), RATE / s.values["rate_hz"], atol=1)


def test_gated_sounds_begin_and_end_in_the_middle(stimuli):
    for s in stimuli:
        if not s.group.startswith("gated"):
            continue
        before, after = s.samples[: RATE // 2 - 80], s.samples[RATE // 2 + 80 :]
        early, late = np.mean(before**2), np.mean(after**2)
        if s.values["shape"] == "ends":
            assert late < 1e-6 * early
        else:
            assert early < 1e-6 * late


def test_modulation_has_its_rate(stimuli):
    for s in stimuli:
        if s.group == "am noise":
            envelope = np.convolve(s.samples.astype(float) ** 2, np.ones(160) / 160, "same")
            hz, power = spectrum(envelope - envelope.mean())
            low = hz < 100
            assert abs(hz[low][power[low].argmax()] - s.values["rate_hz"]) < 1.01


def test_chords_have_their_notes(stimuli):
    s = next(s for s in stimuli if s.group == "chord" and s.values == {"key": 3, "kind": "minor", "timbre": "dull"})
    hz, power = spectrum(s.samples)
    for step in (0, 3, 7):
        note = 220 * 2 ** ((3 + step) / 12)
        assert power[np.abs(hz - note) < 3].max() > 100 * power[np.abs(hz - note * 1.03) < 1.5].max()


def test_the_seed_changes_noise_and_not_what_is_asked(stimuli):
    again, other = make_stimuli(RATE), make_stimuli(RATE, seed=1)
    assert [s.name for s in other] == [s.name for s in stimuli]
    assert all(np.array_equal(a.samples, b.samples) for a, b in zip(again, stimuli, strict=True))
    assert not any(
        np.array_equal(a.samples, b.samples) for a, b in zip(other, stimuli, strict=True) if "noise" in a.group
    )


@pytest.mark.parametrize("rate", [2000, 8000, 48000])
def test_any_rate(rate):
    assert all(np.isfinite(s.samples).all() and s.samples.any() for s in make_stimuli(rate))


def test_what_cannot_be_made():
    with pytest.raises(ParameterError, match="at least 2000 Hz"):
        make_stimuli(1000)
    with pytest.raises(ParameterError, match=r"0\.25 s"):
        make_stimuli(8000, seconds=0.1)


def test_notes_and_chords_of_instruments(tmp_path):
    notes = Notes(write_notes(tmp_path, {"organ": tuple(range(48, 84, 2)), "contrabass": (28, 33, 38)}))
    plain, played = make_stimuli(RATE), make_stimuli(RATE, notes=notes)
    assert [s.name for s in played[: len(plain)]] == [s.name for s in plain]
    assert all(np.array_equal(a.samples, b.samples) for a, b in zip(plain, played, strict=False))
    new = played[len(plain) :]
    single = [s for s in new if s.group == "note"]
    assert [s.values["timbre"] for s in single] == ["contrabass"] * 3 + ["organ"] * 12
    for s in single:
        cents = 1200 * np.log2(pitch_of(s.samples, RATE) / (440 * 2 ** ((s.values["midi"] - 69) / 12)))
        assert abs(cents) < 13
    chords = [s for s in new if s.group == "played chord"]  # the contrabass does not reach them
    assert len(chords) == 24
    assert {s.values["timbre"] for s in chords} == {"organ"}
    for s in chords:
        hz, power = spectrum(s.samples)
        for step in KINDS[s.values["kind"]]:
            note = 220 * 2 ** ((s.values["key"] + step) / 12)
            assert power[np.abs(hz - note) < 4].max() > 100 * np.median(power)
    levels = [10 * np.log10(np.mean(s.samples.astype(float) ** 2)) for s in new]
    assert levels == pytest.approx([-20.0] * len(new), abs=0.01)
    again = make_stimuli(RATE, 1, notes=notes)
    assert [s.name for s in again] == [s.name for s in played]
    assert not np.array_equal(again[-1].samples, played[-1].samples)
