"""Downloads from a server on this machine: progress kept, ranges, breaks, checksums."""

from __future__ import annotations

import hashlib
import random
import socket

import pytest

from otoscope.core.errors import DownloadError, ParameterError, WriteError
from otoscope.datasets import download as module
from otoscope.datasets.download import Remote, download

DATA = random.Random(0).randbytes(700_000)
SHA = "sha256:" + hashlib.sha256(DATA).hexdigest()
MD5 = "md5:" + hashlib.md5(DATA).hexdigest()


@pytest.fixture
def fetch(server, tmp_path):
    """`fetch()`: downloads `f.bin` without waiting between attempts."""
    server.files["f.bin"] = DATA

    def run(checksum=SHA, attempts=3, name="f.bin"):
        return download(Remote(f"{server.url}/{name}?download=1", name, checksum), tmp_path, attempts, 0.0)

    return run


def left(tmp_path):
    return sorted(p.name for p in tmp_path.iterdir())


@pytest.mark.parametrize("checksum", [SHA, MD5, ""])
def test_a_file_comes_whole(fetch, tmp_path, checksum):
    assert fetch(checksum).read_bytes() == DATA
    assert left(tmp_path) == ["f.bin"]


def test_a_file_that_is_there_is_not_fetched(fetch, server):
    fetch()
    fetch()
    assert len(server.asked) == 1


def test_a_file_that_is_there_but_damaged_is_fetched(fetch, tmp_path, server):
    (tmp_path / "f.bin").write_bytes(DATA[:-1])
    assert fetch().read_bytes() == DATA


def test_it_goes_on_after_breaks(fetch, server, tmp_path):
    server.break_after = [300_000, 100_000, 0, 0]
    assert fetch().read_bytes() == DATA
    assert [r for _, r in server.asked] == ["", "bytes=300000-", *["bytes=400000-"] * 3]
    assert left(tmp_path) == ["f.bin"]


def test_a_later_run_goes_on(fetch, server, tmp_path):
    server.break_after = [300_000, 0, 0]
    with pytest.raises(DownloadError, match=r"broke off after 300000 bytes.*300000 bytes are kept"):
        fetch(attempts=2)
    assert left(tmp_path) == ["f.bin.part", "f.bin.part.tag"]
    assert fetch().read_bytes() == DATA
    assert server.asked[-1][1] == "bytes=300000-"


def test_a_server_without_ranges_starts_again(fetch, server):
    server.ranges = False
    server.break_after = [300_000]
    assert fetch().read_bytes() == DATA


def test_another_version_of_the_file_is_not_mixed_in(fetch, server):
    server.files["f.bin"] = bytes(len(DATA))
    server.break_after = [300_000, 0]
    with pytest.raises(DownloadError):
        fetch(attempts=1)
    server.break_after.clear()
    server.files["f.bin"], server.etag = DATA, '"two"'
    assert fetch().read_bytes() == DATA


@pytest.mark.parametrize("etag", ['"one"', ""])
def test_a_part_that_is_whole_or_too_long(fetch, server, tmp_path, etag):
    server.etag = etag
    (tmp_path / "f.bin.part").write_bytes(DATA)
    assert fetch().read_bytes() == DATA
    (tmp_path / "f.bin").unlink()
    (tmp_path / "f.bin.part").write_bytes(DATA + b"more")
    assert fetch().read_bytes() == DATA


def test_a_wrong_checksum_keeps_nothing(fetch, tmp_path):
    with pytest.raises(DownloadError, match="not the file that was expected"):
        fetch("sha256:" + "0" * 64)
    assert left(tmp_path) == []


@pytest.mark.parametrize(("status", "requests"), [(404, 1), (403, 1), (503, 2)])
def test_a_server_that_refuses(fetch, server, status, requests):
    server.status = status
    with pytest.raises(DownloadError, match=str(status) if status < 500 else "Service Unavailable"):
        fetch(attempts=2)
    assert len(server.asked) == requests


def test_no_network_is_one_sentence(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(DownloadError) as caught:
        download(Remote(f"http://127.0.0.1:{port}/f.bin", "f.bin"), tmp_path, 2, 0.0)
    text = str(caught.value)
    assert text.startswith(f"could not fetch http://127.0.0.1:{port}/f.bin (")
    assert "check the network" in text
    assert "\n" not in text
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    "url", ["file:///etc/hosts", "ftp://host/f", "f.bin", "http://[bad/f", "http://", "http://h:x/f", "http://h/ü"]
)
def test_only_http(url, tmp_path):
    with pytest.raises(ParameterError, match="http"):
        download(Remote(url, "f.bin"), tmp_path)


def test_a_name_of_a_server_that_cannot_be(tmp_path):
    with pytest.raises(DownloadError, match=r"could not fetch http://a\.\.b/f"):
        download(Remote("http://a..b/f", "f.bin"), tmp_path, 1, 0.0)


def test_a_disk_that_refuses_is_no_failure_of_the_network(fetch, server, tmp_path):
    (tmp_path / "f.bin.part").mkdir()
    with pytest.raises(WriteError, match=r"f\.bin\.part"):
        fetch()
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(WriteError):
        download(Remote(f"{server.url}/f.bin", "f.bin"), tmp_path / "file" / "x", 1, 0.0)


def test_waits_between_attempts(fetch, server, monkeypatch, tmp_path):
    waited = []
    monkeypatch.setattr(module.time, "sleep", waited.append)
    server.break_after = [10, 10]
    download(Remote(f"{server.url}/f.bin", "f.bin", SHA), tmp_path)
    assert waited == [1.0, 1.0]
