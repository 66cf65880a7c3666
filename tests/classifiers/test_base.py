from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import otoscope
from otoscope.core.errors import NonFiniteError, ParameterError, ShapeError, UnknownNameError, UnsupportedError
from worlds import band_energy, spectral


class Gives(nn.Module):
    """A module that answers with whatever it is told to."""

    def __init__(self, answer):
        super().__init__()
        self.answer, self.norm = answer, nn.BatchNorm1d(1)

    def forward(self, waveform):
        self.norm(waveform[:, None])
        return self.answer(waveform)


def logits(classes):
    return lambda x: x[:, :classes]


def test_classes_are_counted_and_the_module_is_untouched():
    module = Gives(logits(7)).train()
    module.norm.weight.grad = torch.ones(1)
    before = {k: v.clone() for k, v in module.state_dict().items()}
    world = otoscope.wrap(module, sample_rate=8000)
    assert world.labels == tuple(f"class {i}" for i in range(7))
    assert world.network is module
    assert world.name == "Gives"
    assert module.training
    assert module.norm.training
    assert module.norm.weight.requires_grad
    assert module.norm.weight.grad.tolist() == [1]
    for key, value in module.state_dict().items():
        assert torch.equal(value, before[key]), key


@pytest.mark.parametrize(
    ("labels", "expected"), [(2, ("class 0", "class 1")), (["a", "b"], ("a", "b")), ([3, 4], ("3", "4"))]
)
def test_labels_are_names_or_a_number(labels, expected):
    assert otoscope.wrap(Gives(logits(2)), sample_rate=8000, labels=labels).labels == expected


def test_classes_that_cannot_be_counted_must_be_told():
    with pytest.raises(ParameterError, match=r"Linear fails on sounds of .* at 8000 Hz"):
        otoscope.wrap(nn.Linear(3, 2), sample_rate=8000)


@pytest.mark.parametrize("what", [lambda x: x, 3, None, "mn04_as", nn.Module])
def test_what_is_no_module_is_refused(what):
    with pytest.raises(ParameterError, match=r"wrap takes a torch nn.Module or a pipeline of transformers; got"):
        otoscope.wrap(what, sample_rate=8000, labels=2)


@pytest.mark.parametrize("rate", [0, 1, -8000, 8000.5, float("nan"), float("inf"), "fast", None])
def test_absurd_rates_are_refused(rate):
    with pytest.raises(ParameterError, match="sample_rate must be a whole number of Hz"):
        otoscope.wrap(Gives(logits(2)), sample_rate=rate, labels=2)


@pytest.mark.parametrize("labels", [0, [], ()])
def test_a_classifier_without_classes_is_refused(labels):
    with pytest.raises(ParameterError, match="at least one class"):
        otoscope.wrap(Gives(logits(2)), sample_rate=8000, labels=labels)


def test_a_classifier_stays_what_it_is():
    world = band_energy()
    assert otoscope.wrap(world, sample_rate=8000) is world


@pytest.mark.parametrize(("multilabel", "total"), [(True, None), (False, 1.0)])
def test_probabilities_are_sigmoids_or_a_softmax(multilabel, total):
    world = otoscope.wrap(Gives(logits(3)), sample_rate=8000, labels=3, multilabel=multilabel)
    scores = torch.tensor([[0.0, 2.0, -1.0], [50.0, -50.0, 0.0]])
    found = world.probabilities(scores)
    plain = scores.double().numpy()
    odds = np.exp(plain)
    expected = 1 / (1 + np.exp(-plain)) if multilabel else odds / odds.sum(1, keepdims=True)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert total is None or found.sum(1).tolist() == pytest.approx([total, total])


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (lambda x: x[:, :2], ParameterError, r"odd gives 2 scores, \(batch, 2\), but there are 3 labels"),
        (lambda x: x[0, :3], ShapeError, r"'odd' returned scores of shape \(3,\) for one waveform"),
        (lambda _: "text", ShapeError, "'odd' returned str, not a tensor of scores"),
    ],
)
def test_wrong_outputs_are_named_at_once(answer, error, words):
    with pytest.raises(error, match=words):
        otoscope.wrap(Gives(answer), sample_rate=8000, labels=3, name="odd")


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_logits_that_are_not_finite_are_named(bad):
    world = otoscope.wrap(Gives(lambda x: x[:, :3] + bad), sample_rate=8000, labels=3, name="odd", check=False)
    with pytest.raises(NonFiniteError, match="classifier 'odd' gave NaN or infinite logits"):
        world.probabilities(world(torch.zeros(2, 800)))
    with pytest.raises(NonFiniteError, match="'odd'"):
        otoscope.classify(np.zeros(800), world, sample_rate=8000)


@pytest.mark.parametrize("shape", [(800,), (1, 1, 800)])
def test_waveforms_have_two_axes(shape):
    with pytest.raises(ShapeError, match=r"takes waveforms \(batch, time\); got shape"):
        band_energy()(torch.zeros(shape))


@pytest.mark.parametrize(
    ("wanted", "label"),
    [("tone", "tone"), ("TONE", "tone"), ("Decoy", "decoy"), (1, "decoy"), ("2", "nothing"), (None, "decoy")],
)
def test_a_target_is_a_label_in_any_case_an_index_or_the_most_probable(wanted, label):
    found = band_energy().target(wanted, np.array([0.2, 0.5, 0.3]))
    assert found.label == label
    assert band_energy().labels[found.index] == label


def test_a_label_that_is_a_number_is_a_label():
    world = otoscope.wrap(Gives(logits(3)), sample_rate=8000, labels=["2", "1", "0"])
    assert world.target("2", np.ones(3)).index == 0
    assert world.target(2, np.ones(3)).index == 2


@pytest.mark.parametrize(
    ("wanted", "error", "words"),
    [
        (3, ParameterError, "target 3 is out of range: 'band_energy' has 3 classes, 0 to 2"),
        (-1, ParameterError, "target -1 is out of range"),
        ("7", ParameterError, "target 7 is out of range"),
        ("-1", ParameterError, "target -1 is out of range"),
        ("tune", UnknownNameError, "unknown label of 'band_energy' 'tune'; did you mean 'tone'"),
        ("--1", UnknownNameError, "unknown label"),
        ("²", UnknownNameError, "unknown label"),
        ("", UnknownNameError, "unknown label"),
    ],
)
def test_a_target_that_is_not_there_is_named(wanted, error, words):
    with pytest.raises(error, match=words):
        band_energy().target(wanted, np.ones(3))


def test_the_last_convolution_is_what_cam_looks_at_unless_told():
    network = nn.Sequential(nn.Conv1d(1, 2, 3), nn.Sequential(nn.Conv1d(2, 2, 3)), nn.Flatten())
    assert otoscope.wrap(network, sample_rate=8000, labels=2, check=False).cam_layer == "1.0"
    assert otoscope.wrap(network, sample_rate=8000, labels=2, check=False, cam_layer="0").cam_layer == "0"
    assert band_energy().cam_layer is None
    assert "1.0" in otoscope.wrap(network, sample_rate=8000, labels=2, check=False).layers()


def test_without_a_front_end_there_are_no_features():
    with pytest.raises(UnsupportedError, match="'band_energy' has no separate front end"):
        band_energy().features(torch.zeros(1, 800))


def test_short_sounds_are_padded_with_silence():
    world = spectral()
    assert world.minimum_length == 258
    x = torch.randn(1, 100, generator=torch.Generator().manual_seed(0))
    assert world.pad(x).shape == (1, 258)
    torch.testing.assert_close(world(x), world(torch.cat([x, torch.zeros(1, 158)], 1)))
    assert world.pad(torch.zeros(1, 300)).shape == (1, 300)


def test_the_digest_is_that_of_the_weights():
    first, same, other = spectral(0), spectral(0), spectral(1)
    assert first.digest() == same.digest() != other.digest()
    same.network[1].running_mean += 1e-3
    assert first.digest() != same.digest()
    assert len(first.digest()) == 64
