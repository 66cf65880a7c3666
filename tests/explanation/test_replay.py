"""An explanation can be made again from its own record, and only from it."""

from __future__ import annotations

import copy
import json
import shutil

import numpy as np
import pytest
import torch

import otoscope
from otoscope.audio import write_wav
from otoscope.core.errors import AudioReadError, OtoscopeError
from worlds import RATE, BandEnergy, band_energy, tone, tone_and_decoy


@pytest.fixture
def saved(tmp_path):
    """A sound, and the folder of its explanation."""
    path = write_wav(tmp_path / "sound.wav", tone_and_decoy(0.3)[None], RATE)
    e = otoscope.explain(
        path, band_energy(), method="rise,masks=9", mask="topk:0.25,smooth_time=0.05", seed=5, target=0
    )
    e.save(tmp_path / "out", report=False)
    return e, tmp_path / "out" / "explanation.json"


@pytest.mark.parametrize(
    "options",
    [
        {"method": "rise,masks=9,keep=0.3", "seed": 7},
        {"method": "mask_optimisation,steps=3", "domain": "stft,bands=16,ms=30"},
        {"method": "smooth_grad,samples=2", "mask": "positive:threshold:0.25", "target": "tone"},
        {"method": "input_x_gradient", "domain": "time", "mask": "energy:0.8,smooth_time=0.02", "batch_size": 3},
    ],
)
def test_replay_gives_the_same_to_the_bit(tmp_path, options):
    path = write_wav(tmp_path / "a.wav", np.stack([tone_and_decoy(0.3, 44100)] * 2), 44100)
    e = otoscope.explain(path, band_energy(), **options)
    e.save(tmp_path / "one", report=False)
    again = otoscope.replay(tmp_path / "one" / "explanation.json", model=band_energy())
    again.save(tmp_path / "two", report=False)
    np.testing.assert_array_equal(again.attribution.values, e.attribution.values)
    np.testing.assert_array_equal(again.mask.values, e.mask.values)
    for part in ("original.wav", "kept.wav", "removed.wav"):
        assert (tmp_path / "one" / part).read_bytes() == (tmp_path / "two" / part).read_bytes()
    one, two = (json.loads((tmp_path / d / "explanation.json").read_text()) for d in ("one", "two"))
    one["target"].pop("asked"), two["target"].pop("asked"), one.pop("seconds"), two.pop("seconds")
    assert one == two


def test_a_named_model_is_loaded_again(tmp_path, model_folder):
    path = write_wav(tmp_path / "a.wav", tone(1000, 0.2, 16000)[None], 16000)
    e = otoscope.explain(path, model_folder, method="input_x_gradient")
    again = otoscope.replay(e.record())
    np.testing.assert_array_equal(again.kept.samples, e.kept.samples)
    assert again.classifier is not e.classifier


def test_a_record_in_memory_and_a_sound_that_moved(saved, tmp_path):
    e, path = saved
    record = json.loads(path.read_text())
    (tmp_path / "sound.wav").rename(tmp_path / "elsewhere.wav")
    with pytest.raises(AudioReadError, match="no such file"):
        otoscope.replay(record, model=band_energy())
    again = otoscope.replay(record, tmp_path / "elsewhere.wav", band_energy())
    np.testing.assert_array_equal(again.mask.values, e.mask.values)


def test_settings_can_be_changed(saved):
    e, path = saved
    again = otoscope.replay(path, model=band_energy(), mask="binary", seed=6, target="decoy")
    assert (again.mask.spec, again.request.seed, again.target.label) == ("binary", 6, "decoy")
    assert again.request.spec["method"] == e.request.spec["method"]


def test_another_sound_is_refused(saved, tmp_path):
    _, path = saved
    other = tone_and_decoy(0.3)
    other[100] += 1e-6
    write_wav(tmp_path / "sound.wav", other[None], RATE)
    with pytest.raises(OtoscopeError, match="is not the sound of the record"):
        otoscope.replay(path, model=band_energy())


def test_the_same_sound_in_another_format_is_the_same(saved):
    e, path = saved
    again = otoscope.replay(path, {"array": tone_and_decoy(0.3), "sampling_rate": RATE}, band_energy())
    np.testing.assert_array_equal(again.mask.values, e.mask.values)


def test_a_background_is_the_same_or_refused(tmp_path):
    room = tmp_path / "a, b"  # a comma, which a spelled setting could not hold
    for i in range(2):
        write_wav(room / f"{i}.wav", tone(500 * (i + 1), 0.3)[None], RATE)
    path = write_wav(tmp_path / "sound.wav", tone_and_decoy(0.3)[None], RATE)
    e = otoscope.explain(path, band_energy(), method=("gradient_shap", {"samples": 4, "background": str(room)}))
    again = otoscope.replay(e.record(), model=band_energy())
    np.testing.assert_array_equal(again.attribution.values, e.attribution.values)
    record = e.record()
    write_wav(room / "1.wav", tone(700, 0.3)[None], RATE)
    assert e.record() == record  # as it was when it was asked
    with pytest.raises(OtoscopeError, match=r"sounds of the background .* are not those of the record"):
        otoscope.replay(record, model=band_energy())
    assert otoscope.replay(record, model=band_energy(), method="gradient").scores is not None
    (room / "1.wav").unlink()
    with pytest.raises(OtoscopeError, match="are not those of the record"):
        otoscope.replay(record, model=band_energy())


def test_other_weights_are_refused(saved):
    _, path = saved
    module = BandEnergy()
    with torch.no_grad():
        module.level += 1e-4
    with pytest.raises(OtoscopeError, match="weights of 'other' are not those of the record"):
        otoscope.replay(path, model=otoscope.wrap(module, sample_rate=RATE, labels=3, name="other"))


def test_a_wrapped_model_must_be_passed(saved):
    with pytest.raises(OtoscopeError, match="does not say how to load classifier 'band_energy'; pass model="):
        otoscope.replay(saved[1])


def test_an_array_must_be_passed_again():
    e = otoscope.explain(tone(1000, 0.1), band_energy(), sample_rate=RATE, method="input_x_gradient")
    with pytest.raises(OtoscopeError, match="audio="):
        otoscope.replay(e.record(), model=band_energy())
    again = otoscope.replay(e.record(), {"array": tone(1000, 0.1), "sampling_rate": RATE}, band_energy())
    np.testing.assert_array_equal(again.kept.samples, e.kept.samples)


def test_a_captum_object_must_be_passed_again(tmp_path):
    attr = pytest.importorskip("captum.attr")
    model = band_energy()
    path = write_wav(tmp_path / "a.wav", tone(1000, 0.1)[None], RATE)
    e = otoscope.explain(path, model, method=attr.InputXGradient)
    with pytest.raises(OtoscopeError, match=r"method captum:.* is an object; pass it with method="):
        otoscope.replay(e.record(), model=model)
    again = otoscope.replay(e.record(), model=model, method=attr.InputXGradient)
    np.testing.assert_array_equal(again.mask.values, e.mask.values)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "5", '"x"', "{}", '{"model": 3}', "\0", "{'a': 1}"])
def test_a_damaged_file(tmp_path, text):
    path = tmp_path / "explanation.json"
    path.write_text(text)
    with pytest.raises(OtoscopeError, match="record"):
        otoscope.replay(path, model=band_energy())


def test_a_file_that_cannot_be_read(tmp_path):
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path, tmp_path / "missing.json", tmp_path / "binary.json"):
        with pytest.raises(OtoscopeError, match="cannot read the record"):
            otoscope.replay(path)


def _paths(value, at=()):
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (*at, key)
            yield from _paths(inner, (*at, key))


def test_a_record_with_anything_missing_or_of_another_type_never_leaks(saved):
    """Each entry that replay reads is taken away, or replaced by nonsense: our error, or it was not needed."""
    record, model = json.loads(saved[1].read_text()), band_energy()
    needed = {"model", "request", "environment", "audio", "target", "file"}
    for path in [p for p in _paths(record) if p[0] in needed]:
        for nonsense in (KeyError, None, 5, "x", [], {}):
            broken = copy.deepcopy(record)
            inner = broken
            for key in path[:-1]:
                inner = inner[key]
            if nonsense is KeyError:
                del inner[path[-1]]
            else:
                inner[path[-1]] = nonsense
            try:
                otoscope.replay(broken, model=model)
            except OtoscopeError:
                continue
            except Exception as error:
                pytest.fail(f"{'.'.join(path)} = {nonsense!r}: {type(error).__name__}: {error}")


def test_a_changed_setting_that_does_not_exist(saved):
    with pytest.raises((TypeError, OtoscopeError), match="metod"):
        otoscope.replay(saved[1], model=band_energy(), metod="rise")


def test_replay_refuses_a_model_folder_whose_weights_changed(tmp_path, model_folder):
    folder = shutil.copytree(model_folder, tmp_path / "model")
    path = write_wav(tmp_path / "a.wav", tone(1000, 0.1, 16000)[None], 16000)
    record = otoscope.explain(path, folder, method="input_x_gradient").record()
    from safetensors.torch import load_file, save_file

    state = load_file(folder / "model.safetensors")
    state["classifier.5.bias"] = state["classifier.5.bias"] + 1
    save_file(state, folder / "model.safetensors")
    with pytest.raises(OtoscopeError, match="are not those of the record"):
        otoscope.replay(record)


def test_a_model_with_labels_of_its_own_is_made_again(tmp_path):
    import numpy as np
    import torch

    import otoscope
    from otoscope.classifiers import build

    torch.manual_seed(0)
    state = build("mn", ["x", "y"], multilabel=True, settings={"width": 0.4}, name="mn04_as").network.state_dict()
    torch.save(state, tmp_path / "w.pt")
    model = otoscope.load_classifier("mn04_as", tmp_path / "w.pt", labels=["x", "y"])
    sound = np.random.default_rng(0).normal(size=8000).astype(np.float32) / 10
    e = otoscope.explain(sound, model, sample_rate=32000, method="input_x_gradient")
    again = otoscope.replay(e.record(), audio=otoscope.load_audio(sound, 32000))
    assert again.classifier.labels == ("x", "y")
    assert (again.mask.values == e.mask.values).all()
