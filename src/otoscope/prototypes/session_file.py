"""The file of a session: one line for what it belongs to, then one for each edit; and what an edit makes of a network."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from otoscope.classifiers.base import Classifier
from otoscope.classifiers.prototype_network import list_prototypes
from otoscope.core.errors import OtoscopeError, ParameterError, UnknownNameError, WriteError
from otoscope.prototypes.clips import EncodedClips
from otoscope.prototypes.edit import add, delete, merge, rename
from otoscope.prototypes.tune import TuneSettings, tune
from otoscope.surgery import state_digest

T = TypeVar("T")

FORMAT = 1
KIND = "otoscope prototype session"
EDITS = "edits.jsonl"
OTHERS = ("test", "begin tune", "end tune")  # lines that change no weights
# What each kind of line must hold; all that change weights hold the digest of the result.
NEEDED: dict[str, dict[str, type]] = {
    "delete": {"ids": list, "result": str}, "merge": {"ids": list, "result": str},
    "rename": {"id": str, "name": str, "result": str}, "add": {"clip": str, "place": int, "id": str, "label": int, "result": str},
    "tune": {"result": str}, "undo": {}, "redo": {}, **{name: {} for name in OTHERS},
}  # fmt: skip


def weights_digest(classifier: Classifier) -> str:
    """A digest of the weights and of what the prototypes are called."""
    names = tuple((p.id, p.name) for p in list_prototypes(classifier))
    return state_digest(classifier.network.state_dict(), names)[:16]


def clips_digest(clips: EncodedClips) -> str:
    """A digest of clips' file names, classes and latent maps (rounded, as machines differ in the last digits)."""
    text = "\n".join(f"{e.path.name}:{t}" for e, t in zip(clips.examples, clips.targets.tolist(), strict=True))
    means = (clips.maps.mean((1, 2, 3)) * 1e3).round().long().tolist()
    return hashlib.sha256(f"{text}\n{means}".encode("utf-8", "surrogateescape")).hexdigest()[:16]


def step_back_or_forth(edit: str, done: list[T], undone: list[T], line: int, path: Path) -> None:
    """An undo or redo in a file: the last one of one list goes to the other.

    Raises
    ------
    OtoscopeError
        If there is none.
    """
    source, target = (done, undone) if edit == "undo" else (undone, done)
    if not source:
        raise OtoscopeError(f"{path}: line {line}: there is nothing to {edit}")
    target.append(source.pop())


def make_edit(
    classifier: Classifier,
    line: Mapping[str, Any],
    training: EncodedClips,
    progress: Callable[[int, float], bool] | None = None,
) -> Classifier:
    """The network that one edit of a session makes of another.

    Raises
    ------
    OtoscopeError
    """
    edit = line["edit"]
    if edit in ("delete", "merge"):
        return (delete if edit == "delete" else merge)(classifier, line.get("ids", ()))
    if edit == "rename":
        return rename(classifier, line.get("id", ""), line.get("name", ""))
    if edit == "add":
        latent = training.maps[find_clip(training, line["clip"], line["place"])]
        return add(classifier, latent, line["label"], line["id"], line.get("name", ""), line["clip"])
    settings = TuneSettings(**{f.name: line[f.name] for f in dataclasses.fields(TuneSettings) if f.name in line})
    stopped = False

    def watch(epoch: int, loss: float) -> bool:
        nonlocal stopped
        stopped = bool(progress is not None and progress(epoch, loss))
        return stopped

    made = tune(classifier, training, settings, watch)
    if stopped:
        raise OtoscopeError("the tuning was stopped; the network is as it was before")
    return made


def find_clip(clips: EncodedClips, name: Any, place: Any = None) -> int:
    """Number of a clip: ``place``, which must have the file name, or that of the one clip with the name.

    Raises
    ------
    UnknownNameError
    ParameterError
        If several clips have the name and no place is given.
    """
    names = [e.path.name for e in clips.examples]
    if type(place) is int and 0 <= place < len(names) and name in (None, names[place]):
        return place
    if name not in names or place is not None:
        raise UnknownNameError("training clip", str(name if place is None else f"{name} ({place})"), names)
    if names.count(name) > 1:
        raise ParameterError(
            f"{names.count(name)} training clips are called {name!r}; give the place of one in the list"
        )
    return names.index(name)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a session's file; a last one that was cut short by a crash is left out.

    Raises
    ------
    OtoscopeError
        If the file cannot be read, or another line is damaged.
    """
    try:
        text = path.read_text(encoding="utf-8") if path.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise OtoscopeError(f"cannot read the session {path}: {error}") from error
    lines = text.split("\n")
    rest, lines = lines[-1], lines[:-1]
    if rest:
        with contextlib.suppress(ValueError, RecursionError):
            json.loads(rest)
            lines.append(rest)
    found: list[dict[str, Any]] = []
    for number, line in enumerate(lines, 1):
        try:
            content = json.loads(line)
        except (ValueError, RecursionError):
            content = None
        if not isinstance(content, dict):
            raise OtoscopeError(
                f"{path}: line {number} is damaged; restore the file, or begin a session in another folder"
            )
        found.append(content)
    return found


def check_line(line: Mapping[str, Any], number: int, path: Path) -> str:
    """The kind of a line that is no header.

    Raises
    ------
    OtoscopeError
        If it is none of a session, or lacks something.
    """
    edit = line.get("edit")
    if not isinstance(edit, str) or edit not in NEEDED:
        raise OtoscopeError(
            f"{path}: line {number}: unknown edit {edit!r}; was it written by a later version of Otoscope?"
        )
    wrong = [key for key, kind in NEEDED[edit].items() if type(line.get(key)) is not kind]
    if wrong or not all(isinstance(one, str) for one in line.get("ids", [])):
        raise OtoscopeError(f"{path}: line {number} is damaged; restore the file, or begin a session in another folder")
    return edit


def check_result(classifier: Classifier, line: Mapping[str, Any], number: int, path: Path) -> None:
    """Refuse weights that an edit did not give when it was made.

    Raises
    ------
    OtoscopeError
    """
    if line["result"] != weights_digest(classifier):
        raise OtoscopeError(
            f"{path}: line {number} ({line['edit']}) gives other weights than it did in the session: the file was changed, or "
            "another machine or version of torch rounds differently"
        )


def check_header(
    header: Mapping[str, Any], base: Classifier, training: EncodedClips, path: Path, **others: EncodedClips | None
) -> None:
    """Refuse a session of another model, of other clips or of a later version.

    Parameters
    ----------
    header : mapping
        The first line.
    base : Classifier
        The model.
    training : EncodedClips
        The training clips.
    path : Path
        Of the file.
    **others
        Validation and test clips; those of the session must be the same if it had some.

    Raises
    ------
    OtoscopeError
    """
    if header.get("kind") != KIND:
        raise OtoscopeError(f"{path} is not a session of prototypes; give the folder of one, or a new folder")
    if not isinstance(header.get("format"), int) or header["format"] > FORMAT:
        raise OtoscopeError(
            f"{path} has format {header.get('format')!r}, and this version of Otoscope reads formats up to {FORMAT}; "
            "update Otoscope"
        )
    if header.get("weights") != weights_digest(base):
        raise OtoscopeError(
            f"{path} is the session of another model ({header.get('model')!r}, weights {header.get('weights')}; got "
            f"{weights_digest(base)}); give that model, or a new folder"
        )
    if header.get("clips") != clips_digest(training):
        raise OtoscopeError(
            f"{path} was made with other training clips; give the same data set and folds (were files moved or changed?), or a "
            "new folder"
        )
    for part, clips in others.items():
        if clips is not None and header.get(part) not in (None, clips_digest(clips)):
            raise OtoscopeError(f"{path} was made with other {part} clips; give the same folds, or a new folder")


class SessionFile:
    """The file, open for appending; refused while another process has it open.

    Parameters
    ----------
    path : Path
        Of the file; made if needed.

    Raises
    ------
    OtoscopeError
        If it cannot be opened, or is open elsewhere.
    """

    def __init__(self, path: Path):
        self.path = path
        try:
            self._file = path.open("ab", buffering=0)
        except OSError as error:
            raise OtoscopeError(f"cannot write the session {path}: {error.strerror}; choose another folder") from error
        try:
            import fcntl

            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ImportError:  # Windows: nothing stops a second process
            pass
        except OSError as error:
            self._file.close()
            raise OtoscopeError(
                f"the session {path.parent} is open in another process; close that studio, or choose another folder"
            ) from error

    def end_line(self) -> None:
        """End a last line that an editor left open; cut one off that a crash cut short."""
        content = self.path.read_bytes()
        if not content or content.endswith(b"\n"):
            return
        try:
            json.loads(content.rpartition(b"\n")[2])
        except (ValueError, RecursionError):
            os.truncate(self.path, content.rfind(b"\n") + 1)
        else:
            self._file.write(b"\n")

    def append(self, line: Mapping[str, Any]) -> None:
        """A line that is on disk when this returns, or not at all.

        Raises
        ------
        WriteError
        """
        size = os.fstat(self._file.fileno()).st_size
        text = (json.dumps(line, separators=(", ", ": ")) + "\n").encode()
        try:
            written = 0
            while written < len(text):
                written += self._file.write(text[written:])
            os.fsync(self._file.fileno())
        except OSError as error:
            os.ftruncate(self._file.fileno(), size)
            raise WriteError(self.path, f"{error.strerror or error}; the edit was not made") from error

    def close(self) -> None:
        """Let others open it."""
        self._file.close()
