"""The listening page: originals, reconstructions and differences of clips, to compare.

One folder that works from disk and from any static site: ``index.html``, and for each clip a file of pictures, loaded
when the clip is shown, and a file of sounds, loaded when it is played. A page on disk may not read sound files, only
scripts; carried in those, all versions of a clip play in step. Levels in dB re full scale, times in s.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from otoscope.audio import load_audio
from otoscope.core import registry
from otoscope.core.errors import ParameterError, ShapeError
from otoscope.core.files import make_folder, write_text
from otoscope.core.jsonable import to_jsonable
from otoscope.core.records import Clip
from otoscope.report.embed import array, json_text
from otoscope.report.formatting import decibels, kilohertz, percent
from otoscope.report.pages.listening_contents import check_contents, number
from otoscope.report.picture import CEIL_DB, FLOOR_DB, SoundPicture, match_gain, picture_of
from otoscope.report.templating import render_page

SCRIPTS = ("theme.js", "player.js", "canvas.js", "stage.js", "listening.js")
MIMES = {".flac": "audio/flac", ".wav": "audio/wav"}
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
        Contents that lack something or hold something else than said above.
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
    kind, network, start = version["kind"], version.get("network"), version.get("start")
    name, note = _names(version, titles, words)
    measure = number(version.get("si_sdr_db"), "si_sdr_db")
    return {
        "kind": kind,
        "network": network if kind in ("reconstruction", "difference") else None,
        "start": start if kind in ("reconstruction", "difference") else None,
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
    value = number(said.get("p"), "p")
    return {
        "network": network,
        "label": said["label"],
        "p": percent(value),
        "right": said["label"] == label,
    }


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
