"""Fetching big files: progress, resuming, checksums."""

from __future__ import annotations

import http.client
import os
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from otoscope.core.errors import DownloadError, ParameterError, WriteError
from otoscope.core.files import make_folder
from otoscope.datasets.files import file_sum

BLOCK = 1 << 18
TIMEOUT_S = 30.0
NETWORK = (urllib.error.URLError, TimeoutError, ConnectionError, ssl.SSLError, http.client.HTTPException)


@dataclass(frozen=True)
class Remote:
    """A file to fetch."""

    url: str  # http or https
    name: str
    checksum: str = ""  # ``md5:...`` or ``sha256:...``; empty where none is published
    strip: str = ""  # a folder at the top of the archive that is left out
    into: str = ""  # folder in that of the data set to unpack into, or to put the file in


def download(remote: Remote, folder: Path, attempts: int = 4, pause_s: float = 1.0) -> Path:
    """A file of a server, whole and checked, in a folder.

    What has arrived is kept as NAME.part; after an interruption, now or in a later run, only the rest is fetched if
    the server can do that.

    Parameters
    ----------
    remote : Remote
        What to fetch.
    folder : Path
        Where the file goes.
    attempts : int >= 1
        In a row without a byte of progress.
    pause_s : float >= 0, s
        Between them.

    Returns
    -------
    Path

    Raises
    ------
    ParameterError
        For an address that is none.
    DownloadError
        Without a network, where the server refuses, or where the file is not the one expected.
    WriteError
        If it cannot be written.
    """
    _check_address(remote.url)
    make_folder(folder)
    target, part = folder / remote.name, folder / f"{remote.name}.part"
    kind = remote.checksum.partition(":")[0]
    if target.is_file() and (not kind or file_sum(target, kind) == remote.checksum):
        return target
    left, before = attempts, _size(part)
    while True:
        try:
            if _fetch(remote.url, part):
                break
            reason: object = f"it broke off after {_size(part)} bytes"
        except NETWORK as error:
            if isinstance(error, urllib.error.HTTPError) and error.code < 500:
                raise _failure(remote, f"the server answers {error.code} {error.reason}", part) from error
            reason = getattr(error, "reason", None) or error
        except ValueError as error:  # a name of a server, or a reply, that cannot be
            raise _failure(remote, error, part) from error
        left = attempts if _size(part) > before else left - 1
        before = _size(part)
        if left <= 0:
            raise _failure(remote, reason, part)
        time.sleep(pause_s)
    _tag(part).unlink(missing_ok=True)
    found = file_sum(part, kind) if kind else ""
    if found != remote.checksum:
        part.unlink(missing_ok=True)
        raise DownloadError(
            f"{remote.url} is not the file that was expected ({found}, not {remote.checksum}); nothing was kept; "
            "try again, or check whether its owner has changed it"
        )
    os.replace(part, target)
    return target


def _check_address(url: str) -> None:
    try:
        parts = urllib.parse.urlsplit(url)
        fine = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fine = False
    if not fine or not url.isascii() or not url.isprintable() or " " in url:
        raise ParameterError(f"files are fetched by http or https, from an address like https://HOST/FILE; got {url!r}")


def _failure(remote: Remote, reason: object, part: Path) -> DownloadError:
    kept = f"; {_size(part)} bytes are kept; run the same command to resume" if _size(part) else ""
    return DownloadError(f"could not fetch {remote.url} ({reason}); check the network{kept}")


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0


def _tag(part: Path) -> Path:
    return part.with_name(f"{part.name}.tag")


def _fetch(url: str, part: Path) -> bool:
    """Get what is missing of a file; whether it is whole."""
    have, tag = _size(part), ""
    request = urllib.request.Request(url, headers={"Accept-Encoding": "identity"})
    if have:
        tag = _tag(part).read_text(encoding="utf-8") if _tag(part).is_file() else ""
        request.add_header("Range", f"bytes={have}-")
        if tag:
            request.add_header("If-Range", tag)  # another version of the file comes whole
    try:
        reply = urllib.request.urlopen(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code != http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        whole = error.headers.get("Content-Range", "").rpartition("/")[2] == str(have)
        error.close()
        if not whole:
            part.unlink(missing_ok=True)
        return whole
    with reply:
        return _receive(reply, part, have)


def _receive(reply: Any, part: Path, have: int) -> bool:
    length = int(reply.headers.get("Content-Length") or 0)
    start = reply.headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
    have = have if reply.status == http.client.PARTIAL_CONTENT and start == str(have) else 0
    if reply.status == http.client.PARTIAL_CONTENT and start not in ("", str(have)):
        raise ConnectionError(f"the server sent the part from byte {start}, which was not requested")
    total = have + length if length else 0
    tag = reply.headers.get("ETag") or ""
    _write(part, lambda: _tag(part).write_text("" if tag.startswith("W/") else tag, encoding="utf-8"))
    name = part.name.removesuffix(".part")
    with tqdm(total=total or None, initial=have, unit="B", unit_scale=True, desc=name, delay=0.5, leave=False) as bar:
        with _write(part, lambda: part.open("ab" if have else "wb")) as out:
            while block := reply.read(BLOCK):
                _write(part, partial(out.write, block))
                bar.update(len(block))
            _write(part, out.flush)
    return not total or _size(part) == total


def _write(part: Path, action: Callable[[], Any]) -> Any:
    """Do it; an error of the disk is not a failure of the network."""
    try:
        return action()
    except OSError as error:
        raise WriteError(part, f"{error.strerror or error}; free some space or choose another folder") from error
