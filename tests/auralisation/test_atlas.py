"""The atlas: names, clips and sounds of planted features; begun again after a crash."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile

from feature_worlds import BAND, ONSET, RATE, bursts, planted_classifier, tone
from note_worlds import write_notes
from otoscope.auralisation import atlas as module
from otoscope.auralisation import make_atlas, named_layers
from otoscope.auralisation.atlas import default_layers
from otoscope.classifiers import build, load_classifier
from otoscope.core.errors import ParameterError, UnknownNameError, UnsupportedError
from otoscope.datasets import Example, Notes
from otoscope.spectral import FrameConfig, LinearStft


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    sounds = {"band": tone(1100, 3.0), "burst": bursts((2.2,), 3.0), "bass": tone(200, 3.0)}
    for name, sound in sounds.items():
        soundfile.write(folder / f"{name}.wav", sound, RATE, subtype="FLOAT")
    return [Example(folder / f"{name}.wav", name, fold=1, source=name, index=i) for i, name in enumerate(sounds)]


@pytest.fixture(scope="module")
def made(examples, tmp_path_factory):
    out = tmp_path_factory.mktemp("atlas")
    return make_atlas(planted_classifier(), examples, out, ["planted"]), out


def test_features_have_names_clips_and_sounds(made):
    atlas, out = made
    assert atlas == json.loads((out / "atlas.json").read_text())
    features = atlas["layers"][0]["features"]
    assert [f["name"] for f in features][:3:2] == ["onsets", "sound 775 Hz to 1.76 kHz"]
    assert features[ONSET]["stable"]
    onset, band = features[ONSET]["clips"][0], features[BAND]["clips"][0]
    assert (onset["clip"], band["clip"]) == ("burst.wav", "band.wav")
    assert onset["start_s"] == pytest.approx(1.7, abs=0.06)  # a second around the burst
    sound, rate = soundfile.read(out / onset["original"])
    assert (rate, len(sound)) == (RATE, RATE)
    assert np.abs(sound[: RATE // 4]).max() < 0.01
    heard, _ = soundfile.read(out / onset["heard"])
    assert len(heard) == RATE
    assert onset["kept"] > 0.2
    assert len(onset["picture"]["values"]) == 24 * 48
    assert (out / "atlas.html").is_file()
    assert set(atlas["layers"][0]["drives"]) == {"key", "kind", "timbre"}


def test_after_a_crash_only_what_is_missing_is_made(made, examples, monkeypatch):
    atlas, out = made
    world = planted_classifier()
    for path in out.glob("parts/clips-*"):
        path.write_bytes(path.read_bytes()[:100])  # cut short
    next(iter(out.glob("sounds/*.ogg"))).unlink()
    calls = {"stimuli": 0, "heard": 0}
    monkeypatch.setattr(named_layers, "make_stimuli", lambda *_, **__: calls.__setitem__("stimuli", 1))
    hear = module.hear_feature
    monkeypatch.setattr(module, "hear_feature", lambda *a: calls.__setitem__("heard", calls["heard"] + 1) or hear(*a))
    again = make_atlas(world, examples, out, ["planted"])
    assert calls == {"stimuli": 0, "heard": 1}
    assert again["layers"][0]["features"][BAND]["name"] == atlas["layers"][0]["features"][BAND]["name"]
    assert all((out / c["original"]).is_file() for f in again["layers"][0]["features"] for c in f["clips"])


def test_other_weights_begin_anew(made, examples, monkeypatch):
    _, out = made
    world = planted_classifier()
    world.network.conv.weight.data[BAND] *= 2
    seen = []
    monkeypatch.setattr(module, "clip_responses", lambda *a, real=module.clip_responses: seen.append(1) or real(*a))
    make_atlas(world, examples[:1], out, ["planted"])
    assert seen


def test_other_clips_of_the_same_names_begin_anew(made, examples, tmp_path, monkeypatch):
    _, out = made
    other = [Example(tmp_path / e.path.name, e.label, fold=1, source=e.source, index=e.index) for e in examples]
    for e in other:
        soundfile.write(e.path, tone(1100, 3.0, 0.05), RATE, subtype="FLOAT")
    seen = []
    monkeypatch.setattr(module, "clip_responses", lambda *a, real=module.clip_responses: seen.append(1) or real(*a))
    monkeypatch.setattr(named_layers, "make_stimuli", None)  # names do not depend on clips
    make_atlas(planted_classifier(), other, out, ["planted"])
    assert seen


def test_beside_another_training(examples, tmp_path):
    own, twin = planted_classifier(), planted_classifier()
    order = [2, 0, 3, 1]
    twin.network.conv.weight.data = 2.0 * twin.network.conv.weight.data[order]
    atlas = make_atlas(own, examples[:1], tmp_path, ["planted"], twin=twin)
    closest = [f["closest"] for f in atlas["layers"][0]["features"]]
    assert [c["number"] for c in closest] == [order.index(k) for k in range(4)]
    assert all(c["correlation"] > 0.999 and c["same"] for c in closest)
    assert atlas["twin"]["name"] == "planted"


def trained_again():
    twin = planted_classifier()
    twin.network.conv.weight.data *= 2.0
    return twin


def test_a_twin_must_be_another_training_of_the_same_network(examples, tmp_path):
    with pytest.raises(ParameterError, match="has the same weights as 'planted'"):
        make_atlas(planted_classifier(), examples, tmp_path, ["planted"], twin=planted_classifier())
    for twin, why in (
        (build("vgg5", 2), "'vgg5' has no layer 'planted'"),
        (planted_classifier(1), "'planted' has .* as the shape of plain"),
        (planted_classifier(), "'planted' hears through LinearStft"),
        (planted_classifier(), "'planted' takes 16000 Hz, not 8000"),
    ):
        twin.network.state_dict()[next(iter(twin.network.state_dict()))].mul_(2)
        if "hears" in why:
            twin.frontend = LinearStft(FrameConfig(RATE, 256, 32, minimum_frames=8))
        if "Hz" in why:
            twin.sample_rate = 16000
        with pytest.raises(ParameterError, match=f"{why}.*give another training"):
            make_atlas(planted_classifier(), examples, tmp_path, ["planted"], twin=twin)
    with pytest.raises(UnknownNameError, match="unknown layer 'plantd'"):
        make_atlas(planted_classifier(), examples, tmp_path, ["plantd"], twin=trained_again())


def test_notes_are_among_the_stimuli(made, examples, tmp_path):
    notes = Notes(write_notes(tmp_path / "notes", {"organ": tuple(range(48, 84, 4)), "contrabass": (33, 37)}))
    plain, _ = made
    atlas = make_atlas(planted_classifier(), examples[:1], tmp_path / "out", ["planted"], notes=notes)
    assert atlas["stimuli"] == plain["stimuli"] + 9 + 2 + 24
    features = atlas["layers"][0]["features"]
    assert {f["timbre"] for f in features} <= {"organ", "contrabass"}
    assert features[BAND]["timbre"] == "organ"  # its notes and harmonics lie in the band
    assert plain["layers"][0]["features"][BAND]["timbre"] in ("bright", "dull", "odd")


def test_default_layers():
    assert default_layers(build("vgg5", 2)) == [f"block{i}" for i in range(1, 6)]
    found = default_layers(load_classifier("esc10-mn"))
    assert found[0] == "features.0"
    assert len(found) == 17
    world = planted_classifier()
    world.axes.clear()
    assert default_layers(world) == ["planted"]
    world.cam_layer = None
    with pytest.raises(UnsupportedError, match=r"name layers with maps over time \(--layer\)"):
        default_layers(world)


def test_bad_input(examples, tmp_path):
    with pytest.raises(ParameterError, match="there are no clips"):
        make_atlas(planted_classifier(), [], tmp_path)
    with pytest.raises(UnknownNameError, match="did you mean 'planted'"):
        make_atlas(planted_classifier(), examples, tmp_path, ["plantd"])
    assert not list((tmp_path / "parts").glob("*"))
