"""Vectors of prototypes in the space of a layer."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch

from otoscope.classifiers.layer_cells import LayerCells
from otoscope.classifiers.prototype_space import (
    FILE,
    TENSORS,
    PrototypeSpace,
    audible,
    pool,
    read_space,
    shrink,
    spread,
)
from otoscope.core.errors import OtoscopeError, ParameterError
from otoscope.prototypes import fit_prototypes, record_clips
from tone_worlds import tones_classifier, write_known_tones


def space_of(**changed) -> PrototypeSpace:
    vectors = torch.tensor([[2.0, 0.0], [0.0, 3.0], [-1.0, 0.0]])
    settings = {
        "vectors": vectors, "classes": torch.tensor([0, 1, 1]), "mean": torch.zeros(2), "radius": 1.0, "layer": "cells",
        "parts": "time", "window_s": 0.2, "temperature": 0.1, "digest": "d", "name": "n", "labels": ("a", "b"),
        "sample_rate": 8000,
    }  # fmt: skip
    return PrototypeSpace(**{**settings, **changed})


def test_places_are_means_of_cells():
    maps = torch.randn(2, 3, 4, 7, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(pool(maps, "clip", 3)[:, :, 0, 0], maps.mean((2, 3)))
    torch.testing.assert_close(pool(maps, "time", 3)[:, :, 0, 2], maps[:, :, :, 2:5].mean((2, 3)))
    torch.testing.assert_close(pool(maps, "both", 3)[:, :, 1, 4], maps[:, :, 1, 4:7].mean(2))
    torch.testing.assert_close(pool(maps, "frequency", 3)[..., 0], maps.mean(3))
    assert pool(maps[:, :, 0], "time", 99).shape == (2, 3, 1, 1)


def test_values_of_places_are_means_over_the_places_of_a_cell():
    values = torch.randn(2, 2, 4, generator=torch.Generator().manual_seed(0))
    cells = spread(values, (2, 6), 3)  # 4 windows of 3 frames
    for k in range(6):
        over = [w for w in range(4) if w <= k < w + 3]
        torch.testing.assert_close(cells[:, :, k], values[:, :, over].mean(2))
    one = spread(values[:, :1, :1], (2, 6), 3)
    assert one.shape == (2, 2, 6)
    assert (one == values[:, :1, :1]).all()


def test_similarity_is_the_cosine_less_near_the_mean():
    space = space_of()
    maps = torch.tensor([[[[4.0, 0.5]], [[0.0, 0.5]]]])  # one clip, two channels, one band, two frames
    found = space.similarity(maps, 1)[0, :, 0]

    def slow(x, p):
        x, p = np.array(x), np.array(p)
        return float(x @ p / ((np.linalg.norm(x) + 1) * (np.linalg.norm(p) + 1)))

    for i, p in enumerate(space.vectors.tolist()):
        for k, x in enumerate(([4.0, 0.0], [0.5, 0.5])):
            assert float(found[i, k]) == pytest.approx(slow(x, p), abs=1e-6)
    cosine = space_of(radius=0.0).similarity(maps, 1)[0, :, 0]
    torch.testing.assert_close(cosine, torch.tensor([[1, 0.5**0.5], [0, 0.5**0.5], [-1, -(0.5**0.5)]]))
    assert (shrink(torch.zeros(1, 2), 0.0) == 0).all()


def test_votes_are_sums_of_shares():
    space = space_of()
    shares = space.shares(torch.tensor([0.5, 0.4, 0.4]))
    assert float(shares.sum()) == pytest.approx(1)
    assert float(shares[0] / shares[1]) == pytest.approx(np.exp(1), rel=1e-5)
    votes = space.votes(shares)
    torch.testing.assert_close(votes, torch.stack([shares[0], shares[1] + shares[2]]))


def test_places_are_audible_above_the_floor_and_near_the_loudest():
    cells, x = LayerCells(np.linspace(0, 1, 6), np.array([0.0, 4000.0]), 0.2), np.zeros(8000, np.float32)
    x[:1600], x[1600:3200], x[3200:4800] = 0.5, 0.004, 0.006  # -42 and -38 dB
    assert audible(cells, x, 8000, "time", 1).tolist() == [True, False, True, False, False]
    assert audible(cells, 1e-4 * x, 8000, "time", 1).tolist() == [True, False, False, False, False]
    assert audible(cells, x, 8000, "clip", 1).tolist() == [True]
    assert not audible(cells, 0 * x, 8000, "both", 1).any()


def test_another_classifier_is_refused():
    classifier = tones_classifier()
    space = space_of(digest=classifier.digest(), labels=classifier.labels)
    space.check(classifier)
    with torch.no_grad():
        classifier.network.gain += 1
    with pytest.raises(
        ParameterError, match=r"of another classifier \('n', weights .*got 'three tones'.*or fit prototypes"
    ):
        space.check(classifier)
    with pytest.raises(ParameterError, match=r"of another classifier"):
        dataclasses.replace(space, digest=classifier.digest(), labels=("x", "y", "z")).check(classifier)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    classifier = tones_classifier()
    clips = record_clips(classifier, write_known_tones(tmp_path_factory.mktemp("clips")))
    fitted = fit_prototypes(classifier, clips, window_s=0.2, per_class=1)
    return fitted, fitted.save(tmp_path_factory.mktemp("folder"))


def test_a_folder_holds_the_space(folder):
    fitted, path = folder
    space, _ = read_space(path)
    for field in dataclasses.fields(PrototypeSpace):
        one, other = getattr(space, field.name), getattr(fitted.space, field.name)
        assert torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other, field.name


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": 2}, r"has format 2, and this version of Otoscope reads formats up to 1; update Otoscope"),
        ({"kind": "a cat"}, r"holds no fitted prototypes; give a folder that"),
        ({"temperature": 0}, r"do not fit together; fit the prototypes again"),
        ({"parts": "tiem"}, r"do not fit together"),
        ({"window_s": "x"}, r"is damaged \(ValueError"),
        ({"classifier": {}}, r"is damaged \(KeyError: 'digest'"),
        ({"prototypes": []}, r"do not fit together"),
        ({"prototypes": [{"class": 1.7}] * 3}, r"is damaged \(TypeError"),
        ({"prototypes": [{"class": 1e400}] * 3}, r"is damaged \(TypeError"),
        ({"prototypes": [3, 3, 3]}, r"is damaged \(TypeError"),
        ({"window_s": float("inf")}, r"do not fit together"),
        ({"radius": float("inf")}, r"do not fit together"),
        ({"temperature": 1e-320}, r"do not fit together"),
        ({"layer": None}, r"do not fit together"),
    ],
)
def test_damaged_files_are_refused(folder, tmp_path, change, said):
    content = json.loads((folder[1] / FILE).read_text())
    (tmp_path / FILE).write_text(json.dumps({**content, **change}))
    (tmp_path / TENSORS).write_bytes((folder[1] / TENSORS).read_bytes())
    with pytest.raises(OtoscopeError, match=said):
        read_space(tmp_path)


def test_missing_files_are_named(folder, tmp_path):
    with pytest.raises(OtoscopeError, match=r"cannot read the prototypes .*No such file.*give a folder that"):
        read_space(tmp_path)
    (tmp_path / FILE).write_bytes((folder[1] / FILE).read_bytes())
    with pytest.raises(OtoscopeError, match=r"cannot read .*prototypes\.safetensors .*fit the prototypes again"):
        read_space(tmp_path)
    (tmp_path / TENSORS).write_bytes((folder[1] / TENSORS).read_bytes()[:100])
    with pytest.raises(OtoscopeError, match=r"cannot read .*prototypes\.safetensors"):
        read_space(tmp_path)
