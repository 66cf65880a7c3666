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
from otoscope.core.files import write_text
from otoscope.datasets.records import DatasetError, Example

Record = dict[str, Any]


@dataclass(frozen=True)
class Form:
    """A kind of data set that is made."""

    many: str  # what its clips are called, in messages and in the record
    one: str
    record: str  # name of the record's file

    @property
    def clips(self) -> re.Pattern[str]:
        """What its files and folders are called."""
        return re.compile(rf"{self.one}-[0-9]{{6,}}(\.wav)?")

    def reserve(self, folder: Path, settings: Mapping[str, Any]) -> None:
        """Make sure that the folder is empty, or holds clips of the same settings or the files of an interrupted run.

        Raises
        ------
        DatasetError
        """
        if (folder / self.record).is_file():
            own = self._content(folder)["settings"]
            mine = json.loads(json.dumps(settings))
            other = [f"{k}={own.get(k)!r}" for k in mine if own.get(k) != mine[k]]
            if other:
                raise DatasetError(
                    f"{folder} holds {self.many} of other settings ({', '.join(other)}); give another folder"
                )
        elif folder.is_dir():
            strange = self._strange(folder)
            if strange is not None:
                raise DatasetError(
                    f"{folder} holds {strange.relative_to(folder).as_posix()!r}, which is not a {self.one}, and no {self.record}; "
                    f"{self.many} are made in a folder of their own: give a new one"
                )

    def recorded(self, folder: Path) -> list[Record]:
        """The records of the clips that were made in a folder.

        Raises
        ------
        DatasetError
            If there are none, or they are damaged.
        """
        if not (folder / self.record).is_file():
            raise DatasetError(
                f"{folder} holds no {self.many} yet ({self.record} is not there); otoscope data get makes them"
            )
        return list(self._content(folder)[self.many])

    def write_record(self, folder: Path, settings: Mapping[str, Any], records: Sequence[Record], **more: Any) -> None:
        """Write the record: the settings, and what was made with them."""
        content = {"settings": dict(settings), **more, self.many: records}
        write_text(folder / self.record, json.dumps(content, indent=1) + "\n")

    def _content(self, folder: Path) -> Record:
        """The record's content; `DatasetError` where it is not what was written."""
        record = folder / self.record
        try:
            content = json.loads(record.read_text(encoding="utf-8"))
            settings, clips = dict(content["settings"]), [dict(c) for c in content[self.many]]
            for clip in clips:
                clip["name"], clip["label"]
            return {"settings": settings, self.many: clips}
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise DatasetError(f"{record} is damaged; remove the folder and make the {self.many} again") from error

    def _strange(self, folder: Path) -> Path | None:
        """The first entry of the folder that no interrupted run could have left; hidden ones are ignored."""
        for top in sorted(folder.iterdir()):
            if top.name.startswith("."):
                continue
            if top.name not in ("audio", "stems") or not top.is_dir():
                return top
            for inner in sorted(top.iterdir()):
                if not inner.name.startswith(".") and not self.clips.fullmatch(inner.name):
                    return inner
        return None


SCENES = Form("scenes", "scene", "scenes.json")
MIXTURES = Form("mixtures", "mixture", "mixtures.json")
FORMS = (SCENES, MIXTURES)


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
            record = _by_name(form, folder, (stat.st_mtime_ns, stat.st_size)).get(example.path.stem)
            return (form, record) if record is not None else None
    return None


@lru_cache(maxsize=8)
def _by_name(form: Form, folder: Path, _stamp: tuple[int, int]) -> dict[str, Record]:
    return {record["name"]: record for record in form.recorded(folder)}


def clip_path(folder: Path, name: str) -> Path:
    """Path of a clip."""
    return folder / "audio" / f"{name}.wav"


def stem_paths(folder: Path, name: str, labels: Sequence[str]) -> dict[str, Path]:
    """Paths of a clip's stems, by label."""
    return {label: folder / "stems" / name / f"{stem_name(label)}.wav" for label in labels}


def stem_name(label: str) -> str:
    """A label as a file name."""
    return re.sub(r"[^\w .,()&+-]", "_", label).strip(". ") or "_"


def is_complete(folder: Path, record: Record) -> bool:
    """Whether a clip and its two stems are there."""
    stems = stem_paths(folder, record["name"], (record["label"], record["background"])).values()
    return all(path.is_file() for path in (clip_path(folder, record["name"]), *stems))


def examples_of(folder: Path, records: Sequence[Record], labels: Sequence[str]) -> tuple[Example, ...]:
    """The recorded clips as examples of a data set with these labels."""
    order = {label: i for i, label in enumerate(labels)}
    return tuple(
        Example(clip_path(folder, r["name"]), r["label"], order[r["label"]], r["fold"], r["source"]) for r in records
    )


def write_stems(folder: Path, name: str, stems: Mapping[str, np.ndarray], sample_rate: int, clip: np.ndarray) -> None:
    """Write the stems of a clip, each ``(time,)``, and then the clip ``(time,)``; other files among the stems are removed."""
    paths = stem_paths(folder, name, tuple(stems))
    for old in (folder / "stems" / name).glob("*.wav"):  # of a run with other settings that was stopped
        if old not in paths.values():
            old.unlink()
    for label, samples in stems.items():
        write_wav(paths[label], samples[None], sample_rate)  # (time,) -> (1, time)
    write_wav(clip_path(folder, name), clip[None], sample_rate)


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
