"""The length that a file's header states, where decoders do not report a shortfall: RIFF, AIFF, Ogg, MP4, Matroska; MP3.

FFmpeg states a duration for MP4 and Matroska too, but it is not a substitute: it is rounded, so that less than 0.1 s or 1 % of
missing sound cannot be detected by it, and a file that is cut exactly between two packets decodes without an error.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
RIFF = (b"RIFF", b"RIFX", b"RF64")
_NEAR_END = 1 << 17  # an Ogg page is at most 65 307 bytes


def missing_part(file: BinaryIO) -> str | None:
    """What the header promises and the file does not hold, in words; None where nothing is known to be missing.

    Parameters
    ----------
    file : binary file
        It can be sought.
    """
    size = file.seek(0, 2)
    file.seek(0)
    head = file.read(12)
    if head[:4] in RIFF and head[8:12] == b"WAVE":
        return _chunks(file, size, ">" if head[:4] == b"RIFX" else "<", b"data", head)
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return _chunks(file, size, ">", b"SSND", head)
    if head[:4] == b"OggS":
        return _ogg(file, size)
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"wide"):
        return _boxes(file, size)
    if head[:4] == _EBML:
        return _matroska(file, size)
    return None


def states_no_samples(file: BinaryIO) -> bool:
    """Whether a WAV file has sound behind a header that states none, as a recorder leaves it that lost power."""
    size = file.seek(0, 2)
    file.seek(0)
    head = file.read(12)
    if head[:4] not in RIFF or head[8:12] != b"WAVE":
        return False
    order = ">" if head[:4] == b"RIFX" else "<"
    for name, length, body in _walk(file, 12, size, order):
        if name == b"data":
            return length == 0 and not _only_chunks(file, body, size, order)
    return False


def _walk(file: BinaryIO, at: int, size: int, order: str) -> Iterator[tuple[bytes, int, int]]:
    """The chunks of a RIFF or AIFF file from a byte on: name, length, and where the content begins."""
    while at + 8 <= size:
        file.seek(at)
        name, length = struct.unpack(order + "4sI", file.read(8))
        yield name, length, at + 8
        at += 8 + length + (length & 1)


def _only_chunks(file: BinaryIO, at: int, size: int, order: str) -> bool:
    """Whether there is nothing, or whole chunks of other kinds, up to the end of the file."""
    for name, length, body in _walk(file, at, size, order):
        if not all(32 <= byte < 127 for byte in name):
            return False
        at = body + length + (length & 1)
    return size <= at + 1 and at <= size + 1


def tag_before_wav(file: BinaryIO) -> int:
    """Length of an ID3 tag before a WAV file, 0 for none; libsndfile loses as much of the end, and FFmpeg refuses the file."""
    file.seek(0)
    start = _id3(file.read(12))
    file.seek(start)
    return start if start and file.read(4) in RIFF else 0


def _id3(head: bytes) -> int:
    """Length of the ID3 tag that the bytes begin with, 0 for none."""
    if head[:3] != b"ID3" or len(head) < 10:
        return 0
    return 10 + sum((b & 0x7F) << shift for b, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))


def _chunks(file: BinaryIO, size: int, order: str, wanted: bytes, head: bytes) -> str | None:
    """Walk the chunks of a RIFF or AIFF file up to the one that holds the samples."""
    per_second, long_size = 0, 0
    for name, length, body in _walk(file, 12, size, order):
        file.seek(body)
        if name == b"ds64" and size >= body + 16:
            long_size = struct.unpack(order + "8xQ", file.read(16))[0]
        if name == b"fmt " and size >= body + 12:
            per_second = struct.unpack(order + "8xI", file.read(12))[0]
        if name == wanted:
            promised = long_size if length == 0xFFFFFFFF and long_size else length
            return _shortfall(promised, size - body, per_second)
    return _shortfall(struct.unpack(order + "I", head[4:8])[0] + 8, size, 0)


def _shortfall(promised: int, found: int, per_second: int) -> str | None:
    # Programs that stream to a pipe cannot know the length, and write one near the largest.
    unknown = 0x7FFFF000 <= promised <= 0x7FFFFFFF or 0xFFFFF000 <= promised <= 0xFFFFFFFF
    if unknown or found >= promised:
        return None
    seconds = f" ({promised / per_second:.3f} s)" if per_second else ""
    there = f" ({found / per_second:.3f} s)" if per_second else ""
    return f"its header promises {promised} bytes{seconds} but {found}{there} are there"


def _ogg(file: BinaryIO, size: int) -> str | None:
    """Look whether the last page of an Ogg file is whole."""
    start = max(0, size - _NEAR_END)
    file.seek(start)
    tail = file.read()
    at = tail.rfind(b"OggS\0")
    if at < 0:
        return "no whole page of it is near its end" if size > _NEAR_END else None
    header = tail[at : at + 27]
    if len(header) < 27:
        return "it ends inside a page's header"
    laces = tail[at + 27 : at + 27 + header[26]]
    end = at + 27 + header[26] + sum(laces)
    if len(laces) == header[26] and end < len(tail) and b"OggS\0".startswith(tail[end:]):
        return "it ends inside a page's header"
    if len(laces) < header[26] or end > len(tail):
        return f"its last page promises {start + end} bytes in all but {size} are there"
    return None


def _boxes(file: BinaryIO, size: int) -> str | None:
    """Walk the outermost boxes of an MP4 file."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        head = file.read(16)
        length, name = struct.unpack(">I4s", head[:8])
        if length == 1 and len(head) == 16:
            length = struct.unpack(">Q", head[8:])[0]
        if length < 8 or not name.isalnum():  # to the end of the file, or something else behind the last box
            return None
        if at + length > size:
            kind = name.decode("latin-1")
            return f"its part {kind!r} promises {length} bytes but {size - at} are there"
        at += length
    return None


def _matroska(file: BinaryIO, size: int) -> str | None:
    """Compare the length of a Matroska or WebM file's segment, where it is stated, with what is there."""
    at = 0
    for name in (_EBML, _SEGMENT):
        file.seek(at)
        head = file.read(12)
        if head[:4] != name or len(head) < 5 or not head[4]:
            return None if head[:4] == name and len(head) > 4 else "it ends inside its header"
        width = 9 - head[4].bit_length()
        number = head[4 : 4 + width]
        length = int.from_bytes(number, "big") & ((1 << 7 * width) - 1)
        begin = at + 4 + width
        if length == (1 << 7 * width) - 1:  # not known, as in a live recording
            return None
        if begin + length > size:
            return f"its header promises {begin + length} bytes in all but {size} are there"
        at = begin + length
    return None


def mp3_length_known(file: BinaryIO) -> bool:
    """Whether an MP3 file declares its own length (a Xing, Info or VBRI header) and is not much longer than that.

    Without one, decoders guess the length from the first frame's bit rate.
    """
    size = file.seek(0, 2)
    file.seek(0)
    start = _id3(file.read(10))
    file.seek(start)
    first = file.read(4096)
    if b"VBRI" in first[:256]:
        return True
    at = max(first.find(b"Xing"), first.find(b"Info"))
    if at < 0 or len(first) < at + 16:
        return False
    flags = struct.unpack(">I", first[at + 4 : at + 8])[0]
    if flags & 3 != 3:
        return bool(flags & 1)
    length = struct.unpack(">I", first[at + 12 : at + 16])[0]
    return bool(size - start <= length + 65536)
