"""What the editor shows, and what it does."""

from __future__ import annotations

import base64
import io
import threading

import numpy as np
import pytest
import soundfile
import torch

from otoscope.core.errors import OtoscopeError, ParameterError, UnknownNameError
from otoscope.prototypes import accuracy, delete, list_prototypes
from otoscope.prototypes.clips import window
from otoscope.studio import editor as module
from otoscope.studio import stage
from otoscope.studio.editor import Editor
from otoscope.studio.workspace import BusyError


@pytest.fixture
def editor(workspace):
    return workspace.opened("prototypes", Editor)


def row(editor, id):
    return next(p for p in editor.state()["prototypes"] if p["id"] == id)


def test_the_state_is_that_of_the_network(editor):
    state, network = editor.state(), editor.model.network
    assert [p["id"] for p in state["prototypes"]] == ["p1", "p2", "p3", "p4", "p5", "p6"]
    assert state["accuracy"] == accuracy(network, editor.validation)
    for i, p in enumerate(state["prototypes"]):
        assert p["votes"] == pytest.approx(network.out.weight[:, i].tolist())
        assert p["label"] == [0, 0, 1, 1, 2, 2][i]
    assert (state["can_undo"], state["can_redo"], state["can_test"], state["job"]) == (False, False, False, None)


def test_what_leaves_with_a_prototype_is_what_its_deletion_costs(editor):
    """Against networks without it, one by one."""
    targets = editor.validation.targets

    def scores(model):
        with torch.no_grad():
            logits = model.network.decide(editor.validation.maps)[0]
        return float((logits.argmax(1) == targets).float().mean()), float(
            torch.nn.functional.cross_entropy(logits, targets)
        )

    whole = scores(editor.model)
    for p in editor.state()["prototypes"]:
        without = scores(delete(editor.model, [p["id"]]))
        assert p["lost"]["accuracy"] == pytest.approx(whole[0] - without[0], abs=1e-6)
        assert p["lost"]["loss"] == pytest.approx(without[1] - whole[1], abs=1e-4)
    editor.change(0, {"edit": "delete", "ids": ["p1"]})
    assert row(editor, "p2")["lost"] is None  # the last one of its class


def test_places_are_principal_components(editor):
    shown = editor.clips()
    places = np.array([c["place"] for c in shown["clips"]])
    flat = editor.training.maps.flatten(1).numpy().astype(np.float64)
    centred = flat - flat.mean(0)
    values = np.linalg.svd(centred, compute_uv=False) ** 2
    np.testing.assert_allclose(shown["explained"], values[:4] / values.sum(), rtol=1e-2)
    np.testing.assert_allclose((places**2).sum(0), values[:4], rtol=1e-2)
    assert np.allclose(places.mean(0), 0, atol=1e-4)
    first = editor.state()["prototypes"][0]["place"]
    near = editor.detail("p1")["nearest"][0]["clip"]
    if editor.detail("p1")["nearest"][0]["distance"] < 1e-3:  # the prototype is the clip
        np.testing.assert_allclose(first, places[near], atol=1e-3)


def test_the_nearest_clips_come_first(editor):
    found = editor.detail("p3")
    layer = editor.model.network.prototypes
    slow = [float(layer.scale) * float((z - layer.maps[2].detach()).square().mean()) for z in editor.training.maps]
    assert [r["clip"] for r in found["nearest"]] == sorted(range(9), key=slow.__getitem__)[:3]
    assert found["nearest"][0]["distance"] == pytest.approx(min(slow), rel=1e-3, abs=1e-4)
    weights = editor.model.network.prototypes.weights[2].tolist()
    assert [b["value"] for b in found["bands"]] == weights[::-1]
    assert found["bands"][0]["label"].endswith("\u20134000 Hz")
    assert found["bands"][-1]["label"].startswith("0\u2013")
    with pytest.raises(UnknownNameError, match="unknown prototype 'p9'"):
        editor.detail("p9")


def test_only_what_is_new_is_computed(editor, monkeypatch):
    rows = dict(editor._rows)
    editor.change(0, {"edit": "delete", "ids": ["p1"]})
    assert len(editor._rows) == len(rows)  # the others were there
    editor.change(1, {"edit": "add", "clip": "low-2.wav"})
    assert len(editor._rows) == len(rows) + 1


def test_sounds_are_those_of_the_network(editor):
    found = editor.sounds_of("p5")
    decoded, real = found["versions"][:2]
    assert [v["title"] for v in found["versions"]] == ["Decoded", "Real", "Clip 2", "Clip 3"]
    samples, rate = soundfile.read(io.BytesIO(editor.audio(real["sound"])), dtype="float32")
    near = editor.detail("p5")["nearest"][0]
    np.testing.assert_allclose(samples, window(editor.model, editor.training.examples[near["clip"]]), atol=1e-6)
    assert rate == found["sample_rate"] == 8000
    assert len(soundfile.read(io.BytesIO(editor.audio(decoded["sound"])))[0]) == len(samples)
    with torch.no_grad():
        p = editor.model.probabilities(editor.model(torch.from_numpy(samples)[None]))[0]
    assert real["said"][0]["label"] == editor.model.labels[int(p.argmax())] == "middle"
    shape, data = real["spectrogram"]["shape"], base64.b64decode(real["spectrogram"]["base64"])
    picture = np.frombuffer(data, np.uint8).reshape(shape)
    assert abs(int(picture.mean(1).argmax()) / shape[0] * 4000 - 1000) < 150  # the tone is where it sounds


def test_clips_can_be_heard_too(editor, monkeypatch):
    monkeypatch.setattr(stage, "KEPT_SOUNDS", 2)
    first = editor.sounds_of_clip(4)["versions"][0]
    assert first["title"] == editor.training.examples[4].path.name
    expected = editor.audio(first["sound"])
    for id in ("p1", "p3", "p5", "p1"):
        shown = editor.sounds_of(id)["versions"]
        assert editor.audio(shown[0]["sound"])[:4] == b"RIFF"
    assert len(editor.stage._sounds) == 2
    again, before = (soundfile.read(io.BytesIO(wav))[0] for wav in (editor.audio(first["sound"]), expected))
    assert np.array_equal(again, before)  # the bytes hold the time of writing, in seconds
    for key in ("clip-99", "clip--1", "../../etc/passwd", "prototype-x", "", "clip-" + 5000 * "1"):
        with pytest.raises(UnknownNameError, match="unknown sound"):
            editor.audio(key)
    for number in (-1, 9):
        with pytest.raises(UnknownNameError, match="unknown training clip"):
            editor.sounds_of_clip(number)


def test_a_second_tab_cannot_change_what_it_has_not_seen(editor):
    editor.change(0, {"edit": "delete", "ids": ["p1"]})
    for act in (
        lambda: editor.change(0, {"edit": "delete", "ids": ["p2"]}),
        lambda: editor.change(0, {"edit": "undo"}),
        lambda: editor.tune(0, {}),
        lambda: editor.test(0),
    ):
        with pytest.raises(BusyError, match="changed in another tab or by somebody else; look at them as they are now"):
            act()
    assert editor.change(1, {"edit": "undo"})["can_redo"]
    assert [p["id"] for p in editor.change(2, {"edit": "redo"})["prototypes"]] == ["p2", "p3", "p4", "p5", "p6"]


def test_tuning_runs_beside_and_nothing_is_changed_meanwhile(editor, workspace, monkeypatch):
    go, real = threading.Event(), module.BackgroundJob.step

    def slow(job, done, loss):
        go.wait(20)
        return real(job, done, loss)

    monkeypatch.setattr(module.BackgroundJob, "step", slow)
    assert editor.tune(0, {"epochs": 2, "lr": 0.01})["job"]["state"] == "running"
    assert editor.state()["job"]["name"] == "the tuning"  # the page is alive
    assert editor.sounds_of("p1")["versions"]
    for act in (lambda: editor.tune(0, {}), lambda: editor.change(0, {"edit": "delete", "ids": ["p1"]})):
        with pytest.raises(BusyError, match="the tuning is running; wait for it or cancel it"):
            act()
    go.set()
    workspace.job.wait(30)
    assert workspace.job.state == "done"
    state = editor.state()
    assert [e["edit"] for e in state["history"]] == ["tune"]
    assert state["history"][0]["epochs"] == 2


def test_a_tuning_that_is_cancelled_changes_nothing(editor, workspace):
    editor.tune(0, {"epochs": 1000, "lr": 1e-5})
    workspace.job.cancel()
    workspace.job.wait(30)
    assert workspace.job.state == "cancelled"
    state = editor.state()
    assert (state["history"], state["interrupted"]) == ([], None)
    with pytest.raises(ParameterError, match="epochs must be int from 1 to 1000"):
        editor.tune(state["number"], {"epochs": 0})
    with pytest.raises(ParameterError, match="tuning is a job; ask for it as one"):
        editor.change(state["number"], {"edit": "tune"})


def test_versions_are_compared(editor):
    editor.change(0, {"edit": "delete", "ids": ["p1"]})
    editor.change(1, {"edit": "add", "clip": "low-2.wav", "name": "hum"})
    found = editor.compare(0)
    assert (found["gone"], found["new"], found["prototypes"]) == (["high 1"], ["hum"], 6)
    assert editor.compare(2)["gone"] == editor.compare(2)["new"] == []
    with pytest.raises(ParameterError, match="version 7 is not in the history"):
        editor.compare(7)


def test_a_model_is_saved_in_the_studios_folder(editor, workspace):
    import otoscope

    editor.change(0, {"edit": "rename", "id": "p1", "name": "whistle"})
    folder = editor.save()["folder"]
    assert folder == str(workspace.folder / "model")
    assert list_prototypes(otoscope.load_classifier(folder))[0].name == "whistle"


def test_the_model_itself_is_not_overwritten(tones, tmp_path):
    import otoscope
    from otoscope.datasets import load_dataset
    from otoscope.studio import Workspace

    model, folder = tones
    model.save_pretrained(tmp_path / "model")
    loaded = otoscope.load_classifier(str(tmp_path / "model"))
    with pytest.raises(ParameterError, match="the model lies where the studio would save the edited one"):
        Editor(Workspace(loaded, {"training": load_dataset("folder", folder)}, tmp_path))


def test_without_validation_clips(tones, tmp_path):
    from otoscope.datasets import load_dataset
    from otoscope.studio import Workspace

    model, folder = tones
    work = Workspace(model, {"training": load_dataset("folder", folder)}, tmp_path)
    editor = Editor(work)
    state = editor.state()
    assert state["accuracy"] is None
    assert all(p["lost"] is None for p in state["prototypes"])
    assert editor.compare(0)["accuracy"] is None
    with pytest.raises(OtoscopeError, match="there are no test clips"):
        editor.test(0)
    editor.session.close()
