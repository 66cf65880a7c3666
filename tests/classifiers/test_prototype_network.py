"""Names of the prototypes of networks that decide by them."""

from __future__ import annotations

import pytest
import torch

import otoscope
from otoscope.classifiers.prototype_network import list_prototypes, owners, prototype_network
from otoscope.core.errors import UnsupportedError
from worlds import spectral

SPEC = "apnet,sample_rate=8000,n_fft=256,hop=128,n_mels=16,frames=12,channels=2,prototypes=6"


@pytest.fixture
def model():
    return otoscope.load_classifier(SPEC, "random", labels=["high", "low", "middle"])


def test_prototypes_are_called_by_the_class_that_they_vote_for(model):
    assert owners(model) == [0, 0, 1, 1, 2, 2]
    assert [(p.id, p.name) for p in list_prototypes(model)][:3] == [("p1", "high 1"), ("p2", "high 2"), ("p3", "low 1")]
    with torch.no_grad():
        model.network.out.weight[:, 1] = torch.tensor([0.0, 0.0, 1.0])
    assert [p.name for p in list_prototypes(model)] == ["high 1", "middle 1", "low 1", "low 2", "middle 2", "middle 3"]


@pytest.mark.parametrize(
    "stored",
    [
        [{"name": "no identity"}] * 6, [{"id": "p1", "name": "one"}], "text", [1] * 6,
        [{"id": f"../p{i}", "name": "x"} for i in range(6)], [{"id": "p1", "name": "x"}] * 6,
        [{"id": f"p{i}", "name": "\x1b[31m"} for i in range(6)],
    ],
)  # fmt: skip
def test_names_that_another_program_wrote_are_left_out(model, stored):
    model.info["prototypes"] = stored
    assert [p.id for p in list_prototypes(model)] == ["p1", "p2", "p3", "p4", "p5", "p6"]


def test_stored_names_are_used(model):
    model.info["prototypes"] = [
        {"id": f"q{i}", "name": f"name {i}", "clip": "a.wav" if i == 2 else ""} for i in range(6)
    ]
    found = list_prototypes(model)
    assert [p.id for p in found] == ["q0", "q1", "q2", "q3", "q4", "q5"]
    assert (found[2].name, found[2].clip, found[1].clip) == ("name 2", "a.wav", "")


def test_other_networks():
    assert prototype_network(otoscope.load_classifier(SPEC, "random", labels=3)).out.bias is None
    with pytest.raises(
        UnsupportedError, match=r"'spectral' is not a prototype network, such as apnet; find prototypes of any"
    ):
        prototype_network(spectral())
