"""The file of a session: one line for what it belongs to, then one for each edit; and what an edit makes of a network."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from otoscope.classifiers.base import Classifier
from otoscope.classifiers.prototype_network import list_prototypes
from otoscope.core.errors import OtoscopeError, UnknownNameError
from otoscope.prototypes.clips import EncodedClips
from otoscope.prototypes.edit import add, delete, merge, rename
from otoscope.prototypes.tune import TuneSettings, tune
from otoscope.surgery import state_digest

FORMAT = 1
KIND = "otoscope prototype session"
EDITS = "edits.jsonl"
OTHERS = ("test", "begin tune", "end tune")  # lines that change no weights


def weights_digest(classifier: Classifier) -> str:
    """A digest of the weights and of what the prototypes are called."""
    names = tuple((p.id, p.name) for p in list_prototypes(classifier))
    return state_digest(classifier.network.state_dict(), names)[:16]


def clips_digest(clips: EncodedClips) -> str:
    """A digest of clips' file names, classes and latent maps (rounded, as machines differ in the last digits)."""
    text = "\n".join(f"{e.path.name}:{t}" for e, t in zip(clips.examples, clips.targets.tolist(), strict=True))
    means = (clips.maps.mean((1, 2, 3)) * 1e3).round().long().tolist()
    return hashlib.sha256(f"{text}\n{means}".encode()).hexdigest()[:16]


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
        latent = training.maps[find_clip(training, line.get("clip"))]
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


def find_clip(clips: EncodedClips, name: Any) -> int:
    """Number of the clip with a file name.

    Raises
    ------
    UnknownNameError
    """
    names = [e.path.name for e in clips.examples]
    if name not in names:
        raise UnknownNameError("training clip", str(name), names)
    return names.index(name)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a session's file; one that was cut short by a crash, at the end, is left out.

    Raises
    ------
    OtoscopeError
        If the file cannot be read, or another line is damaged.
    """
    try:
        text = path.read_text(encoding="utf-8") if path.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise OtoscopeError(f"cannot read the session {path}: {error}") from error
    whole, _, _ = text.rpartition("\n")
    found: list[dict[str, Any]] = []
    for number, line in enumerate(whole.split("\n") if whole else [], 1):
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
    needed: dict[str, dict[str, type]] = {
        "delete": {"ids": list}, "merge": {"ids": list}, "rename": {"id": str, "name": str},
        "add": {"clip": str, "id": str, "label": int}, "tune": {}, "undo": {}, "redo": {}, **{name: {} for name in OTHERS},
    }  # fmt: skip
    edit = line.get("edit")
    if not isinstance(edit, str) or edit not in needed:
        raise OtoscopeError(
            f"{path}: line {number}: unknown edit {edit!r}; was it written by a later version of Otoscope?"
        )
    if any(not isinstance(line.get(key), kind) for key, kind in needed[edit].items()):
        raise OtoscopeError(f"{path}: line {number} is damaged; restore the file, or begin a session in another folder")
    return edit


def check_header(header: Mapping[str, Any], base: Classifier, training: EncodedClips, path: Path) -> None:
    """Refuse a session of another model, of other clips or of a later version.

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


def open_alone(path: Path) -> IO[str]:
    """The file, open for appending; refused while another process has it open."""
    file = path.open("a", encoding="utf-8")
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:  # Windows: two processes are not told apart
        pass
    except OSError as error:
        file.close()
        raise OtoscopeError(
            f"the session {path.parent} is open in another process; close that studio, or choose another folder"
        ) from error
    _end_line(path)
    return file


def _end_line(path: Path) -> None:
    """Cut a last line off that a crash left without its end."""
    content = path.read_bytes()
    if content and not content.endswith(b"\n"):
        with path.open("r+b") as file:
            file.truncate(content.rfind(b"\n") + 1)
