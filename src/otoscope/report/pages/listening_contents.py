"""What a listening page is made of, as plain data, and whether it fits together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from otoscope.core.errors import AudioReadError, ParameterError, UnknownNameError

VERSIONS = ("original", "control", "reconstruction", "difference")
MOST_ATTENUATED_DB = 120.0


def check_contents(folder: Path, contents: Mapping[str, Any]) -> None:
    """A `ParameterError`, `UnknownNameError` or `AudioReadError` unless a page can be made of it.

    Parameters
    ----------
    folder : Path
        Where the sounds lie.
    contents : mapping
        As `write_listening_page` takes it.
    """
    where = "a listening page"
    need(contents, "title", str, where)
    rate = need(contents, "sample_rate", int, where)
    if isinstance(rate, bool) or rate < 1:
        raise ParameterError(f"{where}'s sample_rate is a positive number of Hz; got {rate!r}")
    networks, starts = (names_of(need(contents, kind, Sequence, where), kind) for kind in ("networks", "starts"))
    for entry in contents["networks"]:
        probability(entry.get("accuracy"), f"accuracy of {entry['name']}")
    for name, word in need({"words": {}, **contents}, "words", Mapping, where).items():
        if not isinstance(word, str):
            raise ParameterError(f"the word for {name!r} of {where} is text; got {word!r:.60}")
    clips = need(contents, "clips", Sequence, where)
    if not clips:
        raise ParameterError("a listening page needs at least one clip; got none; list them under 'clips'")
    for place, clip in enumerate(clips, start=1):
        _check_clip(folder, clip, f"clip {place}", (networks, starts))


def need(table: Any, key: str, kind: type, where: str) -> Any:
    """The value under a key, of its type."""
    if not isinstance(table, Mapping):
        raise ParameterError(f"{where} is a table with the key {key!r}; got {table!r:.60}")
    if key not in table:
        raise ParameterError(f"{where} lacks {key!r}; it has {', '.join(map(str, table)) or 'nothing'}")
    value = table[key]
    if not isinstance(value, kind) or (kind is Sequence and isinstance(value, str | bytes)):
        wanted = {str: "text", int: "a whole number", Sequence: "a list", Mapping: "a table"}[kind]
        raise ParameterError(f"{key!r} of {where} is {wanted}; got {value!r:.60}")
    return value


def names_of(entries: Sequence[Any], kind: str) -> list[str]:
    """Their names, each of which is there once."""
    names = [str(need(entry, "name", str, f"an entry of {kind!r}")) for entry in entries]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ParameterError(f"{kind!r} names {twice[0]!r} twice; give each a name of its own")
    return names


def _check_clip(folder: Path, clip: Any, where: str, known: tuple[list[str], list[str]]) -> None:
    need(clip, "file", str, where)
    need(clip, "label", str, where)
    where = f"{where} ({clip['file']})"
    versions = need(clip, "versions", Sequence, where)
    seen = []
    for version in versions:
        kind = need(version, "kind", str, f"a version of {where}")
        if kind not in VERSIONS:
            raise UnknownNameError(f"kind of a version of {where}", kind, VERSIONS)
        _check_version(folder, version, f"the {kind} of {where}", known)
        seen.append((kind, version.get("network"), version.get("start"), version.get("title")))
    twice = next((key for key in seen if seen.count(key) > 1), None)
    if twice:
        raise ParameterError(f"{where} has two versions {' '.join(map(str, filter(None, twice)))}; keep one")
    if [kind for kind, *_ in seen].count("original") != 1:
        raise ParameterError(f"{where} needs one version of kind 'original', to which the others are compared")


def _check_version(folder: Path, version: Any, where: str, known: tuple[list[str], list[str]]) -> None:
    networks, starts = known
    if version["kind"] in ("reconstruction", "difference"):
        network = need(version, "network", str, where)
        if network not in networks:
            raise UnknownNameError(f"network of {where}", network, networks)
        if starts and need(version, "start", str, where) not in starts:
            raise UnknownNameError(f"starting point of {where}", version["start"], starts)
    check_path(folder, need(version, "audio", str, where), where)
    number(version.get("si_sdr_db"), f"si_sdr_db of {where}")
    for fact in need({"facts": (), **version}, "facts", Sequence, where):
        if isinstance(fact, str | bytes) or not isinstance(fact, Sequence) or len(fact) != 2:
            raise ParameterError(f"a fact of {where} is a pair of a name and a value; got {fact!r:.60}")
    attenuated = number(version.get("attenuated_db"), f"attenuated_db of {where}")
    if attenuated is not None and not 0 <= attenuated <= MOST_ATTENUATED_DB:
        raise ParameterError(f"attenuated_db of {where} lies in [0, {MOST_ATTENUATED_DB:g}]; got {attenuated!r}")
    for network, said in need({"said": {}, **version}, "said", Mapping, where).items():
        if network not in networks:
            raise UnknownNameError(f"network that spoke about {where}", network, networks)
        need(said, "label", str, f"what {network} said about {where}")
        probability(said.get("p"), f"p that {network} gave {where}")


def check_path(folder: Path, path: str, where: str) -> None:
    """Refuse a sound that is not there, or that would not go along with the folder."""
    parts = PurePosixPath(path)
    if not path or parts.is_absolute() or PureWindowsPath(path).drive or "\\" in path or ".." in parts.parts:
        raise ParameterError(f"audio of {where} is a path inside the page's folder, such as audio/0.flac; got {path!r}")
    if not (folder / path).is_file():
        raise AudioReadError(folder / path, f"no such file; it is the sound of {where}; write it before the page")


def number(value: Any, where: str) -> float | None:
    """A finite number, or None for NaN, infinities and nothing, which the page shows as not defined."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ParameterError(f"{where} is a number or null; got {value!r:.60}")
    return float(value) if math.isfinite(value) else None


def probability(value: Any, where: str) -> float | None:
    """A number in [0, 1], or None as `number` has it."""
    known = number(value, where)
    if known is not None and not 0 <= known <= 1:
        raise ParameterError(f"{where} is a number in [0, 1]; got {value!r}")
    return known
