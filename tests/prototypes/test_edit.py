"""Changes of a prototype network."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

import otoscope
from otoscope.core.errors import ParameterError, UnknownNameError
from otoscope.prototypes import (
    Prototype,
    accuracy,
    add,
    delete,
    list_prototypes,
    merge,
    owners,
    prototype_network,
    rename,
)
from otoscope.prototypes.edit import positions
from prototype_worlds import tone_clip


def state_of(model):
    return {k: v.clone() for k, v in model.network.state_dict().items()}


def ids(model):
    return [p.id for p in list_prototypes(model)]


def slow_delete(weights, classes, gone):
    """The authors' rule: what is left of the class has, for each class, the sum of sizes that it had."""
    out = weights.double().clone()
    for owner in {classes[i] for i in gone}:
        left = [i for i, c in enumerate(classes) if c == owner and i not in gone]
        for row in range(len(out)):
            before = sum(abs(float(weights[row, i])) for i, c in enumerate(classes) if c == owner)
            after = sum(abs(float(weights[row, i])) for i in left)
            for i in left:
                out[row, i] = weights[row, i] * before / after
    return out[:, [i for i in range(len(classes)) if i not in gone]]


def test_deletion_keeps_the_others_and_the_sums_of_the_class(tones):
    model, _ = tones
    before = state_of(model)
    made = delete(model, ["p6", "p1"])
    assert ids(made) == ["p2", "p3", "p4", "p5"]
    network = prototype_network(made)
    torch.testing.assert_close(network.prototypes.maps, before["prototypes.maps"][[1, 2, 3, 4]])
    expected = slow_delete(before["out.weight"], [0, 0, 1, 1, 2, 2], [0, 5])
    torch.testing.assert_close(network.out.weight.double(), expected, rtol=1e-5, atol=1e-6)
    assert made.config["settings"]["prototypes"] == 4
    for key, value in before.items():
        assert torch.equal(model.network.state_dict()[key], value)  # the first model is as it was
        if key.startswith(("encoder", "decoder", "prototypes.scale")):
            assert torch.equal(made.network.state_dict()[key], value)
    plain = delete(model, ["p1"], rescale=False)
    assert torch.equal(plain.network.out.weight, before["out.weight"][:, 1:])


def test_a_class_keeps_a_prototype(tones):
    model, _ = tones
    with pytest.raises(
        ParameterError, match=r"class low would be left without a prototype; keep one of them, or add a clip"
    ):
        delete(model, ["p3", "p4"])
    with pytest.raises(UnknownNameError, match=r"unknown prototype 'p9'"):
        delete(model, ["p9"])
    with pytest.raises(ParameterError, match=r"give at least one prototype"):
        delete(model, [])
    with pytest.raises(ParameterError, match=r"give at least one prototype.*got 'p1'"):
        positions(model, "p1")


def test_merged_prototypes_have_the_mean_map_and_the_sum_of_votes(tones):
    model, _ = tones
    before = state_of(model)
    made = merge(model, ["p4", "p3"])
    assert ids(made) == ["p1", "p2", "p3", "p5", "p6"]
    torch.testing.assert_close(made.network.prototypes.maps[2], before["prototypes.maps"][2:4].mean(0))
    torch.testing.assert_close(made.network.prototypes.weights[2], before["prototypes.weights"][2:4].mean(0))
    torch.testing.assert_close(made.network.out.weight[:, 2], before["out.weight"][:, 2:4].sum(1))


def test_merging_copies_changes_nothing(tones):
    model, clips = tones
    twice = merge(model, ["p1", "p2"])
    double = add(twice, twice.network.prototypes.maps[0].detach(), 0, "copy")
    double.network.prototypes.weights.data[-1] = double.network.prototypes.weights[0]
    once = merge(double, ["p1", "copy"])
    with torch.no_grad():
        torch.testing.assert_close(once.network.decide(clips.maps)[0], double.network.decide(clips.maps)[0])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["p1"], "at least two different prototypes are merged; got p1"),
        (["p1", "p1"], "at least two different prototypes are merged; got p1, p1"),
        (["p1", "p3"], r"must vote for the same class; got high 1 \(high\), low 1 \(low\)"),
    ],
)
def test_merges_that_are_refused(tones, given, said):
    with pytest.raises(ParameterError, match=said):
        merge(tones[0], given)


def test_a_clip_becomes_a_prototype_with_the_mean_votes(tones):
    model, clips = tones
    before = state_of(model)
    made = add(model, clips.maps[9], 1, "p7", "a low one", "low-3.wav")
    assert list_prototypes(made)[-1] == Prototype("p7", "a low one", "low-3.wav")
    out = before["out.weight"].double()
    row = torch.full((3,), float(out[out < 0].mean()), dtype=torch.double)
    row[1] = float(out[out > 0].mean())
    block = torch.cat([out[:, 2:4], row[:, None]], 1)
    block = block * (out[:, 2:4].abs().sum(1) / block.abs().sum(1))[:, None]
    torch.testing.assert_close(made.network.out.weight[:, [2, 3, 6]].double(), block, rtol=1e-5, atol=1e-6)
    assert torch.equal(made.network.out.weight[:, [0, 1, 4, 5]], before["out.weight"][:, [0, 1, 4, 5]])
    torch.testing.assert_close(made.network.prototypes.maps[-1], clips.maps[9])
    torch.testing.assert_close(made.network.prototypes.weights[-1], before["prototypes.weights"].mean().expand(4))
    assert owners(made)[-1] == 1
    with torch.no_grad():
        assert float(made.network.prototypes(clips.maps[9:10])[1][0, -1].max()) < 1e-4  # the clip is just there
    with pytest.raises(ParameterError, match="there is a prototype 'p7' already"):
        add(made, clips.maps[9], 1, "p7")
    with pytest.raises(ParameterError, match="classes are numbered 0 to 2; got 3"):
        add(model, clips.maps[9], 3, "p7")


def test_names(tones):
    model, _ = tones
    made = rename(model, "p2", "  a whistle ")
    assert list_prototypes(made)[1] == Prototype("p2", "a whistle")
    assert list_prototypes(delete(made, ["p1"]))[0].name == "a whistle"
    for name in ("", " ", "x" * 81, "a\nb", 3):
        with pytest.raises(ParameterError, match="a name is a text of 1 to 80 printable characters"):
            rename(model, "p2", name)


def test_a_changed_network_is_saved_and_loaded_with_its_names(tones, tmp_path):
    model, _ = tones
    made = rename(delete(model, ["p1", "p3"]), "p2", "<b>whistle</b>")
    made.save_pretrained(tmp_path / "model")
    again = otoscope.load_classifier(str(tmp_path / "model"))
    assert list_prototypes(again) == list_prototypes(made)
    x = torch.from_numpy(np.stack([tone_clip(300, 7)]))
    with torch.no_grad():
        torch.testing.assert_close(again(x), made(x))


def test_changes_do_not_draw_from_the_global_generator(tones):
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    delete(tones[0], ["p1"])
    assert torch.equal(torch.rand(1), expected)


def test_votes_of_those_that_stay_keep_their_class(tones):
    """Scaled class by class, the second prototype would vote for another class than before."""
    model, _ = tones
    made = delete(model, ["p6"])
    made.network.out.weight.data[:, :2] = torch.tensor([[1.0, 1.0], [-3.0, 0.8], [-1.0, -1.0]])
    assert owners(made) == [0, 0, 1, 1, 2]
    found = delete(made, ["p1"])
    assert owners(found) == [0, 1, 1, 2]
    torch.testing.assert_close(found.network.out.weight[:, 0], torch.tensor([1.0, 0.8, -1.0]) * 7.8 / 2.8)


def test_a_network_in_double_stays_in_double(tones):
    model, clips = tones
    double = copy.deepcopy(model).double()
    made = delete(double, ["p1"])
    assert made.network.prototypes.maps.dtype == torch.float64
    assert accuracy(made.network, clips) >= 0.9
