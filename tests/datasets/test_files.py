"""Sound files in folders, and checksums."""

from __future__ import annotations

import pytest

from otoscope.datasets.files import file_sum, is_sound_name, sound_files


@pytest.mark.parametrize(
    ("name", "sound"), [("a.wav", True), ("A.FLAC", True), (".a.wav", False), ("a.txt", False), ("wav", False)]
)
def test_sounds_are_known_by_their_suffix(name, sound):
    assert is_sound_name(name) is sound


def test_sounds_are_found_at_every_depth_in_order(tmp_path):
    for name in ("b.wav", "deep/a.ogg", "deep/.hidden.wav", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.wav").mkdir()
    assert sound_files(tmp_path) == [tmp_path / "b.wav", tmp_path / "deep" / "a.ogg"]


def test_file_sum(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert file_sum(tmp_path / "a", "md5") == "md5:900150983cd24fb0d6963f7d28e17f72"
    assert file_sum(tmp_path / "a", "sha256").startswith("sha256:ba7816bf8f01cfea")
