"""Refinement by hand: a chain of edits that is kept on disk, can be undone without end and replayed to the same weights.

A session is a folder. ``edits.jsonl`` begins with a line that names the model and the clips; every further line is one edit, on
disk before it takes effect. Weights that were tuned are kept as ``tuned-N.safetensors``, where N is the line.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from otoscope.classifiers.base import Classifier
from otoscope.classifiers.prototype_network import editable_network, list_prototypes, prototype_network
from otoscope.core.errors import OtoscopeError, ParameterError, UnknownNameError
from otoscope.core.files import atomic_write, make_folder
from otoscope.prototypes.clips import EncodedClips, accuracy
from otoscope.prototypes.edit import rebuilt
from otoscope.prototypes.session_file import (
    EDITS,
    FORMAT,
    KIND,
    OTHERS,
    SessionFile,
    check_header,
    check_line,
    check_result,
    clips_digest,
    find_clip,
    make_edit,
    read_lines,
    step_back_or_forth,
    weights_digest,
)
from otoscope.prototypes.tune import TuneSettings

KEPT = 24  # versions that are kept in memory; earlier ones are computed again
TUNED = ("prototypes.maps", "prototypes.weights", "out.weight")


@dataclass(frozen=True)
class Version:
    """A network after some edits.

    Parameters
    ----------
    number : int
        Of the line that made it; 0 is the model as it was.
    classifier : Classifier
        The network.
    edit : dict
        The edit that led to it; empty for the model as it was.

    Examples
    --------
    >>> with Session(model, clips, "session") as session:
    ...     session.current.number
    0
    """

    number: int
    classifier: Classifier
    edit: dict[str, Any]


class Session:
    """Edits of one prototype network.

    Parameters
    ----------
    base : Classifier
        A prototype network; it stays as it is.
    training : EncodedClips
        Clips that prototypes are made of and tuned on.
    folder : path
        Of the session: made, or read and continued if it is there.
    validation, test : EncodedClips, optional
        Clips for `evaluate` and `evaluate_test`.
    lock : RLock, optional
        Held while the session changes; a tuning computes without it.

    Raises
    ------
    OtoscopeError
        If the folder holds a session of another model or of other clips, or is open elsewhere.

    Examples
    --------
    >>> with Session(model, clips, "session") as session:
    ...     version = session.apply({"edit": "delete", "ids": ["p1"]})
    ...     session.undo().number
    0
    """

    def __init__(
        self,
        base: Classifier,
        training: EncodedClips,
        folder: str | os.PathLike[str],
        validation: EncodedClips | None = None,
        test: EncodedClips | None = None,
        lock: threading.RLock | None = None,
    ):
        editable_network(base)
        self.base, self.training, self.validation, self.test = base, training, validation, test
        self.lock = lock or threading.RLock()
        self.folder = make_folder(folder)
        self.interrupted: dict[str, Any] | None = None  # a tuning that was begun and never ended
        self._path = self.folder / EDITS
        self._lines: list[dict[str, Any]] = []
        self._done: list[int] = []  # numbers of the lines that are in effect
        self._undone: list[int] = []
        self._versions: dict[int, Classifier] = {0: base}
        self._file = SessionFile(self._path)
        try:
            self._start()
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        """Let others open the session."""
        self._file.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- what there is ------------------------------------------------------------------------------------------------

    @property
    def number(self) -> int:
        """Number of the last line: it grows with every edit, undo and redo."""
        return len(self._lines)

    @property
    def current(self) -> Version:
        """The network as it is now."""
        last = self._done[-1] if self._done else 0
        return self.version(last)

    @property
    def history(self) -> list[dict[str, Any]]:
        """The edits in effect, oldest first, each with its ``number``."""
        return [{"number": n, **self._lines[n - 1]} for n in self._done]

    @property
    def can_redo(self) -> bool:
        """Whether an edit was undone last."""
        return bool(self._undone)

    @property
    def tested(self) -> list[dict[str, Any]]:
        """What `evaluate_test` found, with the line's number."""
        return [{"number": i, **line} for i, line in enumerate(self._lines, 1) if line["edit"] == "test"]

    def version(self, number: int) -> Version:
        """The network after an edit that is in effect, or the model as it was (0).

        Raises
        ------
        ParameterError
        """
        if number and number not in self._done:
            raise ParameterError(
                f"version {number} is not in the history; there are {', '.join(map(str, [0, *self._done]))}"
            )
        chain = [0, *self._done]
        place = chain.index(number)
        start = next(k for k in range(place, -1, -1) if chain[k] in self._versions)
        for before, after in itertools.pairwise(chain[start : place + 1]):
            self._remember(after, self._result(self._versions[before], after))
        edit = self._lines[number - 1] if number else {}
        return Version(number, self._versions[number], edit)

    def new_id(self) -> str:
        """An identity that no prototype has or had."""
        taken = {p.id for p in list_prototypes(self.base)} | {line.get("id", "") for line in self._lines}
        number = len(taken)
        while f"p{number}" in taken:
            number += 1
        return f"p{number}"

    # --- what can be done ---------------------------------------------------------------------------------------------

    def apply(self, edit: Mapping[str, Any], progress: Callable[[int, float], bool] | None = None) -> Version:
        """Make an edit, write it down and return the new version.

        Parameters
        ----------
        edit : mapping
            ``{"edit": "delete", "ids": [...]}``, ``{"edit": "merge", "ids": [...]}``,
            ``{"edit": "rename", "id": ..., "name": ...}``, ``{"edit": "add", "clip": FILE, "place": ..., "name": ...}`` with a
            training clip by its file name, its place in the list or both, or ``{"edit": "tune", ...}`` with settings of
            `TuneSettings`.
        progress : callable, optional
            Of a tuning; see `tune`. One that is stopped is no edit.

        Raises
        ------
        OtoscopeError
            If the edit is not possible; nothing is written down then.
        """
        with self.lock:
            line, before = self.checked(edit), self.current.classifier
            if line["edit"] == "tune":
                self._write({"edit": "begin tune", **{k: v for k, v in line.items() if k != "edit"}})
        try:
            made = make_edit(before, line, self.training, progress)  # others may look meanwhile
        except BaseException:
            if line["edit"] == "tune":
                with self.lock:
                    self._write({"edit": "end tune"})
            raise
        with self.lock:
            number = len(self._lines) + 1
            line["result"] = weights_digest(made)
            if line["edit"] == "tune":
                self._keep_tuned(number, made)
            self._write(line)
            self._done.append(number)
            self._undone.clear()
            self._remember(number, made)
            return self.current

    def undo(self) -> Version:
        """Take the last edit back.

        Raises
        ------
        ParameterError
            If there is none.
        """
        if not self._done:
            raise ParameterError("there is no edit to undo")
        self._write({"edit": "undo"})
        self._undone.append(self._done.pop())
        return self.current

    def redo(self) -> Version:
        """Make the edit again that was taken back last.

        Raises
        ------
        ParameterError
            If there is none.
        """
        if not self._undone:
            raise ParameterError("there is no edit to redo")
        before = self.current.classifier
        self._write({"edit": "redo"})
        number = self._undone.pop()
        if number not in self._versions:
            self._remember(number, self._result(before, number))
        self._done.append(number)
        return self.current

    def evaluate(self, number: int | None = None) -> float:
        """Accuracy on the validation clips, of a version or the current one.

        Raises
        ------
        ParameterError
            If there are no validation clips.
        """
        if self.validation is None:
            raise ParameterError("there are no validation clips; give --validation")
        version = self.current if number is None else self.version(number)
        return accuracy(prototype_network(version.classifier), self.validation)

    def evaluate_test(self) -> float:
        """Accuracy of the current version on the test clips, written down: it is an honest number once only.

        Raises
        ------
        ParameterError
            If there are no test clips, or they were used already.
        """
        if self.test is None:
            raise ParameterError("there are no test clips; give --test")
        if self.tested:
            raise ParameterError(
                f"the test clips were used after line {self.tested[0]['number']}; a second number, after edits that were chosen "
                "with the first in mind, would be biased upwards. Evaluate on validation clips"
            )
        found = accuracy(prototype_network(self.current.classifier), self.test)
        now = weights_digest(self.current.classifier)
        self._write({"edit": "test", "accuracy": found, "clips": len(self.test), "result": now})
        return found

    # --- how it is kept -----------------------------------------------------------------------------------------------

    def _start(self) -> None:
        lines = read_lines(self._path)
        if not lines:
            others = {"validation": self.validation, "test": self.test}
            self._file.append({
                "format": FORMAT, "kind": KIND, "model": self.base.name, "weights": weights_digest(self.base),
                "clips": clips_digest(self.training), **{k: clips_digest(v) for k, v in others.items() if v is not None},
            })  # fmt: skip
            return
        check_header(lines[0], self.base, self.training, self._path, validation=self.validation, test=self.test)
        self._file.end_line()
        for line in lines[1:]:
            self._take(line)

    def _take(self, line: dict[str, Any]) -> None:
        """One line of the file, as it was written."""
        self._lines.append(line)
        number = len(self._lines)
        edit = check_line(line, number + 1, self._path)
        if edit in ("undo", "redo"):
            step_back_or_forth(edit, self._done, self._undone, number + 1, self._path)
        elif edit not in OTHERS:
            self._done.append(number)
            self._undone.clear()
        if edit == "begin tune":
            self.interrupted = {k: v for k, v in line.items() if k != "edit"}
        elif edit in ("tune", "end tune"):
            self.interrupted = None

    def checked(self, edit: Mapping[str, Any]) -> dict[str, Any]:
        """The edit, with the identity of a new prototype and the class of its clip."""
        line = {k: v for k, v in edit.items() if k not in ("result", "number")}
        known = {
            "delete": {"ids"}, "merge": {"ids"}, "rename": {"id", "name"}, "add": {"clip", "place", "name"},
            "tune": {f.name for f in dataclasses.fields(TuneSettings)},
        }  # fmt: skip
        name = line.get("edit")
        if name not in known:
            raise UnknownNameError("edit", str(name), known)
        if more := set(line) - known[name] - {"edit"}:
            raise UnknownNameError(f"setting of {name}", sorted(more)[0], known[name])
        if name == "add":
            place = find_clip(self.training, line.get("clip"), line.get("place"))
            line |= {"clip": self.training.examples[place].path.name, "place": place}
            line |= {"id": self.new_id(), "label": int(self.training.targets[place])}
        if name == "tune":
            line = {"edit": "tune", **vars(TuneSettings(**{k: v for k, v in line.items() if k != "edit"}))}
        try:
            check_line({**line, "result": ""}, self.number + 2, self._path)
        except OtoscopeError:
            raise ParameterError(f"{name} needs {_words(str(name))}; got {line!r}"[:300]) from None
        return line

    def _result(self, before: Classifier, number: int) -> Classifier:
        """The network that an edit made of another; tuned weights are read where they are kept."""
        line = self._lines[number - 1]
        if line["edit"] == "tune":
            kept = self._read_tuned(number, before)
            if kept is not None and weights_digest(kept) == line.get("result"):
                return kept
        made = make_edit(before, line, self.training)
        check_result(made, line, number + 1, self._path)
        return made

    def _keep_tuned(self, number: int, classifier: Classifier) -> None:
        state = classifier.network.state_dict()
        with atomic_write(self.folder / f"tuned-{number}.safetensors") as part:
            save_file({key: state[key].cpu().contiguous() for key in TUNED}, str(part))

    def _read_tuned(self, number: int, before: Classifier) -> Classifier | None:
        path = self.folder / f"tuned-{number}.safetensors"
        try:
            state: dict[str, Tensor] = load_file(str(path))
            return rebuilt(before, (state[TUNED[0]], state[TUNED[1]], state[TUNED[2]]), list_prototypes(before))
        except Exception:  # noqa: BLE001 - missing or damaged: it is tuned again
            return None

    def _remember(self, number: int, classifier: Classifier) -> None:
        self._versions[number] = classifier
        for old in [n for n in self._versions if n][: max(0, len(self._versions) - KEPT)]:
            del self._versions[old]

    def _write(self, line: Mapping[str, Any]) -> None:
        self._file.append(line)
        self._lines.append(dict(line))
        if line["edit"] in ("begin tune", "tune", "end tune"):  # of what is running the studio tells
            self.interrupted = None


def _words(edit: str) -> str:
    """What an edit needs, in words."""
    return {"rename": "the id of a prototype and a name", "add": "a training clip"}.get(
        edit, "a list of ids of prototypes"
    )
