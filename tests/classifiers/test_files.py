"""Models in a file: TorchScript, exported programs, ONNX, TensorFlow Lite, and checkpoints that hold weights alone."""

from __future__ import annotations

import logging
import warnings

import numpy as np
import pytest
import torch
from torch import nn

import otoscope
from otoscope.classifiers import build
from otoscope.classifiers.weights import load_strictly
from otoscope.core.errors import OtoscopeError, ParameterError, UnknownNameError, WeightsError

RATE = 8000
OPTIONS = {"sample_rate": RATE}


class Net(nn.Module):
    def __init__(self, probabilities=False):
        super().__init__()
        torch.manual_seed(1)
        self.conv, self.head, self.probabilities = nn.Conv1d(1, 6, 64, stride=16), nn.Linear(6, 3), probabilities

    def forward(self, x):
        y = self.head(20 * self.conv(x[:, None]).relu().mean(-1))
        return y.softmax(-1) if self.probabilities else y


def noise(seconds=1.0):
    return (0.1 * np.random.default_rng(0).standard_normal(round(seconds * RATE))).astype(np.float32)


def save(path, net):
    x = torch.zeros(2, RATE)
    if path.suffix == ".pt2":
        axes = ({0: torch.export.Dim("batch", min=1, max=64), 1: torch.export.Dim("time", min=200, max=400_000)},)
        torch.export.save(torch.export.export(net.eval(), (x,), dynamic_shapes=axes), path)
    else:
        torch.jit.script(net).save(str(path))
    return path


@pytest.mark.parametrize("name", ["net.pt", "net.ts", "net.pt2"])
def test_a_file_gives_the_networks_answers(tmp_path, name):
    net = Net().eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file = save(tmp_path / name, net)
        model = otoscope.load_classifier(file, labels=["a", "b", "c"], options=OPTIONS)
    x = torch.from_numpy(noise())[None]
    assert torch.allclose(model(x), net(x), atol=1e-4)
    assert model.sample_rate == RATE
    assert model.labels == ("a", "b", "c")
    made = otoscope.explain(noise(), model, sample_rate=RATE, method="occlusion")
    record = made.record()
    assert record["model"]["origin"]["options"] == OPTIONS
    assert record["model"]["origin"]["name"] == str(file)


@pytest.mark.parametrize(
    "method", ["amt", "grad_cam,layer=0", "layer_cam,layer=0", "attention_rollout", "gradient_rollout"]
)
def test_methods_that_read_layers_refuse_torchscript_in_a_line(tmp_path, method):
    net = nn.Sequential(nn.Linear(RATE, 4), nn.ReLU(), nn.Linear(4, 2)).eval()
    torch.jit.script(net).save(str(tmp_path / "net.pt"))
    model = otoscope.load_classifier(tmp_path / "net.pt", options=OPTIONS)
    with pytest.raises(OtoscopeError, match=r"compiled \(TorchScript\)|has no convolutional layer"):
        otoscope.explain(noise(), model, sample_rate=RATE, method=method)


@pytest.mark.parametrize("freeze", [False, True])
def test_torchscript_with_batch_norm(tmp_path, freeze):
    net = nn.Sequential(nn.Unflatten(1, (1, -1)), nn.Conv1d(1, 4, 64, stride=16), nn.BatchNorm1d(4), nn.ReLU(),
                        nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(4, 3)).eval()  # fmt: skip
    net[2].running_mean += 0.2
    scripted = torch.jit.script(net)
    (torch.jit.freeze(scripted) if freeze else scripted).save(str(tmp_path / "net.pt"))
    model = otoscope.load_classifier(tmp_path / "net.pt", options=OPTIONS)
    x = torch.from_numpy(noise())[None]
    assert torch.allclose(model(x), net(x), atol=1e-5)
    otoscope.explain(noise(), model, sample_rate=RATE, method="gradient", domain="time")


def test_an_explanation_of_a_file_can_be_replayed(tmp_path):
    file = save(tmp_path / "net.pt", Net())
    model = otoscope.load_classifier(file, options=OPTIONS)
    made = otoscope.explain(noise(), model, sample_rate=RATE, method="occlusion")
    again = otoscope.replay(made.record(), audio=otoscope.load_audio(noise(), sample_rate=RATE))
    np.testing.assert_array_equal(again.attribution.values, made.attribution.values)


def test_probabilities_in_a_file_are_not_squashed_again(tmp_path):
    net = Net(probabilities=True).eval()
    model = otoscope.load_classifier(save(tmp_path / "net.pt", net), options=OPTIONS)
    x = torch.from_numpy(noise())[None]
    assert torch.allclose(model.probabilities(model(x)), net(x), atol=1e-5)


def test_a_rate_is_needed_unless_the_file_says_it(tmp_path):
    file = save(tmp_path / "net.pt", Net())
    with pytest.raises(ParameterError, match="--option sample_rate=HZ"):
        otoscope.load_classifier(file)

    class Knows(Net):
        def __init__(self):
            super().__init__()
            self.sample_rate = RATE

    assert otoscope.load_classifier(save(tmp_path / "knows.pt", Knows())).sample_rate == RATE


def test_options_go_with_files_and_have_names(tmp_path):
    file = save(tmp_path / "net.pt", Net())
    with pytest.raises(UnknownNameError, match="sample_rate"):
        otoscope.load_classifier(file, options={"samplerate": 8000})
    with pytest.raises(ParameterError, match="options go with a model file"):
        otoscope.load_classifier("esc10-mn", options=OPTIONS)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.pt", b"nothing", "not a TorchScript module or exported program"),
        ("a.pt2", b"nothing", "not a TorchScript module or exported program"),
    ],
)
def test_damaged_files_are_named(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=words):
        otoscope.load_classifier(tmp_path / name, options=OPTIONS)


@pytest.mark.parametrize("rate", ["abc", 16000.7, None])
def test_rates_that_are_none_are_refused(tmp_path, rate):
    file = save(tmp_path / "net.pt", Net())
    with pytest.raises(ParameterError, match=r"sample_rate|sample rate"):
        otoscope.load_classifier(file, options={"sample_rate": rate})


def test_weights_do_not_go_with_a_file(tmp_path):
    file = save(tmp_path / "net.pt", Net())
    with pytest.raises(ParameterError, match="holds its weights; leave out weights"):
        otoscope.load_classifier(file, "other.pt", options=OPTIONS)


@pytest.mark.parametrize("name", ["w.pt", "w.ckpt"])
def test_weights_alone_say_that_they_need_a_network(tmp_path, name):
    torch.save({"state_dict": Net().state_dict(), "epoch": 3}, tmp_path / name)
    with pytest.raises(WeightsError, match=r"holds weights but not the network.*--weights"):
        otoscope.load_classifier(tmp_path / name, options=OPTIONS)


def test_a_folder_of_hugging_face_needs_no_prefix(tmp_path, monkeypatch):
    from otoscope.classifiers import huggingface

    asked = []

    def load(source, weights, labels):
        asked.append(source)
        return build("vgg5", 2)

    monkeypatch.setattr(huggingface, "load_huggingface", load)
    (tmp_path / "config.json").write_text('{"model_type": "audio-spectrogram-transformer"}')
    otoscope.load_classifier(tmp_path)
    assert asked == [str(tmp_path)]


PREFIXES = {
    "lightning": lambda k: f"model.{k}",
    "nested": lambda k: f"model.net.{k}",
    "distributed": lambda k: f"module.{k}",
    "compiled": lambda k: f"_orig_mod.{k}",
    "all": lambda k: f"model.module._orig_mod.{k}",
    "inside": lambda k: k.replace(".", "._orig_mod.", 1),
}


@pytest.mark.parametrize("kind", PREFIXES)
@pytest.mark.parametrize("extra", [{}, {"loss.weight": torch.ones(3)}])
def test_prefixes_of_wrappers_are_taken_off_and_told(kind, extra, caplog):
    source, target = Net(), Net()
    nn.init.zeros_(target.head.weight)
    state = {**{PREFIXES[kind](k): v for k, v in source.state_dict().items()}, **extra}
    with caplog.at_level(logging.WARNING, "otoscope"):
        load_strictly(target, state, "w.ckpt")
    assert torch.equal(target.head.weight, source.head.weight)
    assert "w.ckpt" in caplog.text
    assert ("loss.weight left out" in caplog.text) == bool(extra)


@pytest.mark.parametrize(
    "state",
    [
        {"model.conv.weight": torch.zeros(6, 1, 64)},
        {**{f"model.{k}": v for k, v in Net().state_dict().items()}, "teacher.head.weight": torch.ones(1)},
        {
            **{f"a.{k}": v for k, v in Net().state_dict().items()},
            **{f"b.{k}": v for k, v in Net().state_dict().items()},
        },
    ],
)
def test_what_does_not_fit_after_that_is_refused(state):
    with pytest.raises(WeightsError, match="do not fit this network"):
        load_strictly(Net(), state, "w.ckpt")
