"""A session again, from its file: to the same weights, or an error."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from otoscope.classifiers.base import Classifier
from otoscope.classifiers.prototype_network import list_prototypes
from otoscope.core.errors import OtoscopeError
from otoscope.prototypes.clips import EncodedClips
from otoscope.prototypes.session_file import (
    EDITS,
    OTHERS,
    check_header,
    check_line,
    check_result,
    make_edit,
    read_lines,
    step_back_or_forth,
)


def replay(
    base: Classifier, training: EncodedClips, folder: str | os.PathLike[str], log: Callable[[str], None] | None = None
) -> Classifier:
    """Make all edits of a session anew.

    Parameters
    ----------
    base : Classifier
        The model that the session began with.
    training : EncodedClips
        The training clips.
    folder : path
        Of the session, or its ``edits.jsonl``.
    log : callable, optional
        Called with a line for each edit.

    Returns
    -------
    Classifier
        The network at the end of the session.

    Raises
    ------
    OtoscopeError
        If the session is of another model or other clips, or an edit gives other weights than it gave then.

    Examples
    --------
    >>> with Session(model, clips, "session") as session:
    ...     version = session.apply({"edit": "delete", "ids": ["p1"]})
    >>> [p.id for p in list_prototypes(replay(model, clips, "session"))]
    ['p2', 'p3', 'p4', 'p5', 'p6']
    """
    path = Path(folder) / EDITS if Path(folder).is_dir() else Path(folder)
    lines = read_lines(path)
    if not lines:
        raise OtoscopeError(f"{path} is missing or empty; give the folder of a session, which `otoscope studio` writes")
    check_header(lines[0], base, training, path)
    done: list[Classifier] = []
    undone: list[Classifier] = []
    for number, line in enumerate(lines[1:], 2):
        edit = check_line(line, number, path)
        if edit in OTHERS:
            continue
        if edit in ("undo", "redo"):
            step_back_or_forth(edit, done, undone, number, path)
        else:
            done.append(make_edit(done[-1] if done else base, line, training))
            undone.clear()
            check_result(done[-1], line, number, path)
        if log is not None:
            log(f"line {number}: {edit}: {len(list_prototypes(done[-1] if done else base))} prototypes")
    return done[-1] if done else base
