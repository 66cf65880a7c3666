"""Data sets that are generated in a folder: reserving it, recording its clips, resuming an interrupted run.

``audio/NAME.wav``, ``stems/NAME/LABEL.wav`` (their sum is the clip) and a record that is written last.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from otoscope.audio import write_wav
from otoscope.core.errors import ParameterError
from otoscope.datasets.records import DatasetError, Example

Record = dict[str, Any]


@dataclass(frozen=True)
class Form:
    """A kind of data set that is made.

    Parameters
    ----------
    many, one : str
        What its clips are called, in messages and (many) in the record.
    record : str
        Name of the record's file.
    """

    many: str
    one: str
    record: str

    @property
    def clips(self) -> re.Pattern[str]:
        """What its files and folders are called."""
        return re.compile(rf"{self.one}-[0-9]{{6,}}(\.wav)?")


SCENES = Form("scenes", "scene", "scenes.json")
MIXTURES = Form("mixtures", "mixture", "mixtures.json")
FORMS = (SCENES, MIXTURES)


def clip_path(folder: Path, name: str) -> Path:
    """Path of a clip."""
    return folder / "audio" / f"{name}.wav"


def stem_paths(folder: Path, name: str, labels: Sequence[str]) -> dict[str, Path]:
    """Paths of a clip's stems, by label."""
    return {label: folder / "stems" / name / f"{stem_name(label)}.wav" for label in labels}


def stem_name(label: str) -> str:
    """A label as a file name."""
    return re.sub(r"[^\w .,()&+-]", "_", label).strip(". ") or "_"


def reserve(folder: Path, form: Form, settings: Mapping[str, Any]) -> None:
    """Make sure that the folder is empty, or holds clips of the same settings or the files of an interrupted run.

    Raises
    ------
    DatasetError
    """
    record = folder / form.record
    if record.is_file():
        own = _content(record, form)["settings"]
        mine = json.loads(json.dumps(settings))
        other = [f"{k}={own.get(k)!r}" for k in mine if own.get(k) != mine[k]]
        if other:
            raise DatasetError(
                f"{folder} holds {form.many} of other settings ({', '.join(other)}); give another folder"
            )
    elif folder.is_dir():
        strange = _strange(folder, form)
        if strange is not None:
            raise DatasetError(
                f"{folder} holds {strange.relative_to(folder).as_posix()!r}, which is no {form.one}, and no {form.record}; "
                f"{form.many} are made in a folder of their own: give a new one"
            )


def recorded(folder: Path, form: Form) -> list[Record]:
    """The records of the clips that were made in a folder.

    Raises
    ------
    DatasetError
        If there are none, or they are damaged.
    """
    record = folder / form.record
    if not record.is_file():
        raise DatasetError(
            f"{folder} holds no {form.many} yet ({form.record} is not there); otoscope data get makes them"
        )
    return list(_content(record, form)[form.many])


def record_of(example: Example) -> tuple[Form, Record] | None:
    """What is recorded of a clip of a data set that was made, and of which kind it is; None for other clips.

    Raises
    ------
    DatasetError
        If the record is damaged.
    """
    folder = example.path.parent.parent
    for form in FORMS:
        file = folder / form.record
        if file.is_file() and example.path.parent.name == "audio" and form.clips.fullmatch(example.path.name):
            stat = file.stat()
            record = _by_name(file, form, (stat.st_mtime_ns, stat.st_size)).get(example.path.stem)
            return (form, record) if record is not None else None
    return None


def write_stems(folder: Path, name: str, stems: Mapping[str, np.ndarray], sample_rate: int, clip: np.ndarray) -> None:
    """Write the stems of a clip, each ``(time,)``, and then the clip ``(time,)``; other files among the stems are removed."""
    paths = stem_paths(folder, name, tuple(stems))
    for old in (folder / "stems" / name).glob("*.wav"):  # of a run with other settings that was stopped
        if old not in paths.values():
            old.unlink()
    for label, samples in stems.items():
        write_wav(paths[label], samples[None], sample_rate)  # (time,) -> (1, time)
    write_wav(clip_path(folder, name), clip[None], sample_rate)


@lru_cache(maxsize=8)
def _by_name(file: Path, form: Form, _stamp: tuple[int, int]) -> dict[str, Record]:
    return {record["name"]: record for record in _content(file, form)[form.many]}


def _content(record: Path, form: Form) -> Record:
    """A record's file; `DatasetError` where it is not what was written."""
    try:
        content = json.loads(record.read_text(encoding="utf-8"))
        settings, clips = dict(content["settings"]), [dict(c) for c in content[form.many]]
        for clip in clips:
            clip["name"], clip["label"]
        return {"settings": settings, form.many: clips}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DatasetError(f"{record} is damaged; take the folder away and make the {form.many} again") from error


def _strange(folder: Path, form: Form) -> Path | None:
    """The first entry of the folder that no interrupted run could have left; hidden ones are ignored."""
    for top in sorted(folder.iterdir()):
        if top.name.startswith("."):
            continue
        if top.name not in ("audio", "stems") or not top.is_dir():
            return top
        for inner in sorted(top.iterdir()):
            if not inner.name.startswith(".") and not form.clips.fullmatch(inner.name):
                return inner
    return None


def levels(text: str, what: str, most: float) -> tuple[float, ...]:
    """SNRs in dB from text such as ``-5+0+5``.

    Raises
    ------
    ParameterError
        For other text, a repeated level, or one outside ``[-most, most]``.
    """
    try:
        found = tuple(float(part) for part in str(text).split("+"))
    except ValueError:
        found = ()
    if not found or len(set(found)) < len(found) or not all(abs(v) <= most for v in found):
        raise ParameterError(
            f"snr_db of {what} is one level in [-{most:g}, {most:g}] dB or several different ones joined by +, such as -5+0+5; "
            f"got {text!r}"
        )
    return found
