"""The listening page: originals, reconstructions and differences of clips, to compare.

One folder that works from disk and from any static site: ``index.html``, and for each clip a file of pictures, loaded
when the clip is shown, and a file of sounds, loaded when it is played. A page on disk may not read sound files, only
scripts; carried in those, all versions of a clip play in step. Levels in dB re full scale, times in s.
"""

from __future__ import annotations

import base64
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np

from otoscope.audio import load_audio
from otoscope.core import registry
from otoscope.core.errors import AudioReadError, ParameterError, ShapeError, UnknownNameError
from otoscope.core.files import make_folder, write_text
from otoscope.core.jsonable import to_jsonable
from otoscope.core.records import Clip
from otoscope.report.formatting import decibels, kilohertz, percent
from otoscope.report.picture import CEIL_DB, FLOOR_DB, SoundPicture, match_gain, picture_of
from otoscope.report.templating import array, json_text, render_page

SCRIPTS = ("theme.js", "player.js", "canvas.js", "stage.js", "versions.js", "listening.js")
MIMES = {".flac": "audio/flac", ".wav": "audio/wav"}
MADE = ("reconstruction", "difference")
VERSIONS = ("original", "control", *MADE)
MOST_ATTENUATED_DB = 120.0
WORDS = {
    "networks": "Networks",
    "network": "Network",
    "start": "Start",
    "reconstructions": "Reconstructions",
    "differences": "Differences",
    "other": "difference",
    "how": "Play a clip and switch between its versions; playback continues at the same position. Matched levels bring every "
    "version to the level of the original, so that you compare content rather than loudness. A difference is the original minus "
    "the reconstruction, amplified at most to full scale.\n\nBelow each version are the predictions of all networks for that "
    "sound: the most probable label, its probability, and whether it is correct. A network\u2019s own reconstruction is marked "
    "\u201cown\u201d.",
}
"""Words of the page; ``how`` is the advice on listening, in paragraphs."""


@registry.register(
    "view", "listening", summary="The listening page of like-to-hear: all versions of each clip, to compare."
)
def write_listening_page(folder: str | os.PathLike[str], contents: Mapping[str, Any]) -> Path:
    """Write ``index.html`` and ``page/`` into a folder of sounds.

    Parameters
    ----------
    folder : path-like
        Holds the sounds: of one clip all equally long, FLAC or WAV.
    contents : mapping
        ``title``, ``intro`` (text; an empty line parts paragraphs), ``sample_rate`` (Hz); ``networks`` and ``starts``,
        each a list of ``name``, ``title``, and for networks ``accuracy`` in [0, 1]; ``clips``, a list of ``file``,
        ``label`` and ``versions``. A version has ``kind`` (original, control, reconstruction, difference), ``audio``
        (a path in the folder), ``network`` and ``start`` (of reconstructions and differences), ``title`` (of
        controls), ``si_sdr_db``, ``attenuated_db`` (how far the file was turned down to hold its peaks; the page turns it
        up again), and ``said``: for each network ``label`` and ``p``, a probability in [0, 1]. Numbers that are missing,
        null or not finite show as not defined. Other pages of originals and what was made of them may say
        what things are called there under ``words`` (see `WORDS`), what the control is called under ``control``, and give
        their versions ``facts``, pairs of a name and a value as text.

    Returns
    -------
    Path
        ``index.html``.

    Raises
    ------
    ParameterError
        Contents that lack something or differ from the description above.
    UnknownNameError
        A version of a network or starting point that is not listed.
    AudioReadError
        A sound that is not there or cannot be read.
    ShapeError
        Sounds of one clip that are not equally long.
    WriteError
    """
    folder = Path(folder)
    check_contents(folder, contents)
    parts = make_folder(folder / "page")
    titles = {kind: _titles(contents[kind]) for kind in ("networks", "starts")}
    clips = []
    for place, clip in enumerate(contents["clips"]):
        shown, carried = _clip(folder, clip, contents["sample_rate"], titles, _words(contents))
        for kind, part in carried.items():
            write_text(parts / f"{kind}-{place}.js", f"otoscope.{kind}({place},{json_text(part)});\n")
        clips.append(shown)
    _tidy(parts, len(clips))
    data = {
        "sample_rate": contents["sample_rate"],
        "floor_db": FLOOR_DB,
        "ceil_db": CEIL_DB,
        "clips": clips,
        **{kind: [{"name": n, "title": t} for n, t in titles[kind].items()] for kind in ("networks", "starts")},
    }
    return write_text(folder / "index.html", _page(contents, data))


def _titles(entries: list[Mapping[str, Any]]) -> dict[str, str]:
    return {entry["name"]: str(entry.get("title") or entry["name"]) for entry in entries}


def _tidy(parts: Path, count: int) -> None:
    """Remove the parts of clips that only an older page had."""
    for file in parts.glob("*-*.js"):
        found = re.fullmatch(r"(pictures|sounds)-(\d+)\.js", file.name)
        if found and int(found[2]) >= count:
            file.unlink()


# --- one clip -------------------------------------------------------------------------------------------------------


def _clip(
    folder: Path, clip: Mapping[str, Any], rate: int, titles: Mapping[str, dict[str, str]], words: Mapping[str, str]
) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """Contents of a clip, and its parts (pictures and sounds); the original first, the others in their order."""
    versions = sorted(clip["versions"], key=lambda version: version["kind"] != "original")
    paths = [folder / version["audio"] for version in versions]
    sounds = [_sound(path, rate, _gain(version)) for path, version in zip(paths, versions, strict=True)]
    for path, sound in zip(paths, sounds, strict=True):
        if sound.frames != sounds[0].frames:
            raise ShapeError(
                f"{path} has {sound.frames} samples but the original of {clip['file']} has {sounds[0].frames}; "
                "pad or cut it, so that the page can switch between them in place"
            )
    drawn = [picture_of(sound, sound.frames, sound.sample_rate) for sound in sounds]
    shown = {
        "file": clip["file"],
        "label": clip["label"],
        "duration": sounds[0].duration,
        "sounds": [
            _version(version, clip["label"], titles, words) | _levels(version["kind"], picture, drawn[0])
            for version, picture in zip(versions, drawn, strict=True)
        ],
    }
    return shown, {
        "pictures": [{"spectrogram": array(p.image(), "u1"), "peaks": array(p.outline, "<f4")} for p in drawn],
        "sounds": [base64.b64encode(path.read_bytes()).decode("ascii") for path in paths],
    }


def _gain(version: Mapping[str, Any]) -> float:
    return float(10 ** ((number(version.get("attenuated_db"), "attenuated_db") or 0.0) / 20))


def _sound(path: Path, rate: int, gain: float) -> Clip:
    """The sound at its true level."""
    sound = load_audio(path)
    if sound.sample_rate != rate:
        raise ParameterError(
            f"{path} has a rate of {sound.sample_rate} Hz but the page's sample_rate is {rate}; write all sounds at one rate"
        )
    return sound if gain == 1 else replace(sound, samples=sound.samples * np.float32(gain))


def _levels(kind: str, picture: SoundPicture, original: SoundPicture) -> dict[str, Any]:
    """Level and matching gain. A difference is raised at most to full scale: soft ones would turn all others down."""
    gain = match_gain(picture, original)
    if kind == "difference" and picture.peak > 0:
        gain = min(gain, max(1.0, 1 / picture.peak))
    return {"rms_db": to_jsonable(picture.rms_db), "match_gain": gain}


def _version(
    version: Mapping[str, Any], label: str, titles: Mapping[str, dict[str, str]], words: Mapping[str, str]
) -> dict[str, Any]:
    made = version if version["kind"] in MADE else {}
    name, note = _names(version, titles, words)
    measure = number(version.get("si_sdr_db"), "si_sdr_db")
    return {
        "kind": version["kind"],
        "network": made.get("network"),
        "start": made.get("start"),
        "title": name,
        "note": note,
        "mime": MIMES.get(Path(version["audio"]).suffix.lower(), "audio"),
        "gain": _gain(version),
        "si_sdr": decibels(measure) if "si_sdr_db" in version else None,
        "facts": [[str(part) for part in fact] for fact in version.get("facts", ())],
        "said": [_said(titles["networks"][n], said, label) for n, said in version.get("said", {}).items()],
    }


def _words(contents: Mapping[str, Any]) -> dict[str, str]:
    return {**WORDS, **contents.get("words", {})}


def _names(
    version: Mapping[str, Any], titles: Mapping[str, dict[str, str]], words: Mapping[str, str]
) -> tuple[str, str]:
    """The name of a version, and the line below it."""
    if version["kind"] == "original":
        return "Original", "the recording"
    if version["kind"] == "control":
        return words.get("control", "Control"), str(version.get("title") or "not tuned to a network")
    network, start = titles["networks"][version["network"]], titles["starts"].get(version.get("start") or "", "")
    return (network, start) if version["kind"] == "reconstruction" else (f"{network}, {words['other']}", start)


def _said(network: str, said: Mapping[str, Any], label: str) -> dict[str, Any]:
    p = percent(number(said.get("p"), "p"))
    return {"network": network, "label": said["label"], "p": p, "right": said["label"] == label}


# --- the page -------------------------------------------------------------------------------------------------------


def _page(contents: Mapping[str, Any], data: Mapping[str, Any]) -> str:
    accuracies = [number(entry.get("accuracy"), f"accuracy of {entry['name']}") for entry in contents["networks"]]
    return render_page(
        "listening.html.jinja",
        styles=("page.css", "listening.css"),
        scripts=SCRIPTS,
        data=data,
        loads_parts=True,
        title=contents["title"],
        intro=contents.get("intro"),
        facts=_facts(contents),
        words=_words(contents),
        networks=[{**n, "accuracy": a} for n, a in zip(data["networks"], accuracies, strict=True)],
        starts=data["starts"],
        clips=data["clips"],
    )


def _facts(contents: Mapping[str, Any]) -> str:
    named = _words(contents)["network"].lower()
    counts = [(len(contents[kind]), word) for kind, word in (("clips", "clip"), ("networks", named))]
    counted = [f"{count} {word}{'' if count == 1 else 's'}" for count, word in counts]
    return " \u00b7 ".join([*counted, kilohertz(contents["sample_rate"])])


# --- checks ---------------------------------------------------------------------------------------------------------


def check_contents(folder: Path, contents: Mapping[str, Any]) -> None:
    """A `ParameterError`, `UnknownNameError` or `AudioReadError` unless `write_listening_page` can make a page of it."""
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
    if version["kind"] in MADE:
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
            raise UnknownNameError(f"network that answered {where}", network, networks)
        need(said, "label", str, f"the answer of {network} to {where}")
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
