"""The clips that tell most: best, worst and most disputed, with the sounds of the first methods made again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from otoscope.audio import downmix, encode, resample
from otoscope.core import registry
from otoscope.core.errors import OtoscopeError
from otoscope.core.files import atomic_write, make_folder
from otoscope.core.records import Clip
from otoscope.results.columns import metrics_of, values_of
from otoscope.results.groups import group_rows
from otoscope.results.lines import Line
from otoscope.results.read import Rows, failed
from otoscope.results.table import Ask, Table, select
from otoscope.results.words import line_title, panel_title, title_of

Render = Callable[[dict[str, Any]], Any]
Log = Callable[[str], object]
Heard = list[tuple[Line, dict[str, Any], dict[str, Clip]]]
BEST, WORST, DISPUTED = "best", "worst", "disputed"
WHY = {BEST: "best found", WORST: "worst found", DISPUTED: "most disputed"}
METHODS, PANELS = 4, 4
RATES = (8000, 48000)
INTRO = (
    "The clips on which the first methods of the table did best and worst, and those on which they differ most, by the "
    "probability of the explained class on the kept sound less that on the removed sound."
)
PAGE_WORDS = {
    "networks": "Methods",
    "network": "Method",
    "start": "Start",
    "reconstructions": "Kept",
    "differences": "Removed",
    "one": "a kept sound",
    "other": "removed",
    "control": "The truth",
    "how": "Play a clip and switch between its versions: each goes on at the same place. With matched levels all are as loud as "
    "the original, so that you compare content, not loudness.\n\nWhat a method kept is what it says the classifier listens to; "
    "what it removed is the rest. Below each stands how probable the explained class is to the classifier on that sound.",
}


@dataclass(frozen=True)
class Telling:
    """A clip to hear.

    Parameters
    ----------
    why : {"best", "worst", "disputed"}
    panel : int
    clip : str
    lines : tuple of Line
        The methods that are heard.
    rows : tuple of int
        The row of each.
    pooled : mapping of str to str
        The condition or classifier that it is heard under, where the table takes several together.
    """

    why: str
    panel: int
    clip: str
    lines: tuple[Line, ...]
    rows: tuple[int, ...]
    pooled: Mapping[str, str] = field(default_factory=dict)

    def where(self, table: Table) -> str:
        """Condition and classifier, by their titles."""
        own = [title_of(table, column, word) for column, word in self.pooled.items()]
        return ", ".join(title for title in (*own, panel_title(table, self.panel)) if title)


def telling_clips(rows: Rows, table: Table, ask: Ask, methods: int = METHODS, panels: int = PANELS) -> list[Telling]:
    """The clips that tell most about the first methods of each panel, of those that the table reports.

    Parameters
    ----------
    rows : Rows
        Those of which the table was made, unselected.
    table : Table
    ask : Ask
        What the table was asked for.
    methods, panels : int
        How many at most.

    Returns
    -------
    list of Telling
        Of each panel the clip whose mean over the methods is highest, the one whose mean is lowest, and of the others the one
        with the largest spread; by kept less removed, as heard where it was measured.
    """
    rows = select(rows, ask.only)
    values = values_of(rows, _measure(rows))
    out = []
    for panel in range(min(panels, len(table.panels))):
        there = [line for line in table.of_panel(panel) if line.role != "oracle" and line.clips]
        lines = ([line for line in there if not line.role] or there)[
            :methods
        ]  # controls only where there is nothing else
        clips, found, place = _clips_of(rows, table, lines, values)
        for why, k in _telling(found):
            clip, *words = clips[k]
            pooled = dict(zip(table.pooled, words, strict=True))
            out.append(Telling(why, panel, clip, tuple(lines), tuple(int(r) for r in place[:, k]), pooled))
    return out


def _measure(rows: Rows) -> str:
    known = metrics_of(rows)
    for name in ("heard_difference", "difference"):
        if name in known and np.isfinite(values_of(rows, name)).any():
            return name
    raise OtoscopeError("no clips can be chosen to hear: the results hold no probabilities of kept and removed sounds")


def _clips_of(
    rows: Rows, table: Table, lines: Sequence[Line], values: np.ndarray
) -> tuple[list[tuple[str, ...]], np.ndarray, np.ndarray]:
    """The reported clips that all lines have: their names, values and rows, ``(line, clip)``.

    Where conditions or classifiers are pooled, a clip counts once under each of them, and their words follow its name.
    """
    clips = group_rows(rows, ["clip", *table.pooled])
    shown = np.ones(len(clips.names), bool)
    if lines and table.choice is not None and not table.choice.same_clips:
        chose = set(table.choice.clips[lines[0].panel])
        shown = np.array([name[0] not in chose for name in clips.names])
    place = np.full((len(lines), len(clips.names)), -1, np.int64)
    usable = ~failed(rows) & np.isfinite(values)
    for i, line in enumerate(lines):
        words = {**table.panels[line.panel], **line.name, **line.chosen}
        mine = np.flatnonzero(usable & _having(rows, words))[::-1]
        place[i, clips.of[mine]] = mine  # the first of several, say of other seeds
    common = np.flatnonzero(shown & (place >= 0).all(0)) if len(lines) else np.zeros(0, np.int64)
    return [clips.names[k] for k in common], values[place[:, common]], place[:, common]


def _having(rows: Rows, words: Mapping[str, str]) -> np.ndarray:
    has = np.ones(len(rows), bool)
    for column, word in words.items():
        found = rows.words(column)
        has &= found.codes == found.names.index(word)
    return has


def _telling(found: np.ndarray) -> list[tuple[str, int]]:
    """Which clips tell most, each once, of values ``(line, clip)``."""
    if not found.size:
        return []
    mean, spread = found.mean(0), found.max(0) - found.min(0)
    out: list[tuple[str, int]] = []
    for why, order in ((BEST, np.argsort(-mean)), (WORST, np.argsort(mean)), (DISPUTED, np.argsort(-spread))):
        left = [int(k) for k in order if int(k) not in [taken for _, taken in out]]
        if left and (why != DISPUTED or spread[left[0]] > 0):
            out.append((why, left[0]))
    return out


# --- the sounds -----------------------------------------------------------------------------------------------------


def write_listening(
    rows: Rows, table: Table, ask: Ask, render: Render, folder: Path, log: Log = lambda _line: None
) -> dict[str, Any] | None:
    """Make the sounds of the telling clips again and write the page on which they are heard.

    Parameters
    ----------
    rows, table, ask
        As `telling_clips` takes them.
    render : callable
        From a row to what holds ``original``, ``kept`` and ``removed``, each a `Clip`, and perhaps ``true``: as attributes,
        such as `otoscope.studies.Replayer` gives, or as a mapping.
    folder : Path
        Of the page; it gets ``index.html`` and what belongs to it.
    log : callable
        Called with a line for each clip, and for each row that cannot be made again.

    Returns
    -------
    dict or None
        ``clips``, as the view ``table`` takes them; None where no clip could be made again.

    Raises
    ------
    OtoscopeError
        If no clips can be chosen.
    """
    rows = select(rows, ask.only)
    telling = telling_clips(rows, table, Ask())
    names = list(dict.fromkeys(_name(table, line) for clip in telling for line in clip.lines))
    clips: list[tuple[Telling, Heard]] = []
    cards = []
    for clip in telling:
        log(f"making the sounds of {clip.clip} again ({WHY[clip.why]}, {len(clip.rows)} methods)")
        made = [(line, row, _made(rows.row(row), render, log)) for line, row in zip(clip.lines, clip.rows, strict=True)]
        some = [(line, rows.row(row), sounds) for line, row, sounds in made if sounds is not None]
        if some:
            cards.append(_card(clip, len(clips), table, some))
            clips.append((clip, some))
    if not clips:
        return None
    rate = max(
        min(max(sounds["original"].sample_rate, RATES[0]), RATES[1]) for _, some in clips for _, _, sounds in some
    )
    make_folder(folder / "audio")
    contents = {
        "title": f"{table.title}: clips to hear",
        "intro": INTRO,
        "sample_rate": rate,
        "words": PAGE_WORDS,
        "networks": [{"name": name, "title": name} for name in names],
        "starts": [],
        "clips": [_clip(place, clip, table, some, rate, folder) for place, (clip, some) in enumerate(clips)],
    }
    registry.get("view", "listening").target(folder, contents)
    return {"clips": cards}


def _name(table: Table, line: Line) -> str:
    named, title = {**line.name, **line.chosen}, line_title(table, line)
    if title:
        named["name" if "name" in named else "method"] = title
    return ", ".join(word for word in named.values() if word)


def _made(row: dict[str, Any], render: Render, log: Log) -> dict[str, Clip] | None:
    """The sounds of a row; None, and a line that says why, where they cannot be made."""
    try:
        found = render(row)
    except OtoscopeError as error:
        log(f"{row['method']} on {row['clip']} cannot be heard: {error}")
        return None
    parts = {}
    for part in ("original", "kept", "removed", "true"):
        sound = found.get(part) if isinstance(found, Mapping) else getattr(found, part, None)
        if sound is not None:
            parts[part] = sound
    return parts


def _card(clip: Telling, place: int, table: Table, some: Heard) -> dict[str, Any]:
    row = some[0][1]
    return {
        "why": clip.why,
        "place": place,
        "clip": clip.clip,
        "label": str(row.get("target_label") or row.get("label") or ""),
        "where": clip.where(table),
        "heard": [
            {"name": _name(table, line), **{part: _p(row, part) for part in ("kept", "removed")}}
            for line, row, _ in some
        ],
    }


def _p(row: Mapping[str, Any], part: str) -> float | None:
    """The probability of the target on a part: as heard where it was measured."""
    for name in (f"heard_{part}", part):
        value = row.get(name)
        if isinstance(value, int | float) and np.isfinite(value):
            return float(value)
    return None


def _clip(place: int, clip: Telling, table: Table, some: Heard, rate: int, folder: Path) -> dict[str, Any]:
    """All versions of one clip, each written as a file."""
    _, row, sounds = some[0]
    length = round(sounds["original"].duration * rate)

    def write(name: str, sound: Clip, facts: Sequence[tuple[str, str]] = ()) -> dict[str, Any]:
        version = _write(folder, f"{place}-{name}", sound, rate, length)
        return {**version, "facts": [list(fact) for fact in facts]}

    label = str(row.get("target_label") or "target")
    versions = [{"kind": "original", **write("original", sounds["original"], _fact(label, row, "original"))}]
    if "true" in sounds:
        versions.append({"kind": "control", "title": "what should be found", **write("true", sounds["true"])})
    for k, (line, own, parts) in enumerate(some):
        for kind, part in (("reconstruction", "kept"), ("difference", "removed")):
            made = write(f"{k}-{part}", parts[part], _fact(label, own, part))
            versions.append({"kind": kind, "network": _name(table, line), **made})
    where = ", ".join(text for text in (WHY[clip.why], clip.where(table)) if text)
    return {"file": f"{clip.clip} ({where})", "label": label, "versions": versions}


def _fact(label: str, row: Mapping[str, Any], part: str) -> list[tuple[str, str]]:
    value = _p(row, part)
    return [] if value is None else [(f"p({label})", f"{100 * value:.1f} %")]


def _write(folder: Path, name: str, sound: Clip, rate: int, length: int) -> dict[str, Any]:
    """One sound as FLAC: mono or stereo, at the page's rate, as long as the original."""
    samples = sound.samples if sound.channels <= 2 else downmix(sound.samples)[None]
    there = resample(samples, sound.sample_rate, rate)[:, :length]
    there = np.pad(there, ((0, 0), (0, length - there.shape[1])))
    data, gain = encode(there, rate)
    path = folder / "audio" / f"{name}.flac"
    with atomic_write(path) as part:
        part.write_bytes(data)
    version: dict[str, Any] = {"audio": f"audio/{path.name}"}
    if gain > 1:
        version["attenuated_db"] = float(20 * np.log10(gain))
    return version
