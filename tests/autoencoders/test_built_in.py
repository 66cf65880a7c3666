"""The published autoencoder, by its own names, from a file and from a server; and the one in the package."""

from __future__ import annotations

import pickle
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.resources import files
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from otoscope.autoencoders import load_autoencoder
from otoscope.core import registry
from otoscope.core.errors import DownloadError, WeightsError


def convolution(name, n_out, n_in, taps):
    return {f"{name}.weight": (n_out, n_in, taps), f"{name}.bias": (n_out,)}


def residual(name, n_in, n_out):
    shapes = {}
    for block, (a, b) in {"block1": (n_in, n_out), "block2": (n_out, n_out)}.items():
        shapes |= {f"{name}.{block}.groupnorm.weight": (a,), f"{name}.{block}.groupnorm.bias": (a,)}
        shapes |= convolution(f"{name}.{block}.project", b, a, 3)
    return shapes | (convolution(f"{name}.to_out", n_out, n_in, 1) if n_in != n_out else {})


def published_shapes():
    """Names and shapes of the published checkpoint, written out from its description."""
    e, d = "autoencoder.encoder", "autoencoder.decoder"
    shapes = residual(f"{e}.to_in.block", 2, 8)
    down = [(32, 64, 5, 2), (64, 128, 5, 2), (128, 256, 5, 8), (256, 256, 3, 8), (256, 256, 3, 8), (256, 32, 3, 8)]
    for i, (n_in, n_out, taps, blocks) in enumerate(down):
        shapes |= convolution(f"{e}.downsamples.{i}.downsample", n_out, n_in, taps)
        for j in range(blocks):
            shapes |= residual(f"{e}.downsamples.{i}.blocks.{j}", n_out, n_out)
    up = [(32, 256, 0, 8), (256, 256, 0, 8), (256, 256, 0, 8), (256, 128, 4, 8), (128, 64, 4, 2), (64, 32, 4, 2)]
    for i, (n_in, n_out, taps, blocks) in enumerate(up):
        for j in range(blocks):
            shapes |= residual(f"{d}.upsamples.{i}.blocks.{j}", n_in, n_in)
        name = f"{d}.upsamples.{i}.upsample"  # a transposed convolution has its inputs first
        shapes |= {f"{name}.weight": (n_in, n_out, taps) if taps else (n_out, n_in, 3), f"{name}.bias": (n_out,)}
    return shapes | residual(f"{d}.to_out.block", 8, 2)


@pytest.fixture(scope="module")
def state():
    rng = torch.Generator().manual_seed(0)
    return {name: 0.02 * torch.randn(shape, generator=rng) for name, shape in published_shapes().items()}


def test_the_names_are_as_many_as_the_numbers_say(state):
    assert sum(v.numel() for v in state.values()) == 20_770_642


@pytest.mark.parametrize("kind", ["bin", "safetensors", "in a checkpoint", "without prefix"])
def test_the_published_file_loads_by_its_own_names(tmp_path, state, kind):
    file = tmp_path / "weights.bin"
    if kind == "safetensors":
        file = tmp_path / "weights.safetensors"
        save_file(state, file)
    elif kind == "without prefix":
        torch.save({k.removeprefix("autoencoder."): v for k, v in state.items()}, file)
    else:
        torch.save({"state_dict": state} if kind == "in a checkpoint" else state, file)
    found = load_autoencoder("archisound", file)
    own = found.network.state_dict()
    assert {f"autoencoder.{k}" for k in own} == set(state)
    assert all(torch.equal(v, state[f"autoencoder.{k}"]) for k, v in own.items())
    assert (found.name, found.sample_rate, found.config.in_channels) == ("archisound", 48000, 2)
    assert not found.training
    assert found.info["licence"] == "not recorded"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"autoencoder.encoder.to_in.block.to_out.weight": torch.zeros(8, 1, 1)}, r"\(8, 1, 1\), expected \(8, 2, 1\)"),
        ({"autoencoder.decoder.upsamples.5.upsample.bias": None}, r"1 missing \(decoder.upsamples.5.upsample.bias\)"),
        ({"autoencoder.decoder.to_in.weight": torch.zeros(1)}, r"1 unknown \(decoder.to_in.weight\)"),
        ({"step": torch.zeros(1)}, "missing"),
    ],
)
def test_weights_that_do_not_fit_are_named(tmp_path, state, change, words):
    torch.save({k: v for k, v in {**state, **change}.items() if v is not None}, tmp_path / "w.bin")
    with pytest.raises(
        WeightsError, match=f"do not fit this network: .*{words}.*does the autoencoder have the same shape"
    ):
        load_autoencoder("archisound", tmp_path / "w.bin")


class RunsCode:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (Path(self.path),)


def test_code_in_a_pickle_is_refused_and_does_not_run(tmp_path):
    trace = tmp_path / "ran"
    for save in (torch.save, lambda x, p: Path(p).write_bytes(pickle.dumps(x))):
        save({"weight": RunsCode(str(trace))}, tmp_path / "pytorch_model.bin")
        with pytest.raises(WeightsError, match="holds Python code"):
            load_autoencoder("archisound", tmp_path / "pytorch_model.bin")
        assert not trace.exists()


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(WeightsError, match=r"gone.bin does not exist"):
        load_autoencoder("archisound", tmp_path / "gone.bin")


@pytest.fixture
def server(monkeypatch, tmp_path):
    """A server on this machine in the publisher's place, with what it holds and what it was asked."""
    contents, asked = {}, []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            content = contents.get(self.path)
            if content is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    http = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OTOSCOPE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OTOSCOPE_RELEASES", f"http://127.0.0.1:{http.server_port}")
    yield contents, asked
    http.shutdown()
    http.server_close()
    thread.join()


def test_the_published_one_is_fetched_once(server, tmp_path, state):
    contents, asked = server
    torch.save(state, tmp_path / "w.bin")
    contents["/pytorch_model.bin"] = (tmp_path / "w.bin").read_bytes()
    for _ in range(2):
        found = load_autoencoder("archisound")
        assert torch.equal(
            found.network.encoder.to_in.block.to_out.bias, state["autoencoder.encoder.to_in.block.to_out.bias"]
        )
    assert asked == ["/pytorch_model.bin"]
    assert [f.name for f in (tmp_path / "cache" / "weights").iterdir()] == ["archisound-autoencoder1d-AT-v1.bin"]


def test_a_server_without_it_says_what_to_do(server, tmp_path):
    with pytest.raises(DownloadError, match=r"pytorch_model.bin .*Not Found.*download it elsewhere"):
        load_autoencoder("archisound")
    assert not list((tmp_path / "cache").rglob("*.bin"))


@pytest.mark.parametrize("name", ["esc10-mn", "archisound"])
def test_facts_of_the_registry_are_those_of_the_network(name, tmp_path, state):
    facts = registry.get("autoencoder", name).facts
    if name == "esc10-mn":
        if not (files("otoscope.autoencoders") / "assets" / name / "config.json").is_file():
            pytest.skip("the autoencoder of the package is not here yet")
        made = load_autoencoder(name)
    else:
        torch.save(state, tmp_path / "w.bin")
        made = load_autoencoder(name, tmp_path / "w.bin")
    assert made.name == name
    assert made.sample_rate == facts["sample_rate"]
    assert made.info["licence"] == facts["licence"]


def test_the_one_in_the_package_is_small_and_tuned_to_its_classifier(esc10_mn):
    folder = Path(str(files("otoscope.autoencoders") / "assets" / "esc10-mn"))
    if not (folder / "config.json").is_file():
        pytest.skip("the autoencoder of the package is not here yet")
    made = load_autoencoder()
    assert made.mismatch(esc10_mn) is None
    assert sum(f.stat().st_size for f in folder.iterdir()) <= 4_000_000
    assert sum(p.numel() for p in made.parameters()) <= 2_000_000
    assert made.config.in_channels == 1
