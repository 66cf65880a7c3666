"""The forms of label files, each from text to rows; which it is follows from what the text looks like."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from otoscope.datasets.events import LabelError, Row, checked, hertz, number, seconds
from otoscope.datasets.scenes.synthesis import Event

COLUMNS = {
    "file": ("filename", "file", "file_name", "path", "clip", "audio", "audio_file", "audio_filename", "recording"),
    "onset": ("onset", "event_onset", "start", "begin", "start_time", "begin_time", "onset_s", "start_s", "start_seconds"),
    "offset": ("offset", "event_offset", "end", "stop", "end_time", "stop_time", "offset_s", "end_s", "stop_s", "end_seconds"),
    "duration": ("duration", "event_duration", "duration_s", "length", "delta_time"),
    "label": (
        "event_label", "label", "event", "class", "category", "annotation", "tag", "tags", "species", "common_name",
        "species_code", "sound", "name", "call_type",
    ),
    "low": ("low_hz", "low_freq", "low_frequency", "freq_low", "min_freq", "fmin", "f_min", "low"),
    "high": ("high_hz", "high_freq", "high_frequency", "freq_high", "max_freq", "fmax", "f_max", "high"),
}  # fmt: skip
"""Names of columns, in small letters, spaces as ``_`` and without units in brackets; the first that is there is taken."""
RAVEN = ("begin_time", "end_time")
KNOWN = (
    "a label file of Audacity, a selection table of Raven, a table with a head (CSV or TSV with columns such as onset, offset, "
    "label), or JAMS"
)
Parsed = tuple[str, tuple[Row, ...], tuple[str, ...]]
Cells = list[tuple[int, list[str]]]


def parse(file: Path, text: str) -> Parsed:
    """Form, rows and notes of a label file's text."""
    lines = [(n, line) for n, line in enumerate(text.split("\n"), start=1) if line.strip()]
    if not lines:
        return "empty", (), ()
    if file.suffix.lower() in (".jams", ".json") or lines[0][1].lstrip().startswith("{"):
        return _jams(file, text)
    first = _split(lines[0][1])
    if len(first) >= 2 and number(first[0]) is not None and number(first[1]) is not None:
        return _audacity(file, lines)
    if len(first) == 4 and number(first[1]) is not None and number(first[2]) is not None:
        return _table(file, ["filename", "onset", "offset", "event_label"], _cells(file, lines, "\t"))
    delimiter = max("\t,;", key=lines[0][1].count)
    cells = _cells(file, lines, delimiter)
    head = [_column(name) for name in cells[0][1]]
    if not _which(head, "onset"):
        shown = lines[0][1].strip()[:80]
        raise LabelError(file, f"it begins with {shown!r}; {KNOWN} is expected", lines[0][0])
    raven = all(name in head for name in RAVEN) and ("selection" in head or "view" in head)
    return (_raven if raven else _table)(file, head, cells[1:])


def _split(line: str) -> list[str]:
    """Cells between tabs, or where there are none the times and the rest of the line."""
    return [c.strip() for c in line.split("\t")] if "\t" in line else line.split(None, 2)


def _column(name: str) -> str:
    """A column's name as `COLUMNS` has them."""
    return re.sub(r"[\s.-]+", "_", re.sub(r"[(\[].*?[)\]]", "", name).strip().lower()).strip("_")


def _which(head: Sequence[str], meaning: str) -> str:
    return next((name for name in COLUMNS[meaning] if name in head), "")


def _cells(file: Path, lines: Sequence[tuple[int, str]], delimiter: str) -> Cells:
    """Cells of each line that has some, with its number."""
    found = []
    reader = csv.reader((line + "\n" for _, line in lines), delimiter=delimiter, strict=True)
    try:
        for row in reader:
            found.append((lines[reader.line_num - 1][0], [cell.strip() for cell in row]))
    except csv.Error as error:
        at = lines[min(reader.line_num, len(lines)) - 1][0]
        raise LabelError(file, f"it cannot be read as a table ({error}); is a quotation mark missing?", at) from error
    return found


def _audacity(file: Path, lines: Sequence[tuple[int, str]]) -> Parsed:
    """``onset TAB offset TAB label``, each perhaps followed by ``\\ TAB low TAB high``."""
    rows: list[Row] = []
    for place, line in lines:
        cells = _split(line)
        if cells[0] == "\\":
            if not rows or len(cells) != 3:
                raise LabelError(
                    file, f"a line of frequencies (\\, low, high) follows a label; got {line.strip()[:80]!r}", place
                )
            event = rows[-1].event
            assert event is not None
            low, high = (hertz(c, file, place, w) for c, w in zip(cells[1:], ("low", "high"), strict=True))
            rows[-1] = Row(
                checked(Event(event.label, event.onset, event.offset, low, high), file, place), "", rows[-1].place
            )
            continue
        if len(cells) < 2:
            raise LabelError(
                file, f"onset, offset and label are expected, with tabs between; got {line.strip()[:80]!r}", place
            )
        onset, offset = (seconds(c, file, place, w) for c, w in zip(cells[:2], ("onset", "offset"), strict=True))
        label = " ".join(cells[2:]).strip()
        rows.append(Row(checked(Event(label, onset, offset), file, place), "", place))
    return "audacity", tuple(rows), ()


def _table(file: Path, head: Sequence[str], cells: Cells) -> Parsed:
    """Columns by their names; one file or many."""
    have = {meaning: _which(head, meaning) for meaning in COLUMNS}
    for needed, other in (("label", ""), ("offset", "duration")):
        if not have[needed] and not have.get(other, ""):
            names = ", ".join(COLUMNS[needed][:4])
            raise LabelError(file, f"it has no column {needed!r} (or {names}, ...); it has {list(head)}")
    rows = []
    for place, values in cells:
        row = _row(file, place, head, values)
        cell = {meaning: row.get(name, "") for meaning, name in have.items()}
        if have["file"] and not cell["file"]:
            raise LabelError(file, "the row names no clip", place)
        if all(cell[m].lower() in ("", "nan") for m in ("onset", "offset", "duration", "label")) and cell["file"]:
            rows.append(Row(None, cell["file"], place))  # a clip in which nothing sounds
            continue
        rows.append(Row(_event(file, place, cell, bool(have["offset"])), cell["file"], place))
    return "table", tuple(rows), ()


def _row(file: Path, place: int, head: Sequence[str], values: list[str]) -> dict[str, str]:
    """The cells by their columns; empty ones may be missing at the end."""
    if len(values) > len(head) and any(values[len(head) :]):
        raise LabelError(
            file,
            f"{len(values)} cells in a table of {len(head)} columns; put cells that hold a delimiter in quotes",
            place,
        )
    return dict(zip(head, [*values, *[""] * len(head)], strict=False))


def _event(file: Path, place: int, cell: Mapping[str, str], has_offset: bool) -> Event:
    onset = seconds(cell["onset"], file, place, "onset")
    if has_offset:
        offset = seconds(cell["offset"], file, place, "offset")
    else:
        offset = onset + seconds(cell["duration"], file, place, "duration")
    if not cell["label"]:
        raise LabelError(file, "the row has no label", place)
    low, high = (hertz(cell[w], file, place, w) for w in ("low", "high"))
    return checked(Event(cell["label"], onset, offset, low, high), file, place)


def _raven(file: Path, head: Sequence[str], cells: Cells) -> Parsed:
    """A selection table: a row a selection and view, of one sound file or of a row of them.

    A selection that is in the table once for each view counts once, with its band where one of the views has it.
    """
    label = _which(head, "label")
    if not label:
        names = ", ".join(COLUMNS["label"][:6])
        raise LabelError(
            file, f"the selection table has no column that names the sounds ({names}, ...); it has {list(head)}"
        )
    table = [(place, _row(file, place, head, values)) for place, values in cells]
    files = {row.get("begin_file", "") for _, row in table}
    if len(files) > 1 and "file_offset" not in head:
        raise LabelError(file, f"it is about {len(files)} sound files; export it with the column 'File Offset (s)'")
    kept: dict[tuple[object, ...], Row] = {}
    for place, row in table:
        onset, offset = (
            seconds(row[c], file, place, w) for c, w in zip(RAVEN, ("begin time", "end time"), strict=True)
        )
        if len(files) > 1:
            start = seconds(row["file_offset"], file, place, "file offset")
            onset, offset = start, start + offset - onset
        low, high = (hertz(row.get(_which(head, w), ""), file, place, w) for w in ("low", "high"))
        event = checked(Event(row[label], onset, offset, low, high), file, place)
        clip = row.get("begin_file", "")
        same = (row.get("selection") or place, clip, onset, offset)
        before = kept.get(same)
        if before is None or before.event is None or (before.event.low_hz, before.event.high_hz) == (None, None):
            kept[same] = Row(event, clip, place)
    return "raven", tuple(kept.values()), ()


def _jams(file: Path, text: str) -> Parsed:
    """The annotations whose namespace describes what sounds when: segments, tags, scaper's events."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise LabelError(file, f"it is not valid JSON ({error})") from error
    annotations = content.get("annotations") if isinstance(content, dict) else None
    if not isinstance(annotations, list):
        raise LabelError(file, "JAMS has a list 'annotations' at its top; there is none")
    rows, skipped, used = [], [], 0
    for i, annotation in enumerate(annotations, start=1):
        space = annotation.get("namespace") if isinstance(annotation, dict) else None
        if not isinstance(space, str):
            raise LabelError(file, "it has no namespace", f"annotation {i}")
        if not (space.startswith(("tag_", "segment")) or space in ("scaper", "sound_event")):
            skipped.append(space)
            continue
        used += 1
        for j, seen in enumerate(_observations(file, annotation.get("data"), i), start=1):
            rows.append(_observation(file, seen, f"annotation {i}, observation {j}"))
    if skipped and not used:
        raise LabelError(file, f"namespaces segment_open, tag_* or scaper are expected; it has {', '.join(skipped)}")
    notes = tuple(f"annotations of the namespace {space} were left out" for space in dict.fromkeys(skipped))
    return "jams", tuple(rows), notes


def _observations(file: Path, data: Any, i: int) -> list[Any]:
    """One by one, from a list of them or from lists side by side (dense annotations)."""
    if isinstance(data, list):
        return data
    columns = ("time", "duration", "value")
    lists: list[Any] = [data.get(c) for c in columns] if isinstance(data, dict) else []
    if lists and all(isinstance(v, list) and len(v) == len(lists[0]) for v in lists):
        return [dict(zip(columns, values, strict=True)) for values in zip(*lists, strict=True)]
    raise LabelError(
        file, "data must be a list of observations, or lists time, duration, value of one length", f"annotation {i}"
    )


def _observation(file: Path, seen: Any, place: str) -> Row:
    if not isinstance(seen, dict):
        raise LabelError(file, f"an observation has time, duration and value; got {str(seen)[:60]!r}", place)
    value = seen.get("value")
    label = value.get("label") if isinstance(value, dict) else value
    if not isinstance(label, str) or not label.strip():
        raise LabelError(file, f"the value must be a label, or hold one as 'label'; got {str(value)[:60]!r}", place)
    onset = seconds(seen.get("time"), file, place, "time")
    return Row(Event(label.strip(), onset, onset + seconds(seen.get("duration"), file, place, "duration")), "", place)
