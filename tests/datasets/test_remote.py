"""Where data sets are fetched from."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from otoscope.core import registry
from otoscope.core.errors import MissingExtraError, UnsupportedError
from otoscope.datasets.get import get_dataset
from otoscope.datasets.remote import NOTES, remotes_of
from otoscope.datasets.unpack import is_archive


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
        "from otoscope.datasets.remote import _from_loader\n"
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
