"""Sound files in folders."""

from __future__ import annotations

import pytest

from otoscope.datasets.files import is_sound_name, sound_files


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
