"""`otoscope data`: the list, get and check with their exit codes."""

from __future__ import annotations

import json
import socket

import pytest

from otoscope.core import registry

SCENES = "scenes,clips=2,seconds=0.1,sample_rate=8000,kinds=rain+bell"


@pytest.fixture
def folder(tmp_path, wav):
    """A folder of two clips with a table."""
    for name in ("a.wav", "b.wav"):
        wav(f"clips/{name}", samples=[[0.1, 0.2, 0.3 if name == "a.wav" else 0.4]])
    (tmp_path / "clips" / "metadata.csv").write_text("file,label,fold\na.wav,dog,1\nb.wav,cat,2\n")
    return tmp_path / "clips"


def test_the_list_is_the_registry(otoscope):
    run = otoscope("data")
    assert (run.code, run.err) == (0, "")
    starts = [line.split()[0] for line in run.out.splitlines()[1:] if not line.startswith(" ")]
    assert starts == registry.names("dataset")
    assert "[esc10=False]" in run.out
    head, esc50 = run.out.splitlines()[:2]
    assert head.split("  ")[-1] == "description [settings and defaults] (licence)"
    assert [esc50[head.index(c) :].split()[0] for c in ("classes", "clips", "Hz", "download", "description")] == [
        "50", "2000", "44100", "yes", "Environmental",
    ]  # fmt: skip
    assert "(your own)" in run.out
    run = otoscope("data", "--json")
    assert [row["name"] for row in run.json] == starts
    assert all(
        {"licence", "sample_rate", "classes", "clips", "needs_download", "hosted"} <= set(row) for row in run.json
    )


@pytest.mark.parametrize("command", [["get"], ["check"]])
def test_help(otoscope, command):
    run = otoscope("data", *command, "--help")
    assert run.code == 0
    assert "--dir" in run.out


def test_get_makes_scenes_and_says_the_licence(otoscope):
    run = otoscope("data", "get", SCENES, "--dir", "out")
    assert (run.code, run.err) == (0, "")
    assert run.out == "scenes: 2 clips in out (already complete)\nlicence: CC0 (made by code)\n"
    assert otoscope("data", "check", SCENES, "--dir", "out").out == "scenes: 2 clips in out: ok\n"


def test_get_without_a_network(otoscope):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    from otoscope.datasets import download

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(download.time, "sleep", lambda _: None)
        run = otoscope("data", "get", "fsdd", "--dir", "out", "--mirror", f"http://127.0.0.1:{port}")
    assert (run.code, run.out) == (2, "")
    assert run.error.startswith(
        f"otoscope: could not fetch http://127.0.0.1:{port}/free-spoken-digit-dataset-1.0.10.tar.gz ("
    )


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["get", "esc5", "--dir", "out"], "did you mean 'esc50'"),
        (["get", "esc50"], "--dir"),
        (["get", "instruments", "--dir", "out"], "has no known download"),
        (["check", "esc50", "--dir", "missing"], "missing is not there"),
        (["check", "esc50,nonsense=1", "--dir", "."], "unknown parameter"),
        (["chek"], "No such command"),
    ],
)
def test_wrong_usage_is_2(otoscope, arguments, match):
    run = otoscope("data", *arguments)
    assert run.code == 2
    assert match in run.err
    assert "Traceback" not in run.err


def test_check_is_0_or_1(otoscope, folder):
    run = otoscope("data", "check", "folder", "--dir", folder)
    assert (run.code, run.err) == (0, "")
    assert run.out == f"clips: 2 clips in {folder}: ok\n"
    (folder / "a.wav").unlink()
    (folder / "b.wav").write_bytes(b"x")
    for i in range(7):
        (folder / f"extra{i}.wav").write_bytes(b"x")
    run = otoscope("data", "check", "folder", "--dir", folder)
    assert (run.code, run.err) == (1, "")
    lines = run.out.splitlines()
    assert lines[0].endswith(": problems")
    assert lines[1:3] == ["missing: files are missing (1)", "  a.wav: the file is not there"]
    assert lines[3] == "extra: sound files are not in the tables (7)"
    assert lines[9] == "  and 2 more; --json lists all"
    assert lines[10] == "damaged: files are damaged (1)"
    assert otoscope("data", "check", "folder", "--dir", folder, "--quick").out.count("damaged") == 0


def test_check_as_json(otoscope, folder):
    (folder / "a.wav").unlink()
    run = otoscope("data", "check", "folder", "--dir", folder, "--json")
    assert run.code == 1
    assert run.json["ok"] is False
    assert [(f["kind"], f["what"]) for f in run.json["findings"]] == [("missing", "a.wav")]
    assert json.loads(run.out)["clips"] == 2


def test_the_list_fits_a_hundred_columns(otoscope, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    lines = otoscope("data").out.splitlines()
    assert max(map(len, lines)) <= 100
    assert lines[0].index("description") <= 55
    assert len(lines) < 45


@pytest.mark.parametrize("mirror", ["http://[bad", "http://", "http://host:port", "file:///etc"])
def test_a_mirror_that_is_no_address(otoscope, mirror):
    run = otoscope("data", "get", "fsdd", "--dir", "out", "--mirror", mirror)
    assert (run.code, run.out) == (2, "")
    assert run.error.startswith("otoscope: files are fetched by http or https")


def test_scenes_leave_a_folder_of_clips_alone(otoscope, folder):
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    run = otoscope("data", "check", SCENES, "--dir", folder)
    assert run.code == 1
    assert "'a.wav', which is not a scene" in run.out
    run = otoscope("data", "get", SCENES, "--dir", folder)
    assert run.code == 2
    assert "'a.wav', which is not a scene" in run.error
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before
    assert [p for p in folder.rglob("*") if p.is_dir()] == []
