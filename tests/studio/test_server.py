"""The page, errors as text, the port."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import threading

import pytest

import otoscope
from otoscope.core.errors import MissingExtraError, ParameterError
from otoscope.datasets import load_dataset
from otoscope.studio import Workspace, create_app
from otoscope.studio.server import listen


def test_the_page_asks_nothing_from_outside(client):
    page = client.get("/?token=a-token-for-tests").decode()
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)[1]
    assert policy.startswith("default-src &#39;none&#39;; script-src &#39;sha256-")
    assert "connect-src &#39;self&#39;" in policy
    assert "unsafe" not in policy
    assert not re.search(r'(src|href)="(https?:)?//', page)
    assert "a-token-for-tests" not in page
    assert "9 training, 9 validation clips" in page


def test_a_model_that_no_view_shows(serving, tones, tmp_path):
    model = otoscope.wrap_function(lambda x: abs(x[:, :2]), sample_rate=8000, labels=["a", "b"])
    client = serving(Workspace(model, {"training": load_dataset("folder", tones[1])}, tmp_path / "other"))
    page = client.get("/?token=a-token-for-tests").decode()
    assert "No view of the studio can show this model: its layers cannot be read." in page
    assert client.ask("/api/prototypes/state")[0] == 404


def test_names_from_outside_are_shown_as_text(serving, tones, tmp_path):
    model, folder = tones
    old, model.name = model.name, "<script>alert(1)</script>"
    try:
        work = Workspace(model, load_dataset("folder", folder).parts([2]), tmp_path / "s")
        page = serving(work).get("/?token=a-token-for-tests").decode()
        work.close()
    finally:
        model.name = old
    assert "<script>alert(1)" not in page


def test_an_unexpected_error_is_told_without_its_insides(client, workspace, caplog):
    workspace._opened["prototypes"].state = lambda: 1 / 0
    status, content = client.ask("/api/prototypes/state")
    assert (status, content) == (
        500,
        {"error": "unexpected ZeroDivisionError; see the log of the studio in the terminal"},
    )


def test_a_port_that_is_taken():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(
            ParameterError, match=rf"cannot listen on port {port}: .*; give another --port, or 0 for any free one"
        ):
            listen(port)
    with pytest.raises(ParameterError, match="cannot listen on port 70000"):
        listen(70000)
    free = listen(0)
    assert free.getsockname()[0] == "127.0.0.1"
    free.close()


def test_without_the_extra(workspace, monkeypatch):
    monkeypatch.setitem(sys.modules, "fastapi", None)
    with pytest.raises(MissingExtraError, match="otoscope studio needs the package 'fastapi'"):
        create_app(workspace, "token", 1)


def test_the_command_serves_and_stops(tones, tmp_path):
    """As a user starts it: the address on standard output, Ctrl-C ends it; the session is there."""
    model, folder = tones
    model.save_pretrained(tmp_path / "model")
    command = [
        sys.executable, "-m", "otoscope", "studio", "--model", str(tmp_path / "model"), "--root", str(folder), "--validation", "2",
        "--out", str(tmp_path / "out"), "--no-open",
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        timer = threading.Timer(120, process.kill)
        timer.start()
        line = process.stdout.readline()
        assert re.fullmatch(
            r"the studio is at http://127\.0\.0\.1:\d+/\?token=[\w-]{32} \(stop it with Ctrl-C\)\n", line
        ), process.stderr.read()
        process.send_signal(2)
        process.wait(60)
        timer.cancel()
        assert "Traceback" not in process.stderr.read()
    assert (tmp_path / "out" / "prototypes" / "edits.jsonl").is_file()
