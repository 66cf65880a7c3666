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


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "a.onnx").write_bytes(b"nothing")
    with pytest.raises(WeightsError, match="no ONNX model"):
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
    with pytest.raises(OtoscopeError, match="no entry 'nobody'; it has y"):
        otoscope.load_classifier(tmp_path / "net.onnx", options={**OPTIONS, "output": "nobody"})
    function = ours.OnnxFunction(tmp_path / "net.onnx")
    assert list(function(noise()[None])) == ["y"]
    assert np.shape(function(noise()[None])["y"]) == (1, 3)
