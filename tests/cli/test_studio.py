"""`otoscope studio`: what is wrong is said before anything is served. How it serves is in tests/studio."""

from __future__ import annotations

import socket

import pytest

from prototype_worlds import tone_network, write_tones


@pytest.fixture(scope="module")
def tones(tmp_path_factory):
    """Folders of a model and of its clips."""
    folder = tmp_path_factory.mktemp("tones")
    model, _ = tone_network(write_tones(folder / "clips"))
    model.save_pretrained(folder / "model")
    return folder / "model", folder / "clips"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--model", "{model}"], "--root"),
        (["--root", "{clips}"], "--model"),
        (["--model", "nowhere", "--root", "{clips}"], "nowhere"),
        (["--model", "{model}", "--root", "{clips}", "--validation", "7"], "has folds [1, 2]; got [7]"),
        (["--model", "{model}", "--root", "{clips}", "--port", "70000"], "70000"),
        (["--model", "{model}", "--root", "{clips}", "--data", "nothing"], "unknown dataset 'nothing'"),
    ],
)
def test_bad_input_is_one_line(otoscope, tones, tmp_path, arguments, said):
    model, clips = tones
    out = tmp_path / "out"
    run = otoscope("studio", *(a.format(model=model, clips=clips) for a in arguments), "--out", out, "--no-open")
    assert run.code == 2
    assert said in run.errors[-1]
    assert "Traceback" not in run.err


def test_a_port_that_is_taken(otoscope, tones, tmp_path):
    model, clips = tones
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        run = otoscope(
            "studio", "--model", model, "--root", clips, "--port", port, "--out", tmp_path / "o", "--no-open"
        )
    assert run.code == 2
    assert f"cannot listen on port {port}" in run.errors[-1]


def test_a_folder_that_cannot_be_written(otoscope, tones, tmp_path):
    model, clips = tones
    (tmp_path / "file").write_text("")
    run = otoscope("studio", "--model", model, "--root", clips, "--out", tmp_path / "file", "--no-open")
    assert run.code == 2
    assert "choose another folder" in run.errors[-1]
