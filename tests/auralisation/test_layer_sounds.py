"""Many features at once are what each is alone."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import soundfile
import torch

from feature_worlds import RATE, bursts, clip, planted_classifier, tone
from otoscope.auralisation import layer_sounds, save_layer_sounds
from otoscope.auralisation.auralise import Way, hear_feature
from otoscope.classifiers import build
from otoscope.classifiers.layer_features import layer_features
from otoscope.core.errors import ParameterError
from otoscope.core.records import Clip

SOUND = tone(1100) + bursts((0.5, 1.2)) + tone(500) + tone(1000)  # something for each feature


def compare(features, sound, how, batch_size, seed=0):
    numbers = list(range(len(features.labels)))
    for one in layer_sounds(features, sound, numbers, how, seed, batch_size):
        alone = hear_feature(features, sound, one.number, how, seed)
        if alone.explanation is None:
            assert one[1:] == (None, None, None)
            continue
        np.testing.assert_allclose(one.kept, alone.explanation.kept.read(0, sound.frames), atol=2e-5)
        np.testing.assert_allclose(one.removed, alone.explanation.removed.read(0, sound.frames), atol=2e-5)
        own, other = (list(vars(m).values()) for m in (one.measures, alone.measures))
        np.testing.assert_allclose(own, other, rtol=2e-3, atol=1e-3)


@pytest.mark.parametrize(
    "how", [Way(), Way("lrp"), Way("gradient", None, "smallest"), Way("mask_optimisation,steps=20"), Way("random")]
)
def test_as_alone(how):
    compare(layer_features(planted_classifier(), "planted"), clip(SOUND), how, 3)


def test_as_alone_where_cells_belong_together():
    pytest.importorskip("skimage", reason="needs the extra components")
    how = Way("gradient", "superpixels", "topk:0.3,smooth_time=0.1")
    compare(layer_features(planted_classifier(), "planted"), clip(SOUND), how, 3)


def test_as_alone_at_another_rate_in_stereo():
    torch.manual_seed(0)
    features = layer_features(build("vgg5", 2, settings={"channels": 5}), "block2")
    rng = np.random.default_rng(0)
    compare(features, Clip((0.1 * rng.standard_normal((2, 16000))).astype(np.float32), 16000), Way(), 2)


def test_silent_features_and_order():
    world = planted_classifier()
    world.network.conv.weight.data[1] = 0
    features = layer_features(world, "planted")
    found = list(layer_sounds(features, clip(SOUND), [3, 1, 0], batch_size=1))
    assert [one.number for one in found] == [3, 1, 0]
    assert [one.kept is None for one in found] == [False, True, False]
    quiet = list(layer_sounds(features, clip(0 * SOUND)))
    assert [one.measures for one in quiet] == [None] * 4


def test_features_are_batched_and_memory_is_not_kept(monkeypatch):
    features = layer_features(build("vgg5", 2, settings={"channels": 10}), "block1")
    sizes = []
    forward = type(features.network).forward
    monkeypatch.setattr(type(features.network), "forward", lambda s, x: sizes.append(len(x)) or forward(s, x))
    sound = Clip(0.1 * np.random.default_rng(0).standard_normal((1, 11025)).astype(np.float32), 11025)
    found = layer_sounds(features, sound, batch_size=4)
    next(found)
    assert sizes == [1, 4, 4, 4]  # the sound, then maps, kept and removed sounds of the first four features
    more = list(found)
    assert len(more) == 9
    assert sum(sizes) == 1 + 3 * (1 + sum(one.kept is not None for one in more))


def test_repeated_numbers_are_asked_once():
    features = layer_features(planted_classifier(), "planted")
    found = list(layer_sounds(features, clip(SOUND), [0, 2, 0, 2, 3], batch_size=2))
    assert [one.number for one in found] == [0, 2, 3]
    assert all(one.kept is not None for one in found)


def test_table_and_files(tmp_path):
    world = planted_classifier()
    world.network.conv.weight.data[1] = 0
    features = layer_features(world, "planted")
    (tmp_path / "out").mkdir()
    for name in ("99.wav", "notes.wav"):
        (tmp_path / "out" / name).write_bytes(b"")
    seen = []
    rows = save_layer_sounds(features, clip(SOUND), tmp_path / "out", progress=seen.append)
    assert [one.number for one in seen] == [0, 1, 2, 3]
    with (tmp_path / "out" / "features.csv").open() as table:
        read = list(csv.DictReader(table))
    assert [row["file"] for row in read] == ["0.wav", "", "2.wav", "3.wav"]
    assert float(read[2]["kept"]) == pytest.approx(rows[2]["kept"])
    assert {p.name for p in (tmp_path / "out").glob("*.wav")} == {"0.wav", "2.wav", "3.wav", "notes.wav"}
    sound, rate = soundfile.read(tmp_path / "out" / "2.wav")
    assert (len(sound), rate) == (len(SOUND), RATE)


def test_bad_input():
    features = layer_features(planted_classifier(), "planted")
    with pytest.raises(ParameterError, match="has features 0 to 3; got 4"):
        next(layer_sounds(features, clip(SOUND), [0, 4]))
    with pytest.raises(ParameterError, match=r"has features 0 to 3; got 1\.5"):
        next(layer_sounds(features, clip(SOUND), [1.5]))
    with pytest.raises(ParameterError, match=r"60\.0 s\) is longer than 'planted, planted' takes at once; cut it"):
        next(layer_sounds(features, Clip(np.zeros((1, 60 * RATE), np.float32), RATE)))
