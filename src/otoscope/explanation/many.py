"""Explain many files into folders; a file that fails does not stop the others."""

from __future__ import annotations

import itertools
import math
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from otoscope.audio import AudioSource, close_audio, open_audio
from otoscope.classifiers import Classifier
from otoscope.core import registry
from otoscope.core.errors import OtoscopeError, WriteError
from otoscope.core.files import read_json
from otoscope.explanation.artifacts import PARTS, absolute
from otoscope.explanation.explain import explain_sources, explainer_of
from otoscope.explanation.explanation import Explanation
from otoscope.explanation.request import Request


@dataclass(frozen=True)
class Outcome:
    """What became of one file: a row of results, or an error."""

    file: str
    row: dict[str, Any] | None = None
    error: OtoscopeError | None = None


def explain_files(
    files: Sequence[str | os.PathLike[str]],
    classifier: Classifier,
    requests: Request | Sequence[Request],
    out: str | os.PathLike[str],
    progress: bool = False,
    overwrite: bool = False,
) -> Iterator[Outcome]:
    """Explain files, in batches, and write each one's sounds, record and report.

    Parameters
    ----------
    files : sequence of path
        The sounds.
    classifier : Classifier
        The classifier that is explained.
    requests : Request or sequence of Request
        What is asked of each file. One is written to ``out/<stem>/``; each of several to ``out/<stem>/<method>/``, with
        ``out/<stem>/comparison.html``.
    out : path
        The folder.
    progress : bool
        Show a bar.
    overwrite : bool
        Whether an explanation that asks for something else may be replaced.

    Yields
    ------
    Outcome
        One a file and request, in order within each batch.

    Raises
    ------
    WriteError
        Before anything is computed, if a sound or another explanation lies where files would be written.
    """
    asked = [requests] if isinstance(requests, Request) else list(requests)
    stems = _folders(files, Path(out))
    folders = [[stem / name for stem in stems] for name in _names(asked)]
    for request, own in zip(asked, folders, strict=True):
        _spare_inputs(files, own)
        if not overwrite:
            _spare_others(files, own, request, classifier)
    rows: dict[Path, list[dict[str, Any]]] = {stem: [] for stem in stems}
    for request, own in zip(asked, folders, strict=True):
        for stem, outcome in zip(stems, _explain(files, classifier, request, own, progress), strict=True):
            if outcome.row is not None:
                rows[stem].append(outcome.row)
            yield outcome
    if len(asked) > 1:
        for stem, of_one in rows.items():
            if of_one:
                registry.get("view", "comparison").target(of_one, stem / "comparison.html")


def _explain(
    files: Sequence[str | os.PathLike[str]],
    classifier: Classifier,
    request: Request,
    folders: Sequence[Path],
    progress: bool,
) -> Iterator[Outcome]:
    """One request for all files."""
    explainer = explainer_of(request, classifier) if files else None
    run = partial(explain_sources, classifier=classifier, request=request, progress=progress, explainer=explainer)
    for start in range(0, len(files), request.batch_size):
        chunk = [str(f) for f in files[start : start + request.batch_size]]
        opened = {file: _attempt(open_audio, file) for file in dict.fromkeys(chunk)}
        sources = {f: s for f, s in opened.items() if not isinstance(s, OtoscopeError)}
        try:
            made = _explain_all(sources, run)
            quiet = None if progress else True
            for i, file in enumerate(tqdm(chunk, "writing", delay=2, leave=False, unit="file", disable=quiet), start):
                found = opened[file] if isinstance(opened[file], OtoscopeError) else made[file]
                if not isinstance(found, OtoscopeError):
                    found = _attempt(_save, file, found, folders[i])
                yield Outcome(file, error=found) if isinstance(found, OtoscopeError) else Outcome(file, row=found)
        finally:
            for source in sources.values():
                close_audio(source)


def _attempt(act: Callable[..., Any], *arguments: Any) -> Any:
    """What the act gives, or the error that it raised."""
    try:
        return act(*arguments)
    except OtoscopeError as error:
        return error


def _explain_all(
    sources: dict[str, AudioSource], run: Callable[[list[AudioSource]], list[Explanation]]
) -> dict[str, Explanation | OtoscopeError]:
    """All together; where that fails, one by one, so that only what is to blame fails."""
    together = _attempt(run, list(sources.values()))
    if not isinstance(together, OtoscopeError):
        return dict(zip(sources, together, strict=True))
    if len(sources) == 1:
        return dict.fromkeys(sources, together)
    single = {file: _attempt(run, [source]) for file, source in sources.items()}
    return {file: found if isinstance(found, OtoscopeError) else found[0] for file, found in single.items()}


def _names(requests: Sequence[Request]) -> list[str]:
    """A folder for each of several requests: the method, with the target or a number where that is not enough."""
    if len(requests) == 1:
        return [""]
    methods = [request.spec["method"].split(",")[0].replace(":", "-") for request in requests]
    targets = [request.target for request in requests]
    names = [f"{m}-{t}" if len(set(targets)) > 1 else m for m, t in zip(methods, targets, strict=True)]
    safe = [re.sub(r"[^\w.+-]+", "-", name).strip("-.") or "explanation" for name in names]
    return [name if safe.count(name) == 1 else f"{name}-{safe[:i].count(name) + 1}" for i, name in enumerate(safe)]


def _folders(files: Sequence[str | os.PathLike[str]], out: Path) -> list[Path]:
    """``out/<stem>``; a stem that came before gets a number."""
    stems = [Path(file).stem for file in files]
    stems = [stem if stem.strip(".") else "sound" for stem in stems]  # "..." or ".." would lead out of the folder
    taken: set[str] = set()
    for i, stem in enumerate(stems):
        free = (f"{stem}-{n}" for n in itertools.count(2))
        name = stem if stem not in taken else next(n for n in free if n not in taken and n not in stems)
        taken.add(name)
        stems[i] = name
    return [out / name for name in stems]


def _spare_inputs(files: Sequence[str | os.PathLike[str]], folders: Sequence[Path]) -> None:
    """No sound that is to be explained may lie where another's results would be written."""
    inputs = {os.path.realpath(file) for file in files}
    for folder in folders:
        for part in PARTS:
            path = folder / f"{part}.wav"
            if os.path.realpath(path) in inputs:
                raise WriteError(path, "it is one of the sounds to be explained; choose another folder")


def _spare_others(
    files: Sequence[str | os.PathLike[str]], folders: Sequence[Path], request: Request, classifier: Classifier
) -> None:
    """No explanation of another sound, or with other settings, is replaced silently."""
    for file, folder in zip(files, folders, strict=True):
        wanted = (dict(request.spec), request.target, classifier.name, request.seed, absolute(str(file)))
        try:
            record = read_json(folder / "explanation.json")
            found = (
                record["request"], record["target"]["asked"], record["model"]["name"], record["environment"]["seed"], record["file"]
            )  # fmt: skip
        except (OtoscopeError, KeyError, TypeError):
            continue  # nothing, or nothing of ours that anybody could read again
        if found != wanted:
            method = found[0].get("method", "another method") if isinstance(found[0], dict) else "another method"
            raise WriteError(
                folder / "explanation.json",
                f"another explanation is there ({method}, {found[2]}, of {found[4]}); choose another folder (--out), or replace "
                "it (--overwrite)",
            )


def _save(file: str, explanation: Explanation, folder: Path) -> dict[str, Any]:
    return result_row(file, explanation, explanation.save(folder))


def result_row(file: str, explanation: Explanation, files: dict[str, str]) -> dict[str, Any]:
    """One explanation as the command line's ``--json`` prints it; NaN is null."""
    record = explanation.record()
    keys = ("model", "method", "domain", "mask", "target", "score", "heard", "metrics", "verdict", "notes", "seconds")
    row = {key: record[key] for key in keys}
    row |= {key: record[key]["name"] for key in ("model", "method", "domain")}
    row["target"] = {key: record["target"][key] for key in ("index", "label")}
    row["heard"] = {part: record["heard"][part] for part in ("kept", "removed")}
    row["metrics"] = {k: v if v is not None and math.isfinite(v) else None for k, v in record["metrics"].items()}
    return {"file": file, **row, "files": files}
