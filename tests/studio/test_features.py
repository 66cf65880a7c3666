"""Features in the studio: the atlas in the background, and any feature in any clip."""

from __future__ import annotations

import io
import json
import threading

import numpy as np
import pytest
import soundfile

from feature_worlds import BAND, ONSET, RATE, bursts, planted_classifier, tone
from otoscope.auralisation import auralise, make_atlas
from otoscope.classifiers import build
from otoscope.core.errors import ParameterError, UnknownNameError, UnsupportedError
from otoscope.datasets import Dataset, Example
from otoscope.studio import Workspace
from otoscope.studio.features import FeatureDesk
from otoscope.studio.workspace import BusyError

SOUNDS = {"band": tone(1100), "burst": bursts((1.2,)), "still": 0 * tone(100)}


@pytest.fixture
def work(tmp_path):
    examples = []
    for i, (name, sound) in enumerate(SOUNDS.items()):
        soundfile.write(tmp_path / f"{name}.wav", sound, RATE, subtype="FLOAT")
        examples.append(Example(tmp_path / f"{name}.wav", name, fold=1, source=name, index=i))
    data = Dataset("clips", tuple(SOUNDS), tuple(examples), "none")
    made = Workspace(planted_classifier(), {"training": data}, tmp_path / "studio")
    yield made
    made.close()


@pytest.fixture
def desk(work):
    return FeatureDesk(work)


def wait(work):
    work.job.wait(120)
    return work.job.row()


def test_the_atlas_is_made_in_the_background_and_found_again(work, desk):
    state = desk.state()
    assert (state["atlas"], state["layers"]) == (None, ["planted", "conv"])
    assert [clip["file"] for clip in state["clips"]] == ["band.wav", "burst.wav", "still.wav"]
    desk.make(["planted"], 3)
    row = wait(work)
    assert (row["state"], row["done"], row["total"]) == ("done", 4, 4)
    for one in (desk, FeatureDesk(work)):
        features = one.state()["atlas"]["layers"][0]["features"]
        assert [f["name"] for f in features][ONSET] == "onsets"
        assert features[BAND]["clips"][0]["place"] == 0
        assert features[ONSET]["clips"][0]["place"] == 1


def test_clips_of_one_name_are_told_apart(tmp_path):
    """Files of one name in several folders, and several parts of one file."""
    examples = []
    for i, (folder, sound) in enumerate({"u": 0 * tone(100), "v": bursts((1.2,)), "w": tone(1100)}.items()):
        (tmp_path / folder).mkdir()
        soundfile.write(tmp_path / folder / "1.wav", sound, RATE, subtype="FLOAT")
        examples.append(Example(tmp_path / folder / "1.wav", "a", fold=1, source=folder, index=i))
    work = Workspace(
        planted_classifier(), {"training": Dataset("c", ("a",), tuple(examples), "none")}, tmp_path / "studio"
    )
    desk = FeatureDesk(work)
    desk.make(["planted"], 3)
    assert wait(work)["state"] == "done"
    features = desk.state()["atlas"]["layers"][0]["features"]
    assert [features[n]["clips"][0]["place"] for n in (ONSET, BAND)] == [1, 2]
    work.close()


def test_an_atlas_of_another_model_is_not_shown(work, tmp_path):
    other = planted_classifier()
    other.network.conv.weight.data *= 2
    make_atlas(other, work.data["training"], work.folder / "atlas", ["planted"])
    assert FeatureDesk(work).state()["atlas"] is None
    made = make_atlas(work.model, work.data["training"], work.folder / "atlas", ["planted"])
    assert FeatureDesk(work).state()["atlas"] is not None
    (work.folder / "atlas" / "atlas.json").write_text(json.dumps({**made, "format": 1}))
    assert FeatureDesk(work).state()["atlas"] is None
    (work.folder / "atlas" / "atlas.json").write_text("[1]")
    assert FeatureDesk(work).state()["atlas"] is None


def test_a_cancelled_atlas_is_continued(work, desk, monkeypatch):
    from otoscope.studio import features

    def stopped(*_, log, **__):
        log("one")
        work.job.cancel()
        log("two")
        raise AssertionError("was not stopped")

    with monkeypatch.context() as patch:
        patch.setattr(features, "make_atlas", stopped)
        desk.make(["planted"], 3)
        assert wait(work)["state"] == "cancelled"
    desk.make(["planted"], 3)
    assert wait(work)["state"] == "done"


def test_sounds_are_those_of_auralise(work, desk):
    content = desk.sounds_of("planted", BAND, 0)
    assert [v["title"] for v in content["versions"]] == ["Original", "What draws it", "The rest"]
    found = auralise(SOUNDS["band"], planted_classifier(), "planted", [BAND], sample_rate=RATE).features[0]
    kept, _ = soundfile.read(io.BytesIO(desk.audio(content["versions"][1]["sound"])))
    np.testing.assert_allclose(kept, found.explanation.kept.samples[0], atol=2e-5)
    facts = dict(content["versions"][1]["facts"])
    assert float(facts["Response"]) == pytest.approx(found.measures.kept, abs=0.01)
    assert float(facts["Selectivity"]) == pytest.approx(found.measures.selectivity, abs=0.01)
    other = desk.sounds_of("planted", BAND, 0, "gradient")
    assert other["versions"][1]["sound"] != content["versions"][1]["sound"]


def test_a_feature_that_does_not_respond(desk):
    content = desk.sounds_of("planted", BAND, 2)
    assert content["silent"]
    assert [v["title"] for v in content["versions"]] == ["Original"]
    assert content["of"].endswith("still.wav: it does not respond")


def test_bad_input(work, desk):
    for layer, number, place, way, words in (
        ("plantd", 0, 0, "gradient", "did you mean 'planted'"),
        ("planted", 0, 9, "gradient", "unknown training clip '9'"),
        ("planted", 0, -1, "gradient", "unknown training clip '-1'"),
        ("planted", 0, 0, "magic", "unknown way 'magic'"),
    ):
        with pytest.raises(UnknownNameError, match=words):
            desk.sounds_of(layer, number, place, way)
    with pytest.raises(ParameterError, match="has features 0 to 3; got 4"):
        desk.sounds_of("planted", 4, 0)
    with pytest.raises(UnknownNameError, match="unknown sound"):
        desk.audio("other")
    for layers, clips in ((["planted"], 0), (["planted"], True), ("planted", 3), ([1], 3), (["planted"] * 101, 3)):
        with pytest.raises(ParameterError, match="an atlas takes names of layers"):
            desk.make(layers, clips)
    with pytest.raises(UnknownNameError):
        desk.make(["nothing"], 3)
    with pytest.raises(UnsupportedError):
        desk.make(["head"], 3)
    assert work.job is None


def test_one_job_at_a_time(work, desk):
    go = threading.Event()
    work.begin("something", 1, lambda job: go.wait(30))
    with pytest.raises(BusyError, match="something is running"):
        desk.make(["planted"], 3)
    go.set()


def test_one_can_listen_while_the_atlas_is_made(work, desk):
    """The job has a model of its own: its hooks do not meet other passes, and others' do not meet it."""
    expected = desk.sounds_of("planted", BAND, 0)["versions"][1]["facts"]
    desk.make(["planted"], 3)
    heard = 0
    while work.busy:
        assert desk.sounds_of("planted", BAND, 0)["versions"][1]["facts"] == expected
        heard += 1
    assert heard > 3
    assert wait(work)["state"] == "done"


def test_a_model_that_cannot_be_copied(work, desk):
    work.model.lock = threading.Lock()
    with pytest.raises(UnsupportedError, match=r"'planted' cannot be copied \(TypeError\).*otoscope atlas"):
        desk.make(["planted"], 3)


def test_a_model_whose_layers_are_not_declared(work):
    work.model.axes.clear()
    work.model.cam_layer = None
    assert FeatureDesk(work).state()["layers"] == []


def test_a_long_clip_is_cut_to_what_the_network_takes(tmp_path):
    model = build("passt", 2, settings={"dim": 12, "depth": 1, "heads": 2}).eval()
    soundfile.write(tmp_path / "long.wav", 0.1 * np.random.default_rng(0).standard_normal(20 * 32000), 32000)
    data = Dataset("clips", ("a",), (Example(tmp_path / "long.wav", "a", fold=1, source="a", index=0),), "none")
    desk = FeatureDesk(Workspace(model, {"training": data}, tmp_path / "studio"))
    content = desk.sounds_of("blocks.0.attn:heads", 1, 0)
    assert content["duration"] < 11
    assert len(content["versions"]) == 3
