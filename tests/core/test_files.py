"""Files are written whole or not at all."""

import errno
import os
import stat
from pathlib import Path

import pytest

from otoscope.core import files
from otoscope.core.errors import AudioReadError, DownloadError, OtoscopeError, WriteError
from otoscope.core.files import atomic_write, check_writable, make_folder, read_json, write_text


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def write_half(path, error):
    with atomic_write(path) as part:
        part.write_text("half")
        raise error


def test_a_file_appears_under_its_name_only_at_the_end(tmp_path):
    with atomic_write(tmp_path / "a.txt") as part:
        part.write_text("new")
        assert part.parent == tmp_path
        assert part.name.startswith(".a.txt.")
        assert part.suffix == ".part"
        assert not (tmp_path / "a.txt").exists()
    assert names(tmp_path) == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "new"


def test_a_folder_that_cannot_be_written_is_said_so(tmp_path, monkeypatch):
    assert check_writable(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    assert names(tmp_path / "a" / "b") == []
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match="choose another folder"):
        check_writable(tmp_path / "file" / "x")

    def refused(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(files.tempfile, "TemporaryFile", refused)
    with pytest.raises(WriteError, match="Read-only file system; choose another folder"):
        check_writable(tmp_path)


def test_folders_are_made(tmp_path):
    assert write_text(tmp_path / "a" / "b" / "c.txt", "ü\n") == tmp_path / "a" / "b" / "c.txt"
    assert (tmp_path / "a" / "b" / "c.txt").read_bytes() == "ü\n".encode()


def test_the_file_has_the_rights_that_the_umask_leaves(tmp_path):
    old = os.umask(0o027)
    try:
        write_text(tmp_path / "a", "x")
        assert os.umask(0o027) == 0o027  # looked at, not changed
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


@pytest.mark.parametrize("old", [None, "old"])
@pytest.mark.parametrize("crash", [RuntimeError, KeyboardInterrupt, SystemExit, MemoryError])
def test_a_crash_leaves_what_was_there_and_no_part(tmp_path, crash, old):
    target = tmp_path / "a.txt"
    if old:
        target.write_text(old)
    with pytest.raises(crash):
        write_half(target, crash)
    assert names(tmp_path) == (["a.txt"] if old else [])
    assert not old or target.read_text() == old


def test_a_full_disk_is_a_write_error_and_leaves_the_old_file(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with (
        pytest.raises(WriteError, match=r"cannot write .*a\.txt: No space left on device") as caught,
        atomic_write(target),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert caught.value.__cause__.errno == errno.ENOSPC
    assert names(tmp_path) == ["a.txt"]
    assert target.read_text() == "old"


def test_a_disk_that_is_full_at_the_last_moment(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "replace", full)
    with pytest.raises(WriteError, match="No space left"):
        write_text(tmp_path / "a.txt", "x")
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    "error",
    [WriteError("other.txt", "too long"), AudioReadError("b.mp3", "it broke off"), DownloadError("no network")],
    ids=lambda e: type(e).__name__,
)
def test_our_own_errors_pass_as_they_are(tmp_path, error):
    """A sound that cannot be read while another is written is no failure to write."""
    with pytest.raises(type(error)) as caught, atomic_write(tmp_path / "a"):
        raise error
    assert caught.value is error
    assert names(tmp_path) == []


def test_a_folder_in_the_way(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(WriteError, match="directory"):
        write_text(tmp_path / "a", "x")
    assert names(tmp_path) == ["a"]


def test_a_file_where_a_folder_should_be(tmp_path):
    (tmp_path / "a").write_text("x")
    with pytest.raises(WriteError, match=r"cannot write .*a: .*choose another folder"):
        make_folder(tmp_path / "a")
    with pytest.raises(WriteError, match="choose another folder"):
        write_text(tmp_path / "a" / "b", "x")


def test_a_folder_that_may_not_be_written_to(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(files.tempfile, "mkstemp", refuse)  # root may write anywhere, so the refusal is simulated
    with pytest.raises(WriteError, match=r"Permission denied; choose another folder"):
        write_text(tmp_path / "a", "x")
    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(WriteError, match=r"Permission denied; choose another folder"):
        make_folder(tmp_path / "b")


def test_a_block_that_leaves_nothing_behind_is_an_error(tmp_path):
    with pytest.raises(WriteError, match="No such file"), atomic_write(tmp_path / "a") as part:
        part.unlink()
    assert names(tmp_path) == []


def test_a_mapping_is_read_from_json(tmp_path):
    (tmp_path / "a.json").write_text('{"a": 1}')
    assert read_json(tmp_path / "a.json") == {"a": 1}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, r"cannot read the record .*a\.json: No such file or directory; move it away"),
        ("{", r"cannot read the record .*a\.json: Expecting property name"),
        ("[" * 100_000, r"cannot read the record .*a\.json"),
        ("[1]", r"the record .*a\.json holds list, not a mapping; move it away"),
    ],
)
def test_what_is_no_mapping_is_named(tmp_path, text, words):
    if text is not None:
        (tmp_path / "a.json").write_text(text)
    with pytest.raises(OtoscopeError, match=words):
        read_json(tmp_path / "a.json", "the record", "move it away")
