"""Getting data sets from a server on this machine, with the entries of soundata and mirdata or our own."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import tarfile
import types
import zipfile
from pathlib import Path

import pytest

from otoscope.core import registry
from otoscope.core.errors import DownloadError, MissingExtraError, UnsupportedError
from otoscope.datasets import DatasetError, check, download
from otoscope.datasets.get import NOTES, get_dataset, remotes_of
from otoscope.datasets.unpack import is_archive

ESC = "filename,fold,target,category,esc10,src_file,take\n1-a-A-0.wav,1,0,dog,True,a,A\n"


def md5(data):
    return hashlib.md5(data).hexdigest()


def zipped(files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def tarred(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """No waiting between attempts."""
    monkeypatch.setattr(download.time, "sleep", lambda _: None)


@pytest.fixture
def library(monkeypatch, server, put, tmp_path):
    """soundata's ESC-50, as a small stand-in that leads to the server."""
    sound = put("x.wav", 44100, root=tmp_path / "made").read_bytes()
    server.files["esc.zip"] = zipped({"ESC-50-master/meta/esc50.csv": ESC, "ESC-50-master/audio/1-a-A-0.wav": sound})
    index = {"clips": {"1-a-A-0": {"audio": ["audio/1-a-A-0.wav", md5(sound)]}}}
    server.files["esc50_index_2.0.json"] = json.dumps(index).encode()
    module = types.ModuleType("soundata.datasets.esc50")

    def entry(name, **more):
        checksum = md5(server.files[name])
        values = {"unpack_directories": None, "destination_dir": None, **more}
        return types.SimpleNamespace(filename=name, url=f"{server.url}/{name}", checksum=checksum, **values)

    module.REMOTES = {"all": entry("esc.zip", unpack_directories=["ESC-50-master"])}
    index_entry = entry("esc50_index_2.0.json", destination_dir="/of/the/library")
    module.INDEXES = {"default": "2.0", "2.0": types.SimpleNamespace(remote=index_entry)}
    monkeypatch.setitem(sys.modules, "soundata", types.ModuleType("soundata"))
    monkeypatch.setitem(sys.modules, "soundata.datasets", types.ModuleType("soundata.datasets"))
    monkeypatch.setitem(sys.modules, "soundata.datasets.esc50", module)
    return module


def test_an_entry_of_soundata(library, tmp_path, server):
    root = tmp_path / "esc"
    fetched = get_dataset("esc50", root)
    assert fetched.files == ("esc.zip", "esc50_index_2.0.json")
    assert len(fetched.data) == 1
    left = sorted(p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file())
    assert left == [".otoscope/esc50_index_2.0.json", "audio/1-a-A-0.wav", "meta/esc50.csv"]
    before = len(server.asked)
    assert get_dataset("esc50", root).files == ()
    assert len(server.asked) == before
    assert not [f for f in check.check_dataset("esc50", root).findings if f.kind != "count"]


def test_the_index_finds_a_damaged_file(library, tmp_path, put):
    root = tmp_path / "esc"
    get_dataset("esc50", root)
    put("audio/1-a-A-0.wav", 44100, root=root)  # sound, but not the one of the release
    found = [f for f in check.check_dataset("esc50", root).findings if f.kind == "damaged"]
    assert [(f.what, f.why) for f in found] == [("audio/1-a-A-0.wav", "its checksum differs from the release's")]


def test_a_wrong_checksum_of_the_archive(library, tmp_path, server):
    server.files["esc.zip"] += b"x"
    with pytest.raises(DownloadError, match="not the file that was expected"):
        get_dataset("esc50", tmp_path / "esc")


def test_an_archive_that_leads_out(library, tmp_path, server):
    server.files["esc.zip"] = zipped({"../evil.csv": b"x"})
    library.REMOTES["all"].checksum = md5(server.files["esc.zip"])
    with pytest.raises(DatasetError, match="leads out"):
        get_dataset("esc50", tmp_path / "esc")
    assert not (tmp_path / "evil.csv").exists()


def test_our_own_entry_from_a_mirror(server, tmp_path, put):
    sound = put("x.wav", 8000, root=tmp_path / "made").read_bytes()
    top = "free-spoken-digit-dataset-1.0.10"
    server.files[f"{top}.tar.gz"] = tarred({f"{top}/recordings/3_ann_{t}.wav": sound for t in (0, 7, 20)})
    server.break_after = [40]
    fetched = get_dataset("fsdd", tmp_path / "fsdd", mirror=f"{server.url}/")
    assert [e.fold for e in fetched.data.examples] == ["test", "train", "validation"]
    assert server.asked[1][1] == "bytes=40-"


def test_a_server_that_has_it_not(server, tmp_path):
    with pytest.raises(DownloadError, match="404"):
        get_dataset("fsdd", tmp_path, mirror=server.url)


def test_scenes_are_made(tmp_path):
    fetched = get_dataset("scenes,clips=2,seconds=0.1,sample_rate=8000,kinds=rain+bell", tmp_path)
    assert (len(fetched.data), fetched.files) == (2, ())


def test_a_library_that_is_missing(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "mirdata", None)
    with pytest.raises(
        MissingExtraError, match=r"'mirdata'; install it with: pip install mirdata .*pip install '\.\[data\]'"
    ):
        get_dataset("medley-solos-db", tmp_path)


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_speech_commands_has_an_entry_a_version(version):
    entry, settings = registry.parse("dataset", f"speech-commands,version={version}")
    (one,) = remotes_of(entry, settings)
    assert one.url.startswith("https://")
    assert one.url.endswith(f"speech_commands_v0.0{version[1]}.tar.gz")
    assert len(one.checksum) == len("sha256:") + 64
    assert remotes_of(entry, settings, "http://mirror/x")[0].url == f"http://mirror/x/{one.name}"


@pytest.mark.parametrize(("name", "match"), [("instruments", "has no known download"), ("folder", "your own clips")])
def test_what_nobody_hosts(name, match, tmp_path):
    with pytest.raises(UnsupportedError, match=match):
        get_dataset(name, tmp_path)


def test_the_entries_of_the_real_libraries():
    """Of soundata and mirdata as they are installed; nothing is fetched."""
    pytest.importorskip("soundata")
    pytest.importorskip("mirdata")
    code = (
        "from otoscope.datasets.get import _from_loader\n"
        "for names in (('soundata', 'esc50'), ('soundata', 'urbansound8k'), ('mirdata', 'medley_solos_db')):\n"
        "    for r in _from_loader(*names): print(names[1], r.url, r.name, r.checksum, r.strip, r.into, sep='|')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False)
    if "MissingExtraError" in done.stderr:
        pytest.skip("a library is there, but not what it needs")
    assert done.returncode == 0, done.stderr
    rows = [line.split("|") for line in done.stdout.splitlines()]
    assert [row[0] for row in rows] == ["esc50"] * 2 + ["urbansound8k"] * 2 + ["medley_solos_db"] * 3
    assert all(r[1].startswith("https://") and len(r[3]) == len("md5:") + 32 for r in rows)
    assert [r[4] for r in rows if r[4]] == ["ESC-50-master", "UrbanSound8K"]
    assert [r[5] for r in rows] == ["", NOTES, "", NOTES, "annotation", "audio", NOTES]
    assert [is_archive(Path(r[2])) for r in rows] == [True, False, True, False, False, True, False]
