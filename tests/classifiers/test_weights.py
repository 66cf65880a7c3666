from __future__ import annotations

import hashlib
import os
import pickle
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import otoscope
from otoscope.classifiers.mn import MN
from otoscope.classifiers.weights import fetch, load_strictly, read_state
from otoscope.core import registry
from otoscope.core.errors import DownloadError, WeightsError
from otoscope.core.files import cache_folder


class RunsCode:
    """Unpickling this makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (Path(self.path),)


@pytest.mark.parametrize(
    "save", [torch.save, lambda x, p: Path(p).write_bytes(pickle.dumps(x))], ids=["torch", "pickle"]
)
@pytest.mark.parametrize(
    "inside", [lambda c: c, lambda c: {"weight": torch.ones(2), "extra": c}], ids=["bare", "in a dict"]
)
def test_a_pickle_with_code_is_refused_and_does_not_run(tmp_path, save, inside):
    file, trace = tmp_path / "evil.pt", tmp_path / "ran"
    save(inside(RunsCode(str(trace))), file)
    with pytest.raises(WeightsError, match=r"evil.pt were refused: .* holds Python code"):
        read_state(file)
    assert not trace.exists()
    pickle.loads(pickle.dumps(RunsCode(str(trace))))
    assert trace.exists(), "the trap itself works"


def state():
    return {"weight": torch.arange(6.0).reshape(3, 2), "bias": torch.zeros(3)}


@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: {"state_dict": s, "epoch": 3}, lambda s: {"model": s}])
def test_a_torch_checkpoint_is_read(tmp_path, wrap):
    torch.save(wrap(state()), tmp_path / "w.pt")
    found = read_state(tmp_path / "w.pt")
    assert {k: v.tolist() for k, v in found.items()} == {k: v.tolist() for k, v in state().items()}


def test_safetensors_are_read(tmp_path):
    save_file(state(), str(tmp_path / "w.safetensors"))
    network = nn.Linear(2, 3)
    load_strictly(network, read_state(tmp_path / "w.safetensors"), "w")
    assert network.weight.tolist() == state()["weight"].tolist()


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.98])
def test_a_truncated_file_is_named(tmp_path, suffix, share):
    file = tmp_path / f"w.{suffix}"
    big = {"weight": torch.randn(50, 50)}
    torch.save(big, file) if suffix == "pt" else save_file(big, str(file))
    whole = file.read_bytes()
    file.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(WeightsError, match=rf"w\.{suffix} (cannot be read|were refused)"):
        read_state(file)


@pytest.mark.parametrize("content", [b"this is no checkpoint\n", b"\x80\x02.", b"{}", os.urandom(200)])
def test_a_file_of_something_else_is_named(tmp_path, content):
    for name in ("w.pt", "w.safetensors"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(WeightsError, match=name):
            read_state(tmp_path / name)


@pytest.mark.parametrize(("content", "kind"), [(b"", "EOFError"), (b"hello e", "KeyError")])
def test_a_damaged_checkpoint_is_called_so(tmp_path, content, kind):
    (tmp_path / "w.pt").write_bytes(content)
    with pytest.raises(WeightsError, match=rf"the file is damaged or not a checkpoint \({kind}\)$"):
        read_state(tmp_path / "w.pt")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (torch.ones(3), "hold Tensor, not a state_dict"),
        ([1, 2], "hold list"),
        ({"a": 3}, "hold dict"),
        ({}, "hold dict"),
        ({1: torch.ones(2)}, r"have a key that is not a string \(1\)"),
        ({"w": torch.eye(3).to_sparse()}, "w is sparse"),
        ({"w": torch.ones(2, device="meta")}, r"w is .* without values \(meta\)"),
    ],
)
def test_what_is_no_state_dict_is_named(tmp_path, content, words):
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(WeightsError, match=words):
        read_state(tmp_path / "w.pt")


def test_a_folder_and_a_missing_file_are_named(tmp_path):
    with pytest.raises(WeightsError, match=r"is a folder; give a .safetensors file or a torch state_dict"):
        read_state(tmp_path)
    with pytest.raises(WeightsError, match=r"gone.pt does not exist; give"):
        read_state(tmp_path / "gone.pt")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"weight": torch.zeros(4, 2)}, r"1 of another shape \(weight is \(4, 2\), expected \(3, 2\)\)"),
        (
            {"bias": torch.zeros(3, dtype=torch.complex64)},
            r"1 of another kind .*\(bias is complex64, expected float32\)",
        ),
        ({"weight": torch.ones(3, 2).to(torch.int8)}, r"1 of another kind .*\(weight is int8, expected float32\)"),
        ({"bias": torch.zeros(3, dtype=torch.bool)}, r"1 of another kind .*\(bias is bool, expected float32\)"),
        ({"bias": None}, r"1 missing \(bias\)"),
        ({"extra.a": torch.zeros(1), "extra.b": torch.zeros(1)}, r"2 unknown \(extra.a, extra.b\)"),
    ],
)
def test_what_does_not_fit_is_listed_and_nothing_is_loaded(change, words):
    network = nn.Linear(2, 3)
    before = network.weight.tolist()
    wrong = {k: v for k, v in {**state(), **change}.items() if v is not None}
    with pytest.raises(
        WeightsError, match=f"weights theirs do not fit this network: {words}; is it the right model name"
    ):
        load_strictly(network, wrong, "theirs")
    assert network.weight.tolist() == before


def test_floating_numbers_of_another_precision_fit():
    network = nn.Linear(2, 3)
    load_strictly(network, {k: v.half() for k, v in state().items()}, "w")
    assert network.weight.dtype == torch.float32
    assert network.weight.tolist() == state()["weight"].tolist()


def test_weights_of_another_width_name_the_first_mismatches(tmp_path):
    torch.save(MN(527, 0.5).state_dict(), tmp_path / "w.pt")
    with pytest.raises(WeightsError, match=r"features.*is \(.*expected \(.*is it the right model name"):
        otoscope.load_classifier("mn04_as", tmp_path / "w.pt")


# Fetching.


class Server:
    """A server on this machine that remembers what it was asked."""

    def __init__(self):
        self.files: dict[str, bytes] = {}
        self.cut: dict[str, int] = {}
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked.append(self.path)
                content = outer.files.get(self.path)
                if content is None:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content[: len(content) - outer.cut.get(self.path, 0)])

            def log_message(self, *_):
                pass

        self.http = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def close(self):
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


@pytest.fixture
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("OTOSCOPE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "weights"


@pytest.fixture
def server(monkeypatch, cache):
    made = Server()
    monkeypatch.setenv("OTOSCOPE_RELEASES", made.url)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    yield made
    made.close()


def nothing_left(cache) -> bool:
    return not cache.exists() or list(cache.iterdir()) == []


def test_a_file_is_fetched_once(server, cache):
    server.files["/w.pt"] = b"x" * 600_000
    digest = hashlib.sha256(server.files["/w.pt"]).hexdigest()
    for _ in range(2):
        assert fetch(f"{server.url}/w.pt", "w.pt", digest) == cache / "w.pt"
    assert (cache / "w.pt").read_bytes() == server.files["/w.pt"]
    assert server.asked == ["/w.pt"]
    assert [p.name for p in cache.iterdir()] == ["w.pt"]


def test_the_wrong_file_is_not_kept(server, cache):
    server.files["/w.pt"] = b"something else"
    with pytest.raises(DownloadError, match=r"w.pt is not the file that was expected \(SHA-256 .*nothing was kept"):
        fetch(f"{server.url}/w.pt", "w.pt", "0" * 64)
    assert nothing_left(cache)


@pytest.mark.parametrize("sent", [0, 100, 400_000])
def test_a_transfer_that_breaks_off_is_not_kept(server, cache, sent):
    server.files["/w.pt"], server.cut["/w.pt"] = b"x" * 600_000, 600_000 - sent
    with pytest.raises(DownloadError, match=rf"stopped after {sent} of 600000 bytes; try again"):
        fetch(f"{server.url}/w.pt", "w.pt")
    assert nothing_left(cache)
    server.cut.clear()
    assert fetch(f"{server.url}/w.pt", "w.pt").stat().st_size == 600_000


def test_a_file_that_the_server_does_not_have_is_named(server, cache):
    with pytest.raises(
        DownloadError, match=r"could not fetch http.*/w.pt \(.*Not Found.*\); check the network, or download"
    ):
        fetch(f"{server.url}/w.pt", "w.pt")
    assert nothing_left(cache)


def test_without_a_server_it_says_what_to_do(server, cache):
    server.close()
    with pytest.raises(DownloadError, match=r"refused.*pass it with --weights FILE \(or put it at .*w.pt\)"):
        fetch(f"{server.url}/w.pt", "w.pt")
    assert nothing_left(cache)
    server.__init__()


@pytest.mark.parametrize("url", ["nonsense", "http://", "ftp2://x/w.pt"])
def test_an_address_that_is_none_is_named(cache, url):
    with pytest.raises(DownloadError, match="could not fetch"):
        fetch(url, "w.pt")
    assert nothing_left(cache)


def test_a_cache_that_cannot_be_written_is_named(server, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("OTOSCOPE_CACHE", str(tmp_path / "file"))
    server.files["/w.pt"] = b"x"
    with pytest.raises(otoscope.OtoscopeError, match="choose another folder"):
        fetch(f"{server.url}/w.pt", "w.pt")


def test_the_cache_is_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("OTOSCOPE_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"
    monkeypatch.delenv("OTOSCOPE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "otoscope"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "otoscope"


def test_published_names_are_fetched_and_load(server, cache, tmp_path):
    torch.manual_seed(1)
    network = MN(527, 0.5)
    torch.save(network.state_dict(), tmp_path / "w.pt")
    server.files["/mn05_as_mAP_443.pt"] = (tmp_path / "w.pt").read_bytes()
    for _ in range(2):
        model = otoscope.load_classifier("mn05_as")
    assert server.asked == ["/mn05_as_mAP_443.pt"]
    assert model.info["weights"] == "mn05_as_mAP_443.pt"
    assert torch.equal(model.network.classifier[5].weight, network.classifier[5].weight)
    assert not model.training


def test_a_published_name_without_network_says_what_to_do(server, cache):
    with pytest.raises(DownloadError, match=r"mn10_as_mAP_471.pt .*--weights FILE"):
        otoscope.load_classifier("mn10_as")


def test_the_published_checkpoint_is_the_one_that_is_here(shared):
    file = shared("weights/mn04_as_mAP_432.pt")
    facts = registry.get("classifier", "mn04_as").facts
    assert facts["file"] == file.name
    assert hashlib.sha256(file.read_bytes()).hexdigest() == facts["sha256"]
