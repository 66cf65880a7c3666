"""Mixtures of clips: levels by slow twins, stems that add up, pairs within folds, other folders refused."""

from __future__ import annotations

import json
import math
from collections import Counter

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from otoscope.core.errors import ParameterError
from otoscope.datasets import DatasetError, load_dataset, stems_of, truth_of
from otoscope.datasets.check import check_dataset
from otoscope.datasets.load import read_dataset
from otoscope.datasets.mixtures import active, mixed, spans

RATE = 8000


def burst(onset, length, seconds=0.5, level=0.1, seed=0):
    out, t = np.zeros(round(seconds * RATE)), np.arange(round(seconds * RATE)) / RATE
    inside = (t >= onset) & (t < onset + length)
    out[inside] = level * np.random.default_rng(seed).standard_normal(inside.sum())
    return out


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Three classes, two folds, two clips of each; clip i sounds for a part of it."""
    root, rows = tmp_path_factory.mktemp("source"), ["file,label,fold,source"]
    for i in range(12):
        name = f"{i}.wav"
        soundfile.write(root / name, burst(0.1, 0.2, level=0.02 * (i + 1), seed=i), RATE, subtype="FLOAT")
        rows.append(f"{name},{('dog/a', 'rain', 'bell')[i % 3]},{i // 6 + 1},s{i}")
    (root / "metadata.csv").write_text("\n".join(rows) + "\n")
    return root


def spec(source, more=""):
    return f"mixtures,of=folder,source={source},pairs=6,snr_db=-5+0+10,seconds=0.6,sample_rate={RATE}{more}"


@pytest.fixture(scope="module")
def made(source, tmp_path_factory):
    root = tmp_path_factory.mktemp("mixtures")
    return load_dataset(spec(source), root), root


def read(path):
    return soundfile.read(path, dtype="float32")[0]


def slow_level(samples):
    """RMS over the frames of 20 ms that are at most 40 dB softer than the loudest."""
    frames = [samples[i : i + 160].astype(np.float64) for i in range(0, len(samples), 160)]
    energies = [sum(x * x for x in frame) for frame in frames]
    kept = [x for frame, e in zip(frames, energies, strict=True) for x in frame if e >= 1e-4 * max(energies)]
    return math.sqrt(sum(x * x for x in kept) / len(kept))


def test_stems_add_up_at_the_snr_over_their_active_parts(made):
    data, _ = made
    assert len(data) == 18
    for example, snr_db in zip(data.examples, [-5, 0, 10] * 6, strict=True):
        truth = truth_of(example)
        assert truth.snr_db == snr_db
        one, other = (read(p) for p in truth.stems.values())
        clip = read(example.path)
        assert np.array_equal(one + other, clip)
        assert np.abs(clip).max() <= 0.9
        assert len(clip) == 0.6 * RATE
        assert 20 * math.log10(slow_level(one) / slow_level(other)) == pytest.approx(snr_db, abs=1e-3)


def test_pairs_lie_in_one_fold_and_hold_two_classes(made, source):
    data, root = made
    records = json.loads((root / "mixtures.json").read_text())["mixtures"]
    assert data.labels == ("bell", "dog/a", "rain")
    assert data.name == f"mixtures of {source.name}"
    for example, record in zip(data.examples, records, strict=True):
        files = [int(clip["file"].removesuffix(".wav")) for clip in record["clips"]]
        assert {i // 6 + 1 for i in files} == {example.fold}
        own, other = (("dog/a", "rain", "bell")[i % 3] for i in files)
        assert (own, other) == (example.label, record["background"])
        assert own != other
        assert data.labels[example.index] == own
        assert example.source == f"s{files[0]}"
        assert list(truth_of(example).stems) == [own, other]
        assert next(iter(stems_of(example))) == own
    assert Counter(e.label for e in data.examples) == {"dog/a": 6, "rain": 6, "bell": 6}
    assert Counter(e.fold for e in data.examples) == {1: 9, 2: 9}
    assert len({(e.fold, r["clips"][0]["file"]) for e, r in zip(data.examples, records, strict=True)}) == 6


def test_events_are_where_the_clips_sound(made):
    for example in made[0].examples:
        events = truth_of(example).events
        assert sorted(e.label for e in events) == sorted(truth_of(example).stems)
        assert all((e.onset, e.offset) == pytest.approx((0.1, 0.3), abs=0.021) for e in events)
        assert all(e.low_hz is None for e in events)


def test_chosen_folds_alone(source, tmp_path):
    data = load_dataset(spec(source, ",folds=2"), tmp_path)
    assert {e.fold for e in data.examples} == {2}
    files = {c["file"] for r in json.loads((tmp_path / "mixtures.json").read_text())["mixtures"] for c in r["clips"]}
    assert files <= {f"{i}.wav" for i in range(6, 12)}


def test_more_pairs_begin_with_the_same(made, source, tmp_path):
    more = load_dataset(spec(source).replace("pairs=6", "pairs=7"), tmp_path)
    assert len(more) == 21
    assert all(
        a.path.read_bytes() == b.path.read_bytes() for a, b in zip(made[0].examples, more.examples, strict=False)
    )


def test_another_seed_gives_other_pairs(made, source, tmp_path):
    other = load_dataset(spec(source, ",seed=1"), tmp_path)
    assert any(
        a.path.read_bytes() != b.path.read_bytes() for a, b in zip(made[0].examples, other.examples, strict=True)
    )


def test_what_is_gone_is_made_again_and_no_more(source, tmp_path):
    data = load_dataset(spec(source), tmp_path)
    gone = list(truth_of(data.examples[4]).stems.values())[1]
    before, times = gone.read_bytes(), {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.*") if "4" not in str(p)}
    gone.unlink()
    with pytest.raises(ParameterError, match="give its folder"):
        load_dataset(spec(source).replace(f"source={source},", ""), tmp_path)
    with pytest.raises(DatasetError, match="is not there; make the data set again"):
        truth_of(data.examples[4])
    load_dataset(spec(source), tmp_path)
    assert gone.read_bytes() == before
    assert times == {p: p.stat().st_mtime_ns for p in times}


def test_once_made_they_need_no_source(made, source):
    data, root = made
    again = load_dataset(spec(source).replace(f"source={source},", ""), root)
    assert again == data
    assert check_dataset(spec(source).replace(f"source={source},", ""), root).findings == ()


def test_a_stopped_run_goes_on(made, source, tmp_path):
    load_dataset(spec(source), tmp_path)
    (tmp_path / "mixtures.json").unlink()
    (tmp_path / "audio" / "mixture-000003.wav").unlink()
    data = load_dataset(spec(source), tmp_path)
    assert [e.path.read_bytes() for e in data.examples] == [e.path.read_bytes() for e in made[0].examples]


def test_other_folders_are_refused(made, source, tmp_path):
    with pytest.raises(DatasetError, match=r"holds mixtures of other settings \(pairs=6\); give another folder"):
        load_dataset(spec(source).replace("pairs=6", "pairs=5"), made[1])
    (tmp_path / "audio").mkdir()
    (tmp_path / "audio" / "scene-000000.wav").write_bytes(b"mine")
    with pytest.raises(DatasetError, match=r"holds 'audio/scene-000000.wav', which is not a mixture"):
        load_dataset(spec(source), tmp_path)
    with pytest.raises(DatasetError, match="holds no mixtures yet"):
        read_dataset(spec(source), tmp_path / "new", make=False)
    assert not (tmp_path / "new").exists()


def test_a_source_that_changed(source, tmp_path):
    load_dataset(spec(source), tmp_path / "m")
    other = tmp_path / "other"
    other.mkdir()
    rows = (source / "metadata.csv").read_text().split("\n")[1:-1]
    (other / "metadata.csv").write_text(
        "file,label,fold,source\n" + "\n".join(r.replace(".wav", "x.wav") for r in rows)
    )
    next((tmp_path / "m" / "audio").iterdir()).unlink()
    with pytest.raises(DatasetError, match="mixed from other clips than the source has now"):
        load_dataset(spec(other), tmp_path / "m")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (("snr_db=-5+0+10", "snr_db=loud"), "snr_db of mixtures"),
        (("snr_db=-5+0+10", "snr_db=0+0"), "different ones"),
        (("snr_db=-5+0+10", "snr_db=nan"), "snr_db of mixtures"),
        (("of=folder", "of=mixtures"), "cannot be mixed again"),
        (("of=folder", "of=folders"), "did you mean 'folder'"),
        (("pairs=6", "folds=3"), r"has the folds \['1', '2'\]"),
        (("pairs=6", "pairs=0"), "pairs must lie in"),
    ],
)
def test_bad_settings(source, tmp_path, change, match):
    with pytest.raises(Exception, match=match) as caught:
        load_dataset(spec(source).replace(*change), tmp_path / "new")
    assert type(caught.value).__module__.startswith("otoscope.")
    assert not (tmp_path / "new").exists()


def test_silent_clips_and_single_classes(put, table, tmp_path):
    put("s/a.wav")
    soundfile.write(tmp_path / "s" / "b.wav", np.zeros(80), 8000)
    table("s/metadata.csv", "file,label,fold", "a.wav,a,1", "b.wav,b,1")
    text = f"mixtures,of=folder,source={tmp_path / 's'},pairs=1,seconds=0.05,sample_rate=8000"
    with pytest.raises(DatasetError, match=r"b.wav is silent"):
        load_dataset(text, tmp_path / "m")
    table("s/metadata.csv", "file,label,fold", "a.wav,a,1", "b.wav,b,2")
    with pytest.raises(ParameterError, match="only one class"):
        load_dataset(text, tmp_path / "m")


@given(snr_db=st.floats(-30, 30), level=st.floats(1e-4, 1.0), length=st.floats(0.05, 0.5))
def test_the_level_rule(snr_db, level, length):
    one, other = burst(0.0, length, level=level), burst(0.2, 0.3, seed=1)
    a, b, clip = mixed(one, other, RATE, snr_db)
    assert np.array_equal(a + b, clip)
    assert np.abs(clip).max() <= 0.9
    assert 20 * math.log10(slow_level(a) / slow_level(b)) == pytest.approx(snr_db, abs=0.01)
    if np.abs(clip).max() < 0.89:
        np.testing.assert_allclose(a, one, atol=1e-7)  # the foreground keeps its level
    else:
        np.testing.assert_allclose(a, one * np.abs(a).max() / np.abs(one).max(), atol=1e-6)  # one gain for both


def test_a_soft_mixture_is_not_made_louder():
    one = burst(0.0, 0.5, level=1e-3)
    np.testing.assert_allclose(mixed(one, burst(0.2, 0.3, seed=1), RATE, 0.0)[0], one, atol=1e-9)


def test_pairs_of_many_turns(source, tmp_path):
    text = spec(source).replace("pairs=6", "pairs=48,folds=1").replace("-5+0+10", "0")
    data = load_dataset(text, tmp_path)
    records = json.loads((tmp_path / "mixtures.json").read_text())["mixtures"]
    assert all(r["label"] != r["background"] for r in records)
    used = Counter(r["clips"][0]["file"] for r in records)
    assert sorted(used.values()) == [8] * 6  # every clip of the fold is the foreground as often
    assert len({(r["clips"][0]["file"], r["clips"][1]["file"]) for r in records}) > 15
    assert {e.label for e in data.examples} == set(data.labels)


def test_active_parts_and_their_spans():
    loud = burst(0.1, 0.1) + 1e-4 * burst(0.3, 0.1) + burst(0.46, 0.04)
    sounds = active(loud, RATE)
    np.testing.assert_allclose(spans(sounds, RATE), [(0.1, 0.2), (0.46, 0.5)])
    assert not active(np.zeros(100), RATE).any()
    assert spans(np.zeros(100, bool), RATE) == []
    gap = np.ones(RATE, bool)
    gap[2000:2700] = False  # 87.5 ms
    assert spans(gap, RATE) == [(0.0, 1.0)]
    gap[2000:2900] = False  # 112.5 ms
    assert spans(gap, RATE) == [(0.0, 0.25), (0.3625, 1.0)]
