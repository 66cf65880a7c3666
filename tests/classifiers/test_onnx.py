"""ONNX files, run by onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import otoscope
from classifiers.test_files import OPTIONS, RATE, Net, noise
from otoscope.classifiers import onnx as ours
from otoscope.core.errors import OtoscopeError, WeightsError

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def write_onnx(path, net, extra=()):
    """The same network written by hand, since torch's exporter needs another package."""
    from onnx import TensorProto, helper, numpy_helper

    value = {k: v.detach().numpy() for k, v in net.state_dict().items()}
    constants = [numpy_helper.from_array(v, k) for k, v in value.items()]
    constants += [
        numpy_helper.from_array(np.array([1], np.int64), "one"),
        numpy_helper.from_array(np.array(20, np.float32), "gain"),
    ]
    nodes = [
        helper.make_node("Unsqueeze", ["x", "one"], ["a"]),
        helper.make_node("Conv", ["a", "conv.weight", "conv.bias"], ["b"], strides=[16]),
        helper.make_node("Relu", ["b"], ["c"]),
        helper.make_node("ReduceMean", ["c"], ["d"], axes=[2], keepdims=0),
        helper.make_node("Mul", ["d", "gain"], ["e"]),
        helper.make_node("Gemm", ["e", "head.weight", "head.bias"], ["y"], transB=1),
    ]
    given = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", "time"]), *extra]
    graph = helper.make_graph(
        nodes, "net", given, [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 3])], constants
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, path)


def test_a_file_gives_the_networks_answers_and_no_gradients(tmp_path):
    net = Net().eval()
    write_onnx(tmp_path / "net.onnx", net)
    model = otoscope.load_classifier(tmp_path / "net.onnx", labels=["a", "b", "c"], options=OPTIONS)
    x = torch.from_numpy(noise())[None]
    assert torch.allclose(model(x), net(x), atol=1e-4)
    assert not model.differentiable
    assert model.sample_rate == RATE
    otoscope.explain(noise(), model, sample_rate=RATE, method="occlusion")


def test_a_network_that_converts_and_agrees_gives_gradients(tmp_path, monkeypatch):
    net = Net().eval()
    write_onnx(tmp_path / "net.onnx", net)
    import sys
    import types

    monkeypatch.setitem(sys.modules, "onnx2torch", types.SimpleNamespace(convert=lambda _path: net))
    assert otoscope.load_classifier(tmp_path / "net.onnx", options=OPTIONS).differentiable
    other = Net().eval()
    torch.nn.init.ones_(other.head.weight)
    monkeypatch.setitem(sys.modules, "onnx2torch", types.SimpleNamespace(convert=lambda _path: other))
    assert not otoscope.load_classifier(tmp_path / "net.onnx", options=OPTIONS).differentiable


def test_a_file_with_more_inputs_names_them(tmp_path):
    state = onnx.helper.make_tensor_value_info("state", onnx.TensorProto.FLOAT, [2, 128])
    write_onnx(tmp_path / "net.onnx", Net(), [state])
    with pytest.raises(OtoscopeError, match=r"but x .*state \[2, 128\]; .*wrap_function"):
        otoscope.load_classifier(tmp_path / "net.onnx", options=OPTIONS)


def write_state(path, time="time", batch="batch", sr=True, metadata=None, state=None, rate_type="INT64"):
    """A running mean of the power of what is given, which is a state, in units of the rate."""
    from onnx import TensorProto, helper, numpy_helper

    nodes = [
        helper.make_node("Mul", ["x", "x"], ["square"]),
        helper.make_node("ReduceMean", ["square"], ["power"], axes=[1], keepdims=1),
        helper.make_node("Mul", ["state", "half"], ["old"]),
        helper.make_node("Add", ["old", "power"], ["stateN"]),
        helper.make_node("Cast", ["sr"], ["rate"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["stateN", "rate"], ["score"]),
    ]
    given = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, time]),
        helper.make_tensor_value_info("state", TensorProto.FLOAT, [batch, 1] if state is None else state),
    ]
    constants = [numpy_helper.from_array(np.array(0.5, np.float32), "half")]
    if sr:
        given.insert(1, helper.make_tensor_value_info("sr", getattr(TensorProto, rate_type), []))
    else:
        constants.append(numpy_helper.from_array(np.array(8000, np.int64), "sr"))
    found = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, 1]) for name in ("score", "stateN")]
    graph = helper.make_graph(nodes, "net", given, found, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    for key, value in (metadata or {}).items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    onnx.save(model, path)


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ({}, {"chunk": 100}),
        ({"sr": False}, {"chunk": 100, "context": 20}),
        ({"time": 100}, {}),
        ({"time": 120, "batch": 1}, {"context": 20}),
    ],
)
def test_a_state_is_kept_from_chunk_to_chunk_and_cleared_before_each_sound(tmp_path, shape, said):
    write_state(tmp_path / "net.onnx", **shape)
    options = {**OPTIONS, "pool": "max", "outputs": "logits", **said}
    model = otoscope.load_classifier(tmp_path / "net.onnx", labels=["sound"], options=options)
    assert model.doubts == ()
    sounds = np.stack([noise(0.1), 2 * noise(0.1)])[:, :750]
    context, expected = said.get("context", 0), []
    for sound in sounds:
        memory, frames = 0.0, []
        padded = np.concatenate([np.zeros(context), sound, np.zeros(50)])
        for i in range(8):
            memory = 0.5 * memory + (padded[100 * i : 100 * i + 100 + context] ** 2).mean()
            frames.append(8000 * memory)
        expected.append(frames)
    frames = model.frame_logits(torch.from_numpy(sounds))
    np.testing.assert_allclose((frames[..., 1] - frames[..., 0]).numpy(), expected, rtol=1e-4)
    again = model.frame_logits(torch.from_numpy(sounds[::-1].copy()))
    np.testing.assert_array_equal(again.numpy()[::-1], frames.numpy())


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({}, r"keeps a state \(state\) from one chunk .*--option chunk=512"),
        ({"chunk": 100}, "scores chunks of 100 samples; choose how .*--option pool=max"),
        ({"chunk": 0, "pool": "max"}, "chunk must be a whole number of samples"),
        (
            {"context": 64, "chunk": 512, "pool": "max", "output": "scores"},
            "no output 'scores'; it has score, stateN, numbered from 0",
        ),
    ],
)
def test_a_state_about_which_too_little_is_said(tmp_path, said, words):
    write_state(tmp_path / "net.onnx")
    with pytest.raises(OtoscopeError, match=words):
        otoscope.load_classifier(tmp_path / "net.onnx", options={**OPTIONS, **said})


@pytest.mark.parametrize(
    ("options", "metadata", "rate_type"),
    [
        ({}, {"sample_rate": "8000"}, "INT64"),
        ({"sample_rate": "8000"}, {}, "INT64"),
        ({"sample_rate": np.int64(8000)}, {}, "INT32"),
        ({"sample_rate": 8000.0}, {"sample_rate": "16000"}, "FLOAT"),
    ],
)
def test_a_file_is_told_the_rate_at_which_it_listens(tmp_path, options, metadata, rate_type):
    write_state(tmp_path / "net.onnx", metadata=metadata, rate_type=rate_type)
    said = {"chunk": 100, "pool": "max", "outputs": "logits", **options}
    model = otoscope.load_classifier(tmp_path / "net.onnx", labels=["sound"], options=said)
    assert model.sample_rate == 8000
    logits = model.frame_logits(torch.ones(1, 100))[0, 0]
    assert float(logits[1] - logits[0]) == pytest.approx(8000)


def test_a_rate_that_is_nowhere_is_asked_for(tmp_path):
    write_state(tmp_path / "net.onnx")
    with pytest.raises(OtoscopeError, match="takes its sample rate as an input and does not state it"):
        otoscope.load_classifier(tmp_path / "net.onnx", options={"chunk": 100, "pool": "max"})


@pytest.mark.parametrize("state", [["batch", "past"], ["past", 1], [1, 2, "other"]])
def test_a_state_of_unknown_size_is_refused(tmp_path, state):
    write_state(tmp_path / "net.onnx", state=state)
    with pytest.raises(OtoscopeError, match="does not take one waveform"):
        otoscope.load_classifier(tmp_path / "net.onnx", options={**OPTIONS, "chunk": 100, "pool": "max"})


def test_a_whole_number_that_is_not_the_rate_is_refused(tmp_path):
    length = onnx.helper.make_tensor_value_info("length", onnx.TensorProto.INT64, [1])
    write_onnx(tmp_path / "net.onnx", Net(), [length])
    with pytest.raises(OtoscopeError, match=r"but x .*length \[1\]"):
        otoscope.load_classifier(tmp_path / "net.onnx", options=OPTIONS)


@pytest.mark.parametrize("context", ["abc", None, 1000, -1])
def test_a_context_that_is_none(tmp_path, context):
    write_state(tmp_path / "net.onnx", time=100)
    with pytest.raises(OtoscopeError, match="context must be"):
        otoscope.load_classifier(tmp_path / "net.onnx", options={**OPTIONS, "context": context, "pool": "max"})


def test_the_output_is_part_of_the_digest(tmp_path):
    write_onnx(tmp_path / "net.onnx", Net().eval())
    model = onnx.load(tmp_path / "net.onnx")
    model.graph.output.append(onnx.helper.make_tensor_value_info("d", onnx.TensorProto.FLOAT, ["batch", 6]))
    onnx.save(model, tmp_path / "net.onnx")
    first, second = (
        otoscope.load_classifier(tmp_path / "net.onnx", options={**OPTIONS, "output": name}) for name in ("y", "d")
    )
    assert (len(first.labels), len(second.labels)) == (3, 6)
    assert first.digest() != second.digest()


@pytest.mark.parametrize(
    ("metadata", "labels"),
    [
        ({"labels": '["dog", "cat", "cow"]'}, ("dog", "cat", "cow")),
        ({"names": "{0: 'dog', 2: 'cow', 1: 'cat'}"}, ("dog", "cat", "cow")),
        ({"id2label": '{"0": "dog", "1": "cat", "2": "cow"}'}, ("dog", "cat", "cow")),
        ({"classes": "dog\ncat\ncow\n"}, ("dog", "cat", "cow")),
        ({"classes": "dog, cat, cow"}, ("dog", "cat", "cow")),
        ({"names": "{0: 'dog', 0.5: 'cow'}", "author": "me"}, ("class 0", "class 1", "class 2")),
        ({"labels": '["dog", "cat"]'}, ("class 0", "class 1", "class 2")),
        ({"labels": '["dog", "dog", "cow"]'}, ("class 0", "class 1", "class 2")),
        ({"classes": "3"}, ("class 0", "class 1", "class 2")),
        ({"labels": "null"}, ("class 0", "class 1", "class 2")),
        ({"labels": "{[1]: 2}"}, ("class 0", "class 1", "class 2")),
        ({"labels": '{"' + "9" * 5000 + '": "a"}'}, ("class 0", "class 1", "class 2")),
        ({"sample_rate": "8000"}, ("class 0", "class 1", "class 2")),
    ],
)
def test_labels_in_the_file(tmp_path, metadata, labels):
    write_onnx(tmp_path / "net.onnx", Net().eval())
    model = onnx.load(tmp_path / "net.onnx")
    onnx.helper.set_model_props(model, metadata)
    onnx.save(model, tmp_path / "net.onnx")
    assert otoscope.load_classifier(tmp_path / "net.onnx", options=OPTIONS).labels == labels
    own = otoscope.load_classifier(tmp_path / "net.onnx", labels=["a", "b", "c"], options=OPTIONS)
    assert own.labels == ("a", "b", "c")


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "a.onnx").write_bytes(b"nothing")
    with pytest.raises(WeightsError, match="cannot be read as an ONNX model"):
        otoscope.load_classifier(tmp_path / "a.onnx", options=OPTIONS)


def test_files_have_digests_of_their_own(tmp_path):
    write_onnx(tmp_path / "a.onnx", Net())
    changed = Net()
    torch.nn.init.ones_(changed.head.weight)
    write_onnx(tmp_path / "b.onnx", changed)
    a, b = (otoscope.load_classifier(tmp_path / f"{n}.onnx", options=OPTIONS) for n in "ab")
    assert a.digest() != b.digest()


def test_the_chosen_output_is_read(tmp_path):
    write_onnx(tmp_path / "net.onnx", Net())
    with pytest.raises(OtoscopeError, match="no output 'nobody'; it has y"):
        otoscope.load_classifier(tmp_path / "net.onnx", options={**OPTIONS, "output": "nobody"})
    function = ours.OnnxFunction(tmp_path / "net.onnx")
    assert list(function(noise()[None])) == ["y"]
    assert np.shape(function(noise()[None])["y"]) == (1, 3)
