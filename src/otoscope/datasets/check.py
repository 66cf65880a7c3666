"""What is wrong with a data set's folder: missing, extra, damaged and wrong-rate files, duplicates, broken splits."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from otoscope.audio import load_audio
from otoscope.core import registry
from otoscope.core.errors import AudioReadError, OtoscopeError
from otoscope.datasets.events import LabelError
from otoscope.datasets.files import file_sum, is_sound_name
from otoscope.datasets.get import NOTES
from otoscope.datasets.load import absent, read_dataset
from otoscope.datasets.records import Dataset, Example, Fold
from otoscope.datasets.truth import truth_of

KINDS = {
    "table": "the tables cannot be used",
    "missing": "files are missing",
    "extra": "sound files are not in the tables",
    "damaged": "files are damaged",
    "rate": "files have another sample rate",
    "times": "clips lie outside their files",
    "labels": "stems, events or label files cannot be used",
    "duplicate": "clips have the same content and another class or fold",
    "split": "sources have clips in two folds",
    "count": "the number of clips or classes differs from the release",
}


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong."""

    kind: str  # a key of `KINDS`
    what: str  # the file, relative to the folder, or the source
    why: str


@dataclass(frozen=True)
class Report:
    """What was found in the folder of a data set."""

    name: str  # of the data set
    folder: Path
    clips: int  # their number
    findings: tuple[Finding, ...]  # what is wrong; empty for an intact data set
    notes: tuple[str, ...] = ()  # what one should know, but is not wrong

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for ``--json``."""
        return {
            "name": self.name,
            "folder": str(self.folder),
            "clips": self.clips,
            "ok": not self.findings,
            "findings": [asdict(f) for f in self.findings],
            "notes": list(self.notes),
        }


def check_dataset(spec: str, root: str | os.PathLike[str], quick: bool = False) -> Report:
    """Check every file of a data set; nothing is written.

    Parameters
    ----------
    spec : str
        A registered name and its settings.
    root : path-like
        Its folder.
    quick : bool
        Only what names show: missing, extra, split, count; no file is read.

    Returns
    -------
    Report

    Raises
    ------
    UnknownNameError, ParameterError, DatasetError
        For a spec that is none, or a folder that is not there.
    """
    entry, settings = registry.parse("dataset", spec)
    folder = Path(root)
    if not folder.exists():
        raise absent(entry, folder)
    try:
        data, _ = read_dataset(spec, folder, make=False)
    except OtoscopeError as error:
        return Report(entry.name, folder, 0, (Finding("table", entry.name, str(error)),))
    check = _Check(entry, data, folder if folder.is_dir() else folder.parent)
    check.names(settings)
    if not quick:
        check.contents()
    order = list(KINDS)
    findings = sorted(check.findings, key=lambda f: (order.index(f.kind), f.what))
    return Report(data.name, folder, len(data), tuple(findings), tuple(check.notes))


class _Check:
    """Gathers what is wrong with a data set, kind by kind; ``base`` is its folder."""

    def __init__(self, entry: registry.Entry, data: Dataset, base: Path):
        self.entry, self.data, self.base = entry, data, base
        self.findings: list[Finding] = []
        self.notes: list[str] = []
        self.sums: dict[Path, str] = {}  # SHA-256 of each file
        self.lengths: dict[Path, tuple[int, float]] = {}  # rate and duration of each file that can be read

    def names(self, settings: dict[str, Any]) -> None:
        """What names and tables show."""
        for path in sorted({e.path for e in self.data.examples}):
            if not path.is_file():
                self._found("missing", path, "the file is not there")
        self._extra()
        self._counted(settings)
        self._split()

    def contents(self) -> None:
        """What the files themselves show."""
        self._read()
        self._times()
        self._labels()
        self._duplicates()
        rates = Counter(rate for rate, _ in self.lengths.values())
        if len(rates) > 1:
            shown = ", ".join(f"{rate} Hz ({n} files)" for rate, n in rates.most_common())
            self.notes.append(f"sample rates: {shown}")
        self._whole()

    def _found(self, kind: str, what: Path | str, why: str) -> None:
        self.findings.append(Finding(kind, self._name(what) if isinstance(what, Path) else what, why))

    def _name(self, path: Path) -> str:
        return path.relative_to(self.base).as_posix() if path.is_relative_to(self.base) else str(path)

    def _extra(self) -> None:
        """Sound files that no table names, neither that of these settings nor that of the usual ones."""
        facts, named = self.entry.facts, {e.path for e in self.data.examples}
        with contextlib.suppress(OtoscopeError):
            named |= {e.path for e in self.entry.target(self.base).examples} if facts.get("needs_download") else set()
        ignored = {*(facts.get("ignored") or ()), NOTES, "stems"}
        for folder, inner, names in os.walk(self.base / str(facts.get("audio", ""))):
            inner[:] = sorted(d for d in inner if d not in ignored and not d.startswith("."))
            for path in (Path(folder, name) for name in sorted(names) if is_sound_name(name)):
                if path not in named:
                    self._found("extra", path, "no row of the tables names it")

    def _counted(self, settings: dict[str, Any]) -> None:
        """The number of clips and classes against what the release has."""
        facts, text = self.entry.facts, registry.format_spec(self.entry, settings).partition(",")[2]
        wholes = {"": (facts.get("classes", 0), facts.get("clips", 0)), **(facts.get("wholes") or {})}
        classes, clips = wholes.get(text, (0, 0))
        labels = len(self.data.labels)
        if clips and (labels, len(self.data)) != (classes, clips):
            why = f"{len(self.data)} clips in {labels} classes; the release has {clips} in {classes}"
            self._found("count", self.entry.name, why)

    def _split(self) -> None:
        places: dict[str, set[Fold]] = {}
        for e in self.data.examples:
            places.setdefault(e.source, set()).add(e.fold)
        for source, folds in places.items():
            if len(folds) > 1:
                self._found("split", source, f"clips of it lie in the folds {', '.join(sorted(map(str, folds)))}")

    def _read(self) -> None:
        """Decode every file, and compare its checksum and its rate with those of the release."""
        known, sample_rate = _index(self.base), int(self.entry.facts.get("sample_rate", 0))
        files = [path for path in sorted({e.path for e in self.data.examples}) if path.is_file()]
        for path in tqdm(files, desc="checking", unit="file", delay=1, leave=False):
            try:
                self.sums[path] = file_sum(path)
                wanted = known.get(self._name(path))
                if wanted and file_sum(path, "md5") != f"md5:{wanted}":
                    self._found("damaged", path, "its checksum differs from the release's")
                clip = load_audio(path)
            except OSError as error:
                reason = error.reason if isinstance(error, AudioReadError) else str(error.strerror or error)
                self._found("damaged", path, reason)
                continue
            self.lengths[path] = clip.sample_rate, clip.duration
            if sample_rate and clip.sample_rate != sample_rate:
                self._found("rate", path, f"{clip.sample_rate} Hz; the release has {sample_rate} Hz")

    def _times(self) -> None:
        for e in self.data.examples:
            if e.path not in self.lengths or (not e.start_s and e.stop_s is None):
                continue
            rate, duration = self.lengths[e.path]
            if max(e.start_s + 1 / rate, e.stop_s or 0.0) > duration + 1 / rate:
                end = "its end" if e.stop_s is None else f"{e.stop_s:g} s"
                self._found("times", e.path, f"{e.start_s:g} s to {end}, but it lasts {duration:.3f} s")

    def _labels(self) -> None:
        """Records of stems and events, and label files next to the clips, that cannot be used; each once.

        If no file next to the clips can be read as labels, they are something else, such as transcripts, which is only noted.
        """
        found: dict[str, Path] = {}
        told = foreign = 0
        for e in self.data.examples:
            if e.path in self.lengths:
                try:
                    told += truth_of(e) is not None
                except OtoscopeError as error:
                    foreign += isinstance(error, LabelError)
                    found.setdefault(str(error), e.path)
        if foreign == len(found) > 1 and not told:
            self.notes.append(
                f"the files next to {foreign} clips are not label files; for studies, give data.labels or move them away"
            )
            return
        for why, path in found.items():
            self._found("labels", path, why)

    def _duplicates(self) -> None:
        groups: dict[tuple[str, float, float | None], list[Example]] = {}
        for e in self.data.examples:
            if e.path in self.sums:
                groups.setdefault((self.sums[e.path], e.start_s, e.stop_s), []).append(e)
        harmless = 0
        for first, *others in groups.values():
            for other in others:
                if (other.label, other.fold) == (first.label, first.fold):
                    harmless += 1
                    continue
                what = f"the same content as {self._name(first.path)} ({first.label}, fold {first.fold})"
                self._found("duplicate", other.path, f"{what}; here {other.label}, fold {other.fold}")
        if harmless:
            self.notes.append(f"{harmless} clips have the same content as another one of their class and fold")

    def _whole(self) -> None:
        """Whether the files as a whole are those of the release, where their digest is known."""
        wanted = self.entry.facts.get("digest")
        if not wanted or any(f.kind in ("missing", "count") for f in self.findings):
            return
        lines = "".join(sorted(f"{s.partition(':')[2]}\n" for s in self.sums.values()))
        if hashlib.sha256(lines.encode("ascii")).hexdigest() == wanted:
            self.notes.append("every file is that of the release (SHA-256)")
        else:
            why = "some of its files are not those of the release (SHA-256 of all)"
            self._found("damaged", self.entry.name, why)


def _index(base: Path) -> dict[str, str]:
    """MD5 of files by name, from the index that came with the data; empty where there is none."""
    sums: dict[str, str] = {}
    for file in sorted((base / NOTES).glob("*index*.json")):
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            for kind in ("clips", "tracks"):
                for item in content.get(kind, {}).values():
                    sums.update({name: checksum for name, checksum in item.values() if name and checksum})
        except (OSError, ValueError, AttributeError, TypeError):
            continue
    return sums
