"""Scenes as a data set: the same from the same settings, stems that add up, records."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import soundfile

from otoscope.core.errors import ParameterError, UnknownNameError
from otoscope.datasets import DatasetError, Example, load_dataset, stems_of, truth_of
from otoscope.datasets.check import check_dataset

SPEC = "scenes,clips=7,seconds=0.3,sample_rate=8000,kinds=rain+bell+siren,folds=2,spread_db=6,seed=3"


def read(path):
    samples, rate = soundfile.read(path, dtype="float32")
    assert rate == 8000
    return samples.astype(np.float64)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("scenes")
    return load_dataset(SPEC, root), root


def test_labels_and_folds(made):
    data, _ = made
    assert data.labels == ("rain", "bell", "siren")
    assert [e.label for e in data.examples] == ["rain", "bell", "siren"] * 2 + ["rain"]
    assert [e.fold for e in data.examples] == [1, 1, 1, 2, 2, 2, 1]
    assert len({e.source for e in data.examples}) == 7


def test_stems_add_up_at_the_recorded_snr(made):
    data, root = made
    record = json.loads((root / "scenes.json").read_text())
    assert record["settings"]["seed"] == 3
    for example, scene in zip(data.examples, record["scenes"], strict=True):
        stems = stems_of(example)
        assert list(stems) == [example.label, scene["background"]]
        label, other = (read(p) for p in stems.values())
        np.testing.assert_allclose(label + other, read(example.path), atol=1e-6)
        assert 10 * math.log10((label**2).sum() / (other**2).sum()) == pytest.approx(scene["snr_db"], abs=0.01)
        assert abs(scene["snr_db"]) <= 6
        assert {e[0] for e in scene["events"]} == set(stems)
        assert all(0 <= e[1] < e[2] <= 0.3 for e in scene["events"])
    assert len({s["snr_db"] for s in record["scenes"]}) == 7


def test_the_same_settings_give_the_same_bytes(made, tmp_path):
    _, root = made
    load_dataset(SPEC, tmp_path)
    names = sorted(p.relative_to(root) for p in root.rglob("*") if p.is_file())
    assert len(names) == 1 + 3 * 7
    assert all((root / n).read_bytes() == (tmp_path / n).read_bytes() for n in names)


def test_what_is_there_is_not_made_again_and_what_is_gone_is(made):
    data, root = made
    times = {p: p.stat().st_mtime_ns for p in root.rglob("*.wav")}
    gone = stems_of(data.examples[1])["bell"]
    before = gone.read_bytes()
    gone.unlink()
    load_dataset(SPEC, root)
    assert gone.read_bytes() == before
    changed = {p for p, t in times.items() if p.stat().st_mtime_ns != t}
    assert {p.stem for p in changed} <= {"scene-000001", *stems_of(data.examples[1])}


def test_another_seed_gives_other_sounds(made, tmp_path):
    data, _ = made
    other = load_dataset(SPEC.replace("seed=3", "seed=4"), tmp_path)
    assert not np.array_equal(read(other.examples[0].path), read(data.examples[0].path))


def test_more_clips_begin_with_the_same(made, tmp_path):
    data, _ = made
    more = load_dataset(SPEC.replace("clips=7", "clips=8"), tmp_path)
    assert more.examples[6].path.read_bytes() == data.examples[6].path.read_bytes()


def test_a_folder_of_other_settings_is_refused(made):
    _, root = made
    with pytest.raises(DatasetError, match=r"scenes of other settings \(seed=3\); give another folder"):
        load_dataset(SPEC.replace("seed=3", "seed=4"), root)


@pytest.mark.parametrize(
    ("kinds", "error", "match"),
    [
        ("rain+dog", UnknownNameError, "did you mean 'dog_bark'"),
        ("rain", ParameterError, "two kinds"),
        ("rain+rain", ParameterError, "each once"),
    ],
)
def test_bad_kinds(tmp_path, kinds, error, match):
    with pytest.raises(error, match=match):
        load_dataset(f"scenes,clips=1,kinds={kinds}", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_other_clips_have_no_stems(tmp_path):
    with pytest.raises(DatasetError, match="no stems"):
        stems_of(Example(tmp_path / "audio" / "a.wav", "rain", 0, 1, "s"))


SMALL = "scenes,clips=2,seconds=0.1,sample_rate=8000,kinds=rain+bell"


def test_a_stopped_run_goes_on(tmp_path):
    (tmp_path / ".hidden").write_text("")
    load_dataset(SMALL, tmp_path)
    (tmp_path / "scenes.json").unlink()
    (tmp_path / "audio" / "scene-000001.wav").unlink()
    assert len(load_dataset(SMALL, tmp_path)) == 2


def test_a_check_writes_nothing(tmp_path):
    (report,) = check_dataset(SMALL, tmp_path).findings
    assert report.kind == "table"
    assert report.why.endswith("holds no scenes yet (scenes.json is not there); otoscope data get makes them")
    assert list(tmp_path.iterdir()) == []
    load_dataset(SMALL, tmp_path)
    assert check_dataset(SMALL, tmp_path).findings == ()
    (tmp_path / "audio" / "scene-000001.wav").unlink()
    before = sorted(tmp_path.rglob("*"))
    assert [(f.kind, f.what) for f in check_dataset(SMALL, tmp_path).findings] == [
        ("missing", "audio/scene-000001.wav")
    ]
    assert sorted(tmp_path.rglob("*")) == before


def test_several_levels_give_the_same_scene_at_each(tmp_path):
    """Scene i of one level is scenes 2i and 2i + 1 of two; their sources say that they belong together."""
    kinds = "kinds=rain+bell,seconds=0.5,sample_rate=8000,seed=3"
    one = load_dataset(f"scenes,clips=3,snr_db=0,{kinds}", tmp_path / "one")
    two = load_dataset(f"scenes,clips=6,snr_db=0+10,{kinds}", tmp_path / "two")
    assert [e.label for e in two.examples] == [e.label for e in one.examples for _ in range(2)]
    assert [e.source for e in two.examples] == [e.source for e in one.examples for _ in range(2)]
    assert [truth_of(e).snr_db for e in two.examples] == [0.0, 10.0] * 3
    first, again = (read(e.path) for e in (one.examples[1], two.examples[2]))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(again, read(two.examples[3].path))
