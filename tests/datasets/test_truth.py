"""What is known of a clip: from scenes, from label files beside it or elsewhere, cut to the part that is meant."""

from __future__ import annotations

import json

import pytest

from otoscope.datasets import DatasetError, Example, LabelError, load_dataset, truth_of, write_audacity
from otoscope.datasets.scenes import Event, make_scene

SPEC = "scenes,clips=4,seconds=0.4,sample_rate=8000,kinds=rain+bell"


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    root = tmp_path_factory.mktemp("scenes")
    return load_dataset(SPEC, root), root


def example(path, **more):
    return Example(path, "dog", 0, 1, "s", **more)


def test_scenes_know_their_stems_and_events(scenes):
    data, root = scenes
    plans = json.loads((root / "scenes.json").read_text())["scenes"]
    for one, plan in zip(data.examples, plans, strict=True):
        truth = truth_of(one)
        scene = make_scene([plan["label"], plan["background"]], 0.4, 8000, plan["snr_db"], plan["seed"])
        assert set(truth.events) == set(scene.events)
        assert truth.sounding(one.label) == scene.stems[0].events
        assert list(truth.stems) == [plan["label"], plan["background"]]
        assert (truth.origin, truth.snr_db) == ("scenes", plan["snr_db"])


def test_nothing_is_known_of_other_clips(put, scenes):
    assert truth_of(example(put("a.wav"))) is None
    _, root = scenes
    stranger = root / "audio" / "scene-000099.wav"
    assert truth_of(example(stranger)) is None


@pytest.mark.parametrize("suffix", [".txt", ".selections.txt", ".tsv", ".Table.1.selections.txt"])
def test_a_label_file_beside_the_clip(put, tmp_path, suffix):
    clip = put("a.wav", 8000, 8000)
    write_audacity(tmp_path / f"a{suffix}", [Event("dog", 0.25, 0.5, 100.0, 200.0), Event("cat", 0.5, 3.0)])
    truth = truth_of(example(clip))
    assert truth.events == (Event("dog", 0.25, 0.5, 100.0, 200.0), Event("cat", 0.5, 1.0))
    assert truth.stems == {}
    assert truth.origin == f"a{suffix}"
    assert truth.notes == ("line 3: 'cat' was cut at the clip's end, 1 s",)


def test_of_several_the_first_form_is_taken(put, tmp_path):
    clip = put("a.wav", 8000, 8000)
    (tmp_path / "a.txt").write_text("0\t1\tdog\n")
    (tmp_path / "a.csv").write_text("onset,offset,label\n0,0.5,dog\n")
    truth = truth_of(example(clip))
    assert truth.events == (Event("dog", 0.0, 0.5),)
    assert truth.notes == ("a.csv was taken, not a.txt",)


def test_a_part_of_a_file(put, tmp_path):
    clip = put("a.wav", 8000, 8000)
    (tmp_path / "a.txt").write_text("0\t0.1\tbefore\n0.1\t0.4\tinto\n0.4\t0.9\tout\n0.8\t0.9\tafter\n")
    truth = truth_of(example(clip, start_s=0.25, stop_s=0.5))
    assert [(e.label, e.onset, e.offset) for e in truth.events] == [
        ("into", 0.0, pytest.approx(0.15)),
        ("out", pytest.approx(0.15), 0.25),
    ]


def test_labels_that_are_given(put, tmp_path):
    clip, other = put("a.wav", 8000, 8000), put("b.wav", 8000, 8000)
    table = tmp_path / "meta" / "all.tsv"
    table.parent.mkdir()
    table.write_text("filename\tonset\toffset\tevent_label\na.wav\t0\t0.5\tdog\n")
    assert truth_of(example(clip), table).events == (Event("dog", 0.0, 0.5),)
    assert truth_of(example(other), table) is None  # the file is about other clips
    assert truth_of(example(clip), table.parent) is None
    (table.parent / "b.txt").write_text("0\t1\tcat\n")
    assert truth_of(example(other), table.parent).events == (Event("cat", 0.0, 1.0),)
    with pytest.raises(DatasetError, match=r"the labels .* are not there"):
        truth_of(example(clip), tmp_path / "no")


def test_given_events_stand_in_for_those_of_a_scene(scenes, tmp_path):
    one = scenes[0].examples[0]
    (tmp_path / "scene-000000.txt").write_text("0\t0.2\train\n")
    truth = truth_of(one, tmp_path)
    assert truth.events == (Event("rain", 0.0, 0.2),)
    assert truth.stems == truth_of(one).stems
    assert truth_of(scenes[0].examples[1], tmp_path) == truth_of(scenes[0].examples[1])


def test_an_empty_label_file_says_that_nothing_sounds(put, tmp_path):
    clip = put("a.wav")
    (tmp_path / "a.txt").write_text("")
    assert truth_of(example(clip)).events == ()


def test_damage(put, tmp_path):
    clip = put("a.wav")
    (tmp_path / "a.txt").write_text("some words\n")
    with pytest.raises(LabelError, match=r"a.txt, line 1"):
        truth_of(example(clip))
    data = load_dataset(SPEC, tmp_path / "scenes")
    record = tmp_path / "scenes" / "scenes.json"
    content = json.loads(record.read_text())
    content["scenes"][0]["events"] = [["rain", "x"], 3]
    record.write_text(json.dumps(content))
    with pytest.raises(DatasetError, match=r"the record of scene-000000 .* is damaged"):
        truth_of(data.examples[0])
    del content["scenes"][0]["name"]
    record.write_text(json.dumps(content))
    with pytest.raises(DatasetError, match=r"scenes\.json is damaged"):
        truth_of(data.examples[0])
