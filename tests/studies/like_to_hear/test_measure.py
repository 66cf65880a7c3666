"""The measures of a study, on a world whose answers are known: ears that hear 1 kHz and 3 kHz, an autoencoder that low-passes."""

import numpy as np
import pytest
import torch
from torch import nn

from otoscope.datasets import load_dataset
from otoscope.spectral.bands import keep_band
from otoscope.studies.like_to_hear.measure import ORIGINAL, RESAMPLED, Condition, Evaluator, conditions, measure_all
from otoscope.studies.like_to_hear.members import CONTROL, Members, Tuned
from otoscope.studies.like_to_hear.settings import FrequencySettings, load_like_to_hear
from otoscope.studies.like_to_hear.summary import mean_interval, share, summarise
from worlds import RATE, band_energy


class Filter(nn.Module):
    """An autoencoder that keeps what lies between two frequencies, times a gain."""

    sample_rate, name = RATE, "filter"

    def __init__(self, low_hz, high_hz, gain=1.0):
        super().__init__()
        self.band, self.gain, self.info = (low_hz, high_hz), gain, {}
        self.calls = 0

    def forward(self, waveform, sample_rate=None):
        self.calls += 1
        return self.gain * keep_band(waveform, sample_rate or RATE, *self.band)

    def digest(self):
        return f"{self.band}{self.gain}"


def tuned(name, module, classifier="", start=""):
    return Tuned(name, module, classifier, start, {"kept_epoch": 1, "train_s": 60.0})


@pytest.fixture
def evaluator(recipes, tmp_path):
    recipe = load_like_to_hear(recipes / "study.yaml", [f"out={tmp_path}"])
    ears = band_energy()
    autoencoders = {
        CONTROL: tuned(CONTROL, Filter(0, 4000, 0.5)),
        "ears--control": tuned("ears--control", Filter(0, 2000), "ears", CONTROL),
        "ears--random": tuned("ears--random", Filter(0, 2000, 2.0), "ears", "random"),
    }
    members = Members({"ears": ears, "again": ears}, {"ears": [1, 0], "again": [1, 0]}, autoencoders)
    return Evaluator(recipe, members, ("decoy", "tone"), torch.device("cpu"))


@pytest.fixture
def measured(evaluator, corpus, tmp_path):
    test = load_dataset("esc50,esc10=true", corpus).folds((1,))
    assert test.labels == ("tone", "decoy")  # in the order of their numbers
    evaluator.members.numbers["ears"][:] = evaluator.members.numbers["again"][:] = [0, 1]
    truth = np.array([e.index for e in test.examples])
    return measure_all(evaluator, test, tmp_path), truth, test


def test_verdicts_follow_what_the_autoencoder_lets_through(evaluator, measured):
    measures, truth, _ = measured
    said = measures["said"][:, :, 0].argmax(-1)
    for sound in (ORIGINAL, RESAMPLED, CONTROL):
        assert (said[:, evaluator.sounds.index(sound)] == truth).all()
    low = said[:, evaluator.sounds.index("ears--control")]
    assert (low == 0).all()  # nothing of 3 kHz is left: everything sounds like the low tone
    np.testing.assert_allclose(measures["said"][:, :, 0], measures["said"][:, :, 1])


def test_closeness_is_that_of_the_filter(evaluator, measured):
    measures, truth, _ = measured
    i = evaluator.sounds.index
    power = measures["power"][:, 0].sum(-1)
    np.testing.assert_allclose(measures["mse"][:, i(CONTROL)], 0.25 * (0.3**2 / 2), rtol=0.01)
    assert (measures["si_sdr_db"][:, i(CONTROL)] > 60).all()  # softer, and nothing else
    assert (measures["si_sdr_db"][truth == 1, i("ears--control")] < -20).all()
    assert np.isposinf(measures["si_sdr_db"][:, i(ORIGINAL)]).all()
    np.testing.assert_allclose(power, 0.3**2 / 2, rtol=0.01)


def test_levels_and_likeness_in_the_summary(evaluator, measured):
    measures, truth, test = measured
    found = summarise(evaluator, measures, truth, test.labels)
    edges = np.array(found["bands"]["edges_hz"])
    at_1k, at_3k = (int(np.searchsorted(edges, hz, side="right")) - 1 for hz in (1000, 3000))
    control, low = found["bands"]["sounds"][CONTROL], found["bands"]["sounds"]["ears--control"]
    assert control["original"]["all"][at_1k] == pytest.approx(-6.02, abs=0.01)
    assert control["original"]["all"][at_3k] == pytest.approx(-6.02, abs=0.01)
    assert low["original"]["all"][at_1k] == pytest.approx(0, abs=0.01)
    assert low["original"]["all"][at_3k] < -40
    assert low["control"]["all"][at_1k] == pytest.approx(6.02, abs=0.01)
    assert low["original"]["by_class"]["decoy"][at_3k] < -40
    assert found["bands"]["sounds"]["ears--random"]["original"]["all"][at_1k] == pytest.approx(6.02, abs=0.01)
    matrix = np.array(found["likeness"]["matrix"])
    np.testing.assert_allclose(matrix, matrix.T)
    np.testing.assert_allclose(np.diag(matrix), 1)
    i = evaluator.sounds.index
    assert matrix[i("ears--control"), i("ears--random")] > 0.99  # the same but for a gain
    assert matrix[i("ears--control"), i(ORIGINAL)] < 0.9
    assert found["likeness"]["within"] == pytest.approx(matrix[i("ears--control"), i("ears--random")])
    assert found["likeness"]["between"] is None


def test_cross_and_frequencies_in_the_summary(evaluator, measured):
    measures, truth, test = measured
    found = summarise(evaluator, measures, truth, test.labels)
    assert found["cross"][ORIGINAL]["ears"]["accuracy"] == 1.0
    assert found["cross"]["ears--control"]["ears"] == {
        **share(np.array([True, True, False, False])),
        "probability": pytest.approx(found["cross"]["ears--control"]["ears"]["probability"]),
    }
    by = found["frequencies"]
    assert list(by["classifiers"]) == ["ears"]  # those of the group main
    assert by["classifiers"]["ears"]["own"] == "ears--control"
    rows = {(c["kind"], c["low_hz"], c["high_hz"]): k for k, c in enumerate(by["conditions"])}
    original = by["classifiers"]["ears"]["original"]
    assert original[rows[("all", 0.0, 4000.0)]]["accuracy"] == 1.0
    assert original[rows[("below", 0.0, 2000.0)]]["accuracy"] == 0.5
    assert original[rows[("above", 2000.0, 4000.0)]]["accuracy"] == 0.5
    assert by["classifiers"]["ears"]["reconstruction"][0]["accuracy"] == 0.5


def test_measures_are_read_again_and_made_again_when_something_changed(evaluator, measured, tmp_path):
    measures, _, test = measured
    files = sorted((tmp_path / "parts").iterdir())
    assert len(files) == 2  # four clips by three
    module = evaluator.members.autoencoders[CONTROL].autoencoder
    before = module.calls
    again = measure_all(evaluator, test, tmp_path)
    assert module.calls == before
    assert all(np.array_equal(measures[k], again[k], equal_nan=True) for k in measures)
    files[0].write_bytes(files[0].read_bytes()[:1000])  # broken off
    mended = measure_all(evaluator, test, tmp_path)
    assert module.calls == before + 3  # the clips of that batch
    assert all(np.array_equal(measures[k], mended[k], equal_nan=True) for k in measures)
    module.gain = 0.25
    changed = measure_all(evaluator, test, tmp_path)
    assert changed["mse"][0, evaluator.sounds.index(CONTROL)] > measures["mse"][0, evaluator.sounds.index(CONTROL)]


def test_a_batch_gives_what_single_clips_give(evaluator, measured, tmp_path):
    measures, _, test = measured
    evaluator.recipe = evaluator.recipe.replace(batch_size=1)
    singles = measure_all(evaluator, test, tmp_path)
    for name in measures:
        np.testing.assert_allclose(measures[name], singles[name], rtol=2e-3, atol=2e-3, err_msg=name)


def test_conditions_end_where_the_sound_ends():
    made = conditions(FrequencySettings(edges_hz=(0, 1000, 6000), cutoffs_hz=(500, 8000)), 4000.0)
    assert [(c.kind, c.low_hz, c.high_hz) for c in made] == [
        ("all", 0.0, 4000.0),
        ("only", 0, 1000),
        ("only", 1000, 4000.0),
        ("without", 0, 1000),
        ("without", 1000, 4000.0),
        ("below", 0.0, 500),
        ("above", 500, 4000.0),
    ]


def test_a_condition_and_its_opposite_sum_to_the_sound():
    sound = torch.randn(2, 4001, generator=torch.Generator().manual_seed(0))
    only, without = (Condition(kind, 700.0, 1500.0).apply(sound, RATE) for kind in ("only", "without"))
    torch.testing.assert_close(only + without, sound)
    below, above = (
        Condition("below", 0.0, 900.0).apply(sound, RATE),
        Condition("above", 900.0, 4000.0).apply(sound, RATE),
    )
    torch.testing.assert_close(below + above, sound, atol=1e-5, rtol=1e-4)


def test_intervals():
    rng = np.random.default_rng(0)
    assert mean_interval(np.array([np.nan, np.inf]), rng)["mean"] != mean_interval(np.array([1.0]), rng)["mean"]
    assert mean_interval(np.array([1.0, np.nan, -np.inf]), rng) == {"mean": 1.0, "low": 1.0, "high": 1.0, "n": 1}
    found = mean_interval(rng.normal(3, 1, 400), rng)
    assert found["low"] < found["mean"] < found["high"]
    assert found["high"] - found["low"] == pytest.approx(2 * 1.96 / 20, rel=0.2)


def test_a_forged_or_damaged_part_is_measured_again(evaluator, measured, tmp_path):
    measures, _, test = measured
    file = sorted((tmp_path / "parts").iterdir())[0]
    whole = file.read_bytes()
    with np.load(file) as stored:
        part = dict(stored)
    rng = np.random.default_rng(0)

    def flipped():
        data = bytearray(whole)
        data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
        file.write_bytes(bytes(data))

    def other(**changes):
        np.savez_compressed(file, **{k: v for k, v in {**part, **changes}.items() if v is not None})

    damages = [flipped] * 20 + [
        lambda: other(mse=part["mse"] * np.nan),
        lambda: other(mse=None),
        lambda: other(said=part["said"][:1]),
        lambda: file.write_bytes(b""),
    ]
    for damage in damages:
        damage()
        again = measure_all(evaluator, test, tmp_path)
        assert all(np.array_equal(measures[k], again[k], equal_nan=True) for k in measures)


def test_a_changed_clip_is_measured_again(evaluator, measured, tmp_path, monkeypatch):
    _, _, test = measured
    module = evaluator.members.autoencoders[CONTROL].autoencoder
    before = module.calls
    path = test.examples[0].path
    content = path.read_bytes()
    monkeypatch.setattr(type(path), "read_bytes", lambda self: content[:-4] + b"abcd" if self == path else content)
    measure_all(evaluator, test, tmp_path)
    assert module.calls > before
