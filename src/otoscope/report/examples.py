"""Example clips of a leaderboard to listen to: the sounds of the first methods, computed again, and their page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from otoscope.audio import downmix, encode, fit_length, resample
from otoscope.core.errors import OtoscopeError
from otoscope.core.files import atomic_write, make_folder
from otoscope.core.records import Clip
from otoscope.report.pages.listening import write_listening_page
from otoscope.results.examples import BEST, DISPUTED, WORST, ExampleClip, example_clips
from otoscope.results.leaderboard import Leaderboard
from otoscope.results.lines import Line
from otoscope.results.read import Results

Render = Callable[[dict[str, Any]], Any]
Log = Callable[[str], object]
Heard = list[tuple[Line, dict[str, Any], dict[str, Clip]]]
WHY = {BEST: "best", WORST: "worst", DISPUTED: "largest difference"}
RATES = (8000, 48000)
INTRO = (
    "The clips on which the first methods of the leaderboard do best, do worst and differ most, by the probability of the "
    "explained class on the kept sound minus that on the removed sound."
)
PAGE_WORDS = {
    "networks": "Methods",
    "network": "Method",
    "start": "Start",
    "reconstructions": "Kept",
    "differences": "Removed",
    "other": "removed",
    "control": "Ground truth",
    "how": "Play a clip and switch between its versions; playback continues at the same position. Matched levels bring every "
    "version to the level of the original, so that you compare content rather than loudness.\n\nThe kept sound is what the "
    "method claims the classifier listens to; the removed sound is the rest. Below each is the classifier's probability of the "
    "explained class for that sound.",
}


def write_examples(
    results: Results, board: Leaderboard, render: Render, folder: Path, log: Log = lambda _line: None
) -> dict[str, Any] | None:
    """Compute the sounds of the example clips and write the page to listen to them into a folder.

    Parameters
    ----------
    results, board
        As `example_clips` takes them.
    render : callable
        From a row to an object or mapping with ``original``, ``kept``, ``removed`` and optionally ``true``, each a `Clip`, as
        `otoscope.studies.Replayer` gives.

    Returns
    -------
    dict or None
        ``clips`` as `page_contents` takes them; None if no sound could be computed.
    """
    examples = example_clips(results, board)
    names = list(dict.fromkeys(_name(board, line) for clip in examples for line in clip.lines))
    clips: list[tuple[ExampleClip, Heard]] = []
    cards = []
    for clip in examples:
        log(f"computing the sounds of {clip.clip} ({WHY[clip.why]}, {len(clip.rows)} methods)")
        rows = [results.row(i) for i in clip.rows]
        sounds = [_sounds(row, render, log) for row in rows]
        some = [(line, row, s) for line, row, s in zip(clip.lines, rows, sounds, strict=True) if s is not None]
        if some:
            cards.append(_card(clip, len(clips), board, some))
            clips.append((clip, some))
    if not clips:
        return None
    rate = max(sounds["original"].sample_rate for _, some in clips for _, _, sounds in some)
    rate = min(max(rate, RATES[0]), RATES[1])
    make_folder(folder / "audio")
    contents = {
        "title": f"{board.title}: example clips",
        "intro": INTRO,
        "sample_rate": rate,
        "words": PAGE_WORDS,
        "networks": [{"name": name, "title": name} for name in names],
        "starts": [],
        "clips": [_clip(place, clip, board, some, rate, folder) for place, (clip, some) in enumerate(clips)],
    }
    write_listening_page(folder, contents)
    return {"clips": cards}


def _name(board: Leaderboard, line: Line) -> str:
    named, title = line.labels, board.line_title(line)
    if title:
        named["name" if "name" in named else "method"] = title
    return ", ".join(word for word in named.values() if word)


def _sounds(row: dict[str, Any], render: Render, log: Log) -> dict[str, Clip] | None:
    """The sounds of a row; None if they cannot be computed, with a line in the log."""
    try:
        found = render(row)
    except OtoscopeError as error:
        log(f"{row['method']} on {row['clip']} cannot be rendered: {error}")
        return None
    get = found.get if isinstance(found, Mapping) else lambda part: getattr(found, part, None)
    parts = {part: get(part) for part in ("original", "kept", "removed", "true")}
    return {part: sound for part, sound in parts.items() if sound is not None}


def _card(clip: ExampleClip, place: int, board: Leaderboard, some: Heard) -> dict[str, Any]:
    row = some[0][1]
    return {
        "why": clip.why,
        "place": place,
        "clip": clip.clip,
        "label": str(row.get("target_label") or row.get("label") or ""),
        "where": clip.where(board),
        "heard": [
            {"name": _name(board, line), **{part: _p(row, part) for part in ("kept", "removed")}}
            for line, row, _ in some
        ],
    }


def _p(row: Mapping[str, Any], part: str) -> float | None:
    """The probability of the target on a part, as heard if it was measured."""
    for name in (f"heard_{part}", part):
        value = row.get(name)
        if isinstance(value, int | float) and np.isfinite(value):
            return float(value)
    return None


def _clip(place: int, clip: ExampleClip, board: Leaderboard, some: Heard, rate: int, folder: Path) -> dict[str, Any]:
    """All versions of one clip, each written as a file."""
    _, row, sounds = some[0]
    length = round(sounds["original"].duration * rate)

    def write(name: str, sound: Clip, facts: Sequence[tuple[str, str]] = ()) -> dict[str, Any]:
        version = _write(folder, f"{place}-{name}", sound, rate, length)
        return {**version, "facts": [list(fact) for fact in facts]}

    label = str(row.get("target_label") or "target")
    versions = [{"kind": "original", **write("original", sounds["original"], _fact(label, row, "original"))}]
    if "true" in sounds:
        versions.append({"kind": "control", "title": "the sound to find", **write("true", sounds["true"])})
    for k, (line, own, parts) in enumerate(some):
        for kind, part in (("reconstruction", "kept"), ("difference", "removed")):
            made = write(f"{k}-{part}", parts[part], _fact(label, own, part))
            versions.append({"kind": kind, "network": _name(board, line), **made})
    where = ", ".join(text for text in (WHY[clip.why], clip.where(board)) if text)
    return {"file": f"{clip.clip} ({where})", "label": label, "versions": versions}


def _fact(label: str, row: Mapping[str, Any], part: str) -> list[tuple[str, str]]:
    value = _p(row, part)
    return [] if value is None else [(f"p({label})", f"{100 * value:.1f} %")]


def _write(folder: Path, name: str, sound: Clip, rate: int, length: int) -> dict[str, Any]:
    """One sound as FLAC: mono or stereo, at the page's rate, as long as the original."""
    samples = sound.samples if sound.channels <= 2 else downmix(sound.samples)[None]
    data, gain = encode(fit_length(resample(samples, sound.sample_rate, rate), length), rate)
    path = folder / "audio" / f"{name}.flac"
    with atomic_write(path) as part:
        part.write_bytes(data)
    version: dict[str, Any] = {"audio": f"audio/{path.name}"}
    if gain > 1:
        version["attenuated_db"] = float(20 * np.log10(gain))
    return version
