"""Label files: what sounds when in a clip, and in which band.

Read are Audacity's labels (with their lines of frequencies), Raven's selection tables, tables of DCASE and DESED, any CSV
with a head, and JAMS. What a file is follows from its content. Times in seconds, frequencies in Hz.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path, PurePosixPath, PureWindowsPath

from otoscope.core.errors import OtoscopeError, ParameterError
from otoscope.core.files import write_text
from otoscope.datasets.scenes.synthesis import Event

SUFFIXES = (".jams", ".selections.txt", ".Table.1.selections.txt", ".tsv", ".csv", ".txt")
"""Suffixes of label files next to their clip, in order of precedence."""


class LabelError(OtoscopeError, ValueError):
    """A label file that cannot be read.

    Parameters
    ----------
    path : Path
        The label file.
    reason : str
        What came, and what was expected.
    place : int or str
        The line, or the place in a JSON file; 0 for the whole file.

    Examples
    --------
    >>> import pathlib
    >>> _ = pathlib.Path("bark.txt").write_text("0.5\\t0.1\\tdog\\n")
    >>> read_labels("bark.txt")
    Traceback (most recent call last):
    ...
    otoscope.datasets.events.LabelError: bark.txt, line 1: the event ends at 0.1 s, before it begins at 0.5 s
    """

    def __init__(self, path: object, reason: str, place: int | str = 0):
        where = f", line {place}" if isinstance(place, int) and place else f", {place}" if place else ""
        super().__init__(f"{path}{where}: {reason}")


@dataclass(frozen=True)
class Row:
    """One event of a label file."""

    event: Event | None  # None: the clip is named, and has no events
    clip: str = ""  # the file that is meant, as the label file has it; empty where it names none
    place: int | str = 0  # the line, or the place in a JSON file


@dataclass(frozen=True)
class Labels:
    """The events of one clip, in order of onset.

    Parameters
    ----------
    events : tuple of Event
        ``low_hz`` and ``high_hz`` are None if the file has no band.
    notes : tuple of str
        What was changed or left out on the way.

    Examples
    --------
    >>> Labels((otoscope.datasets.scenes.Event("dog", 0.1, 0.4),)).events[0].offset
    0.4
    """

    events: tuple[Event, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class LabelFile:
    """The content of a label file, about one clip or many."""

    path: Path
    form: str  # audacity, raven, table, jams or empty, by its content
    rows: tuple[Row, ...]  # its events, in the order of the file
    notes: tuple[str, ...] = ()  # what was changed or left out

    @property
    def clips(self) -> tuple[str, ...]:
        """The clips that are named, in the order of the file; empty where it names none."""
        return tuple(dict.fromkeys(row.clip for row in self.rows if row.clip))

    def names(self, clip: str) -> bool:
        """Whether the clip, a file name or path, is among those named."""
        return any(_same(clip, name) for name in self.clips)

    def of(self, clip: str = "", duration_s: float | None = None) -> Labels:
        """The events of one clip.

        Parameters
        ----------
        clip : str
            Its file name or path; may be empty where the file is about one clip.
        duration_s : float, s, optional
            Length of the clip; events are cut at its end, with a note.

        Returns
        -------
        Labels

        Raises
        ------
        LabelError
            If the file is about many clips and this one is not named.
        """
        rows = self.rows
        if self.clips and clip:
            rows = tuple(row for row in rows if _same(clip, row.clip))
        if self.clips and (not rows or (not clip and len(self.clips) > 1)):
            shown = ", ".join(self.clips[:3]) + (", ..." if len(self.clips) > 3 else "")
            raise LabelError(
                self.path, f"it is about {len(self.clips)} clips ({shown}); name one of them; got {clip!r}"
            )
        found = [row for row in rows if row.event is not None]
        events, notes = _within(found, duration_s)
        return Labels(tuple(sorted(events, key=lambda e: (e.onset, e.offset, e.label))), (*self.notes, *notes))


def read_labels(path: str | os.PathLike[str], clip: str = "", duration_s: float | None = None) -> Labels:
    """The events of a clip from a label file.

    Parameters
    ----------
    path : path
        Audacity's labels, a selection table of Raven, a table with a head (CSV, TSV; DCASE and DESED), or JAMS. UTF-8 or
        UTF-16; what is neither is read as Latin-1, with a note. An empty file means no events.
    clip : str
        File name of the clip, for files about many.
    duration_s : float, s, optional
        Length of the clip; events are cut at its end, with a note.

    Returns
    -------
    Labels

    Raises
    ------
    LabelError
        Naming file and line: for a file that is none of these, times that are not numbers, negative or the wrong way round,
        or a clip that the file does not name.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "clip.txt"
    >>> _ = file.write_text("0.5\\t1.25\\tdog\\n")
    >>> read_labels(file).events
    (Event(label='dog', onset=0.5, offset=1.25, low_hz=None, high_hz=None),)
    """
    return label_file(path).of(clip, duration_s)


def label_file(path: str | os.PathLike[str]) -> LabelFile:
    """A label file about one clip or many; errors as in `read_labels`."""
    file = Path(path)
    try:
        stat = file.stat()
    except OSError as error:
        raise LabelError(file, f"it cannot be read ({error.strerror or error})") from error
    return _read(file, (stat.st_mtime_ns, stat.st_size))


@lru_cache(maxsize=64)
def _read(file: Path, _stamp: tuple[int, int]) -> LabelFile:
    from otoscope.datasets.event_formats import parse  # it needs what is above

    text, notes = _text(file)
    form, rows, more = parse(file, text)
    return LabelFile(file, form, rows, (*notes, *more))


def _text(file: Path) -> tuple[str, tuple[str, ...]]:
    """The file as text with line feeds alone, and a note where the encoding is a guess."""
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise LabelError(file, f"it cannot be read ({error.strerror or error}); a label file is expected") from error
    notes: tuple[str, ...] = ()
    wide = raw[:2] in (b"\xff\xfe", b"\xfe\xff")
    if b"\0" in raw and not wide:
        raise LabelError(file, "it holds NUL bytes: a sound or another binary file, not a label file")
    try:
        text = raw.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError:
        text, notes = raw.decode("latin-1"), (f"{file.name} is not UTF-8 and was read as Latin-1",)
    return text.replace("\r\n", "\n").replace("\r", "\n"), notes


def seconds(text: object, file: Path, place: int | str, what: str) -> float:
    """A time as a number of at least 0, or a `LabelError`."""
    value = number(text)
    if value is None or not 0.0 <= value < math.inf:
        raise LabelError(file, f"the {what} must be seconds of at least 0, such as 1.5; got {text!r}", place)
    return value


def number(text: object) -> float | None:
    """A cell as a float; None for what is none."""
    if isinstance(text, bool) or not isinstance(text, str | int | float):
        return None
    try:
        return float(text)
    except (ValueError, OverflowError):
        return None


def hertz(text: object, file: Path, place: int | str, what: str) -> float | None:
    """A frequency; None for an empty cell, and for -1, which Audacity writes for the same."""
    if text is None or (isinstance(text, str) and text.strip().lower() in ("", "nan", "none", "null")):
        return None
    value = number(text)
    if value == -1.0:
        return None
    if value is None or not 0.0 <= value < math.inf:
        raise LabelError(file, f"the {what} must be Hz of at least 0, such as 1500; got {text!r}", place)
    return value


def checked(event: Event, file: Path, place: int | str) -> Event:
    """The event, or a `LabelError` where its ends are the wrong way round."""
    if event.offset < event.onset:
        raise LabelError(file, f"the event ends at {event.offset:g} s, before it begins at {event.onset:g} s", place)
    if event.low_hz is not None and event.high_hz is not None and event.high_hz < event.low_hz:
        raise LabelError(file, f"the band ends at {event.high_hz:g} Hz, below its start at {event.low_hz:g} Hz", place)
    return event


def write_audacity(path: str | os.PathLike[str], events: Iterable[Event]) -> Path:
    """Write events as a label file of Audacity, with a line of frequencies for those that have a band.

    Parameters
    ----------
    path : path
        The file to write.
    events : iterable of Event
        `read_labels` gives the same ones back, to the nanosecond and the microhertz.

    Returns
    -------
    Path

    Raises
    ------
    ParameterError
        For numbers that are not finite, and labels with tabs or line breaks.
    WriteError

    Examples
    --------
    >>> from otoscope.datasets.scenes import Event
    >>> write_audacity("bark.txt", [Event("dog", 0.1, 0.4)]).read_text()
    '0.100000000\\t0.400000000\\tdog\\n'
    """
    lines = []
    for event in events:
        band = [-1.0 if hz is None else hz for hz in (event.low_hz, event.high_hz)]
        if not all(math.isfinite(v) for v in (event.onset, event.offset, *band)):
            raise ParameterError(f"times and frequencies of a label must be finite; got {event}")
        if any(c in event.label for c in "\t\n\r") or event.label != event.label.strip():
            raise ParameterError(f"a label holds no tabs, line breaks or spaces around it; got {event.label!r}")
        lines.append(f"{event.onset:.9f}\t{event.offset:.9f}\t{event.label}")
        if band != [-1.0, -1.0]:
            lines.append(f"\\\t{band[0]:.6f}\t{band[1]:.6f}")
    return write_text(path, "".join(line + "\n" for line in lines))


def _same(clip: str, name: str) -> bool:
    """Whether two names mean one clip: the same file name, or the same without its ending."""
    one, other = _last(clip), _last(name)
    return one == other or (_stem(one) == _stem(other) and "" in (_ending(one), _ending(other)))


def _last(name: str) -> str:
    return PurePosixPath(PureWindowsPath(name).as_posix()).name


def _stem(name: str) -> str:
    return name[: len(name) - len(_ending(name))]


def _ending(name: str) -> str:
    """``.wav`` and the like; a name such as ``Y1_30.000_40.000`` has none."""
    suffix = PurePosixPath(name).suffix
    return suffix if suffix[1:].isalnum() and not suffix[1:].isdigit() else ""


def _within(rows: Sequence[Row], duration_s: float | None) -> tuple[list[Event], list[str]]:
    """The events that last, cut at the clip's end, and notes on what that changed."""
    events, notes, points = [], [], 0
    for row in rows:
        event = row.event
        assert event is not None
        at = f"line {row.place}" if isinstance(row.place, int) else row.place
        if duration_s is not None and event.offset > duration_s:
            if event.onset >= duration_s:
                notes.append(f"{at}: {event.label!r} begins at {event.onset:g} s, after the clip's end: left out")
                continue
            if event.offset > duration_s + 1e-3:
                notes.append(f"{at}: {event.label!r} was cut at the clip's end, {duration_s:g} s")
            event = replace(event, offset=duration_s)
        if event.offset == event.onset:
            points += 1
            continue
        events.append(event)
    if points:
        notes.append(f"{points} labels without length were left out")
    return events, notes
