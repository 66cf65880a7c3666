"""Weights in Keras' HDF5: layouts against plain loops, and files that are not what they should be."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import otoscope
from otoscope.classifiers.keras_weights import convolution, lstm, read_hdf5
from otoscope.classifiers.weights import read_state
from otoscope.core.errors import MissingExtraError, OtoscopeError, WeightsError

h5py = pytest.importorskip("h5py")
RNG = np.random.default_rng(0)


def save(path, arrays):
    with h5py.File(path, "w") as file:
        for name, value in arrays.items():
            file[name] = value
    return path


def test_arrays_are_found_by_the_last_two_parts_of_their_names(tmp_path):
    kernel = RNG.normal(size=(5, 1, 2, 3)).astype(np.float32)
    file = save(tmp_path / "w.hdf5", {"encoder/conv1/kernel:0": kernel, "out/out/bias:0": np.ones(3, np.float64)})
    found = read_state(file)
    assert set(found) == {"conv1/kernel", "out/bias"}
    assert torch.equal(found["conv1/kernel"], torch.from_numpy(kernel))
    assert found["out/bias"].dtype == torch.float32
    whole = save(
        tmp_path / "model.h5", {"model_weights/out/bias:0": np.ones(3), "optimizer_weights/bias:0": np.ones(9)}
    )
    assert set(read_hdf5(whole)) == {"out/bias"}


def test_a_kernel_does_what_it_did_in_keras():
    """Channels last, (frame, freq, in, out); each output by a loop."""
    kernel = torch.from_numpy(RNG.normal(size=(3, 5, 2, 4)).astype(np.float32))
    x = torch.from_numpy(RNG.normal(size=(7, 8, 2)).astype(np.float32))  # (frame, freq, channel)
    found = torch.nn.functional.conv2d(x.permute(2, 1, 0)[None], convolution(kernel))[0]  # (out, freq, frame)
    for frame in range(5):
        for freq in range(4):
            expected = torch.einsum("tfi,tfio->o", x[frame : frame + 3, freq : freq + 5], kernel)
            torch.testing.assert_close(found[:, freq, frame], expected, rtol=1e-4, atol=1e-5)


def test_a_transposed_kernel_does_what_it_did_in_keras():
    """(frame, freq, out, in), padding "same": each input adds its kernel around its place."""
    kernel = torch.from_numpy(RNG.normal(size=(5, 5, 3, 2)).astype(np.float32))
    x = torch.from_numpy(RNG.normal(size=(6, 7, 2)).astype(np.float32))
    expected = torch.zeros(6 + 4, 7 + 4, 3)
    for frame in range(6):
        for freq in range(7):
            expected[frame : frame + 5, freq : freq + 5] += torch.einsum("i,tfoi->tfo", x[frame, freq], kernel)
    found = torch.nn.functional.conv_transpose2d(x.permute(2, 1, 0)[None], convolution(kernel), padding=2)[0]
    torch.testing.assert_close(found.permute(2, 1, 0), expected[2:-2, 2:-2], rtol=1e-4, atol=1e-5)


def test_a_direction_of_an_lstm_does_what_it_did_in_keras():
    """Gates in the order input, forget, cell, output, linear between -2.5 and 2.5; a loop in float64."""
    from otoscope.classifiers.attention_rnn import BiLstm

    shapes = {"kernel": (3, 16), "recurrent_kernel": (4, 16), "bias": (16,)}
    state = {
        f"{way}_lstm_1/{name}": torch.from_numpy(RNG.normal(0, 2, size=shape).astype(np.float32))
        for way in ("forward", "backward")
        for name, shape in shapes.items()
    }
    layer = BiLstm(3, 4, hard=True)
    layer.load_state_dict({**lstm(state, "forward_lstm_1", ""), **lstm(state, "backward_lstm_1", "_reverse")})
    x = RNG.normal(size=(5, 3))

    def run(way, frames):
        w, u, b = (state[f"{way}_lstm_1/{name}"].double().numpy() for name in shapes)
        h, c, out = np.zeros(4), np.zeros(4), []
        for frame in frames:
            i, f, g, o = np.split(frame @ w + h @ u + b, 4)
            i, f, o = (np.clip(0.2 * gate + 0.5, 0, 1) for gate in (i, f, o))
            c = f * c + i * np.tanh(g)
            h = o * np.tanh(c)
            out.append(h)
        return np.array(out)

    expected = np.concatenate([run("forward", x), run("backward", x[::-1])[::-1]], 1)
    found = layer(torch.from_numpy(x.astype(np.float32))[None])[0]
    np.testing.assert_allclose(found.detach().numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("content", [b"", b"nothing", b"\x89HDF\r\n\x1a\n" + bytes(100)])
def test_a_damaged_file_is_named(tmp_path, content):
    file = tmp_path / "w.hdf5"
    file.write_bytes(content)
    with pytest.raises(WeightsError, match=r"w\.hdf5 cannot be read as HDF5 .*damaged or cut short"):
        read_state(file)


def test_a_file_that_is_cut_short_is_named(tmp_path):
    file = save(tmp_path / "w.hdf5", {"a/kernel:0": RNG.normal(size=(50, 50))})
    file.write_bytes(file.read_bytes()[:-5000])
    with pytest.raises(WeightsError, match="damaged or cut short"):
        read_state(file)


def test_what_leads_outside_is_refused_and_not_followed(tmp_path):
    secret = save(tmp_path / "secret.h5", {"a/kernel:0": np.ones(3)})
    links = {
        "external.h5": h5py.ExternalLink(str(secret), "/a"),
        "soft.h5": h5py.SoftLink("/a"),
    }
    for name, link in links.items():
        with h5py.File(tmp_path / name, "w") as file:
            file["out"] = link
        with pytest.raises(WeightsError, match="'out' is a link"):
            read_state(tmp_path / name)
    (tmp_path / "raw").write_bytes(np.ones(3, np.float32).tobytes())
    with h5py.File(tmp_path / "stored.h5", "w") as file:
        file.create_dataset("out/kernel", (3,), "f4", external=[(str(tmp_path / "raw"), 0, 12)])
    with h5py.File(tmp_path / "virtual.h5", "w") as file:
        layout = h5py.VirtualLayout((3,), "f8")
        layout[:] = h5py.VirtualSource(str(secret), "a/kernel:0", (3,))
        file.create_virtual_dataset("out/kernel", layout)
    for name in ("stored.h5", "virtual.h5"):
        with pytest.raises(WeightsError, match="'kernel' is stored in another file"):
            read_state(tmp_path / name)


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({}, "hold no arrays"),
        ({"a/kernel:0": np.arange(3)}, "hold no arrays"),
        ({"a/kernel:0": np.array([b"x"])}, "expected floating-point numbers"),
        ({"one/a/kernel:0": np.ones(2), "two/a/kernel:0": np.ones(2)}, "two arrays 'a/kernel'"),
    ],
)
def test_what_is_not_weights_is_refused(tmp_path, arrays, said):
    with pytest.raises(WeightsError, match=said):
        read_state(save(tmp_path / "w.h5", arrays))


def test_a_missing_extra_is_named(tmp_path, monkeypatch):
    import sys

    file = save(tmp_path / "w.h5", {"a/b:0": np.ones(2)})
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingExtraError, match="hdf5"):
        read_state(file)


def test_weights_of_another_network_are_refused(tmp_path):
    file = save(tmp_path / "w.hdf5", {"dense_1/kernel:0": np.ones((3, 4)), "dense_1/bias:0": np.ones(4)})
    for name in ("apnet_us8k", "sb_cnn_speech_commands", "attention_rnn_speech_commands"):
        with pytest.raises(OtoscopeError, match=r"no array .*dense_1/bias, dense_1/kernel.*another network"):
            otoscope.load_classifier(name, file)


def arrays_of(name, shared):
    """Name -> array of a published file."""
    found = {}
    with h5py.File(shared(f"weights/apnet/{name}.hdf5")) as file:
        file.visititems(lambda key, item: found.update({key: np.asarray(item)}) if hasattr(item, "shape") else None)
    return found


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("apnet_us8k", "us8k_fold1_refined"),
        ("sb_cnn_speech_commands", "speech_commands_sb_cnn"),
        ("attention_rnn_speech_commands", "speech_commands_attention_rnn"),
    ],
)
def test_a_file_that_lacks_an_array_or_has_one_of_another_shape_is_refused(tmp_path, shared, model, name):
    arrays = arrays_of(name, shared)
    for key in list(arrays)[::3]:
        others = {k: v for k, v in arrays.items() if k != key}
        shorter = [arrays[key][:1]] if len(arrays[key]) > 1 else []
        for changed in (others, *({**others, key: value} for value in (arrays[key][..., None], *shorter))):
            with pytest.raises(WeightsError, match=r"w\.hdf5|no array|inputs"):
                otoscope.load_classifier(model, save(tmp_path / "w.hdf5", changed))
            (tmp_path / "w.hdf5").unlink()
