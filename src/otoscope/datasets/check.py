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
from otoscope.datasets.download import file_sum
from otoscope.datasets.events import LabelError
from otoscope.datasets.files import is_sound_name
from otoscope.datasets.load import absent, read_dataset
from otoscope.datasets.records import Dataset, Example, Fold
from otoscope.datasets.remote import NOTES
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
    """One thing that is wrong.

    Parameters
    ----------
    kind : str
        A key of `KINDS`.
    what : str
        The file, relative to the folder, or the source.
    why : str
        What is wrong, in words.
    """

    kind: str
    what: str
    why: str


@dataclass(frozen=True)
class Report:
    """What was found.

    Parameters
    ----------
    name : str
        Name of the data set.
    folder : Path
        Where it lies.
    clips : int
        Number of clips.
    findings : tuple of Finding
        What is wrong; empty for an intact data set.
    notes : tuple of str
        What one should know, but is not wrong.
    """

    name: str
    folder: Path
    clips: int
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()

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
        Only what names tell: missing, extra, split, count; no file is read.

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
    base = folder if folder.is_dir() else folder.parent
    files = sorted({e.path for e in data.examples})
    present = [p for p in files if p.is_file()]
    findings = [Finding("missing", _name(p, base), "the file is not there") for p in files if not p.is_file()]
    findings += _extra(entry, data, base) + _counted(entry, settings, data) + _split(data)
    notes: list[str] = []
    if not quick:
        sums, rates, found = _read(present, base, int(entry.facts.get("sample_rate", 0)))
        labels, foreign = _told(data, rates, base)
        findings += found + _times(data, rates, base) + labels
        twice, note = _duplicates(data, sums, base)
        findings += twice
        notes += foreign + note + _notes(rates) + _whole(entry, sums, findings)
    order = list(KINDS)
    findings.sort(key=lambda f: (order.index(f.kind), f.what))
    return Report(data.name, folder, len(data), tuple(findings), tuple(notes))


def _name(path: Path, base: Path) -> str:
    return path.relative_to(base).as_posix() if path.is_relative_to(base) else str(path)


def _extra(entry: registry.Entry, data: Dataset, base: Path) -> list[Finding]:
    """Sound files that no table names, neither that of these settings nor that of the usual ones."""
    named = {e.path for e in data.examples}
    with contextlib.suppress(OtoscopeError):
        named |= {e.path for e in entry.target(base).examples} if entry.facts.get("needs_download") else set()
    place, ignored = base / str(entry.facts.get("audio", "")), {*(entry.facts.get("ignored") or ()), NOTES, "stems"}
    found = []
    for folder, inner, names in os.walk(place):
        inner[:] = sorted(d for d in inner if d not in ignored and not d.startswith("."))
        for name in sorted(names):
            path = Path(folder, name)
            if is_sound_name(name) and path not in named:
                found.append(Finding("extra", _name(path, base), "no row of the tables names it"))
    return found


def _counted(entry: registry.Entry, settings: dict[str, Any], data: Dataset) -> list[Finding]:
    """The number of clips and classes against what the release has."""
    text = registry.format_spec(entry, settings).partition(",")[2]
    wholes = {"": (entry.facts.get("classes", 0), entry.facts.get("clips", 0)), **(entry.facts.get("wholes") or {})}
    wanted = wholes.get(text, (0, 0))
    have = (len(data.labels), len(data))
    if not wanted[1] or have == tuple(wanted):
        return []
    return [
        Finding(
            "count", entry.name, f"{have[1]} clips in {have[0]} classes; the release has {wanted[1]} in {wanted[0]}"
        )
    ]


def _split(data: Dataset) -> list[Finding]:
    places: dict[str, set[Fold]] = {}
    for e in data.examples:
        places.setdefault(e.source, set()).add(e.fold)
    return [
        Finding("split", source, f"clips of it lie in the folds {', '.join(sorted(map(str, folds)))}")
        for source, folds in places.items()
        if len(folds) > 1
    ]


def _read(
    files: list[Path], base: Path, sample_rate: int
) -> tuple[dict[Path, str], dict[Path, tuple[int, float]], list[Finding]]:
    """SHA-256, and rate and duration of each file that can be read, and what is wrong with them."""
    known, sums, rates, found = _index(base), {}, {}, []
    for path in tqdm(files, desc="checking", unit="file", delay=1, leave=False):
        try:
            sums[path] = file_sum(path, "sha256")
            wanted = known.get(_name(path, base))
            if wanted and file_sum(path, "md5") != f"md5:{wanted}":
                found.append(Finding("damaged", _name(path, base), "its checksum differs from the release's"))
            clip = load_audio(path)
        except AudioReadError as error:
            found.append(Finding("damaged", _name(path, base), error.reason))
            continue
        except OSError as error:
            found.append(Finding("damaged", _name(path, base), str(error.strerror or error)))
            continue
        rates[path] = clip.sample_rate, clip.duration
        if sample_rate and clip.sample_rate != sample_rate:
            found.append(Finding("rate", _name(path, base), f"{clip.sample_rate} Hz; the release has {sample_rate} Hz"))
    return sums, rates, found


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


def _told(data: Dataset, rates: dict[Path, tuple[int, float]], base: Path) -> tuple[list[Finding], list[str]]:
    """Records of stems and events, and label files next to the clips, that cannot be used; each once.

    If no file next to the clips can be read as labels, they are something else, such as transcripts, which is only noted.
    """
    found: dict[str, Finding] = {}
    told = foreign = 0
    for e in data.examples:
        if e.path in rates:
            try:
                told += truth_of(e) is not None
            except OtoscopeError as error:
                foreign += isinstance(error, LabelError)
                found.setdefault(str(error), Finding("labels", _name(e.path, base), str(error)))
    if foreign == len(found) > 1 and not told:
        return [], [
            f"the files next to {foreign} clips are not label files; for studies, give data.labels or move them away"
        ]
    return list(found.values()), []


def _times(data: Dataset, rates: dict[Path, tuple[int, float]], base: Path) -> list[Finding]:
    found = []
    for e in data.examples:
        if e.path not in rates or (not e.start_s and e.stop_s is None):
            continue
        rate, duration = rates[e.path]
        if max(e.start_s + 1 / rate, e.stop_s or 0.0) > duration + 1 / rate:
            end = "its end" if e.stop_s is None else f"{e.stop_s:g} s"
            found.append(
                Finding("times", _name(e.path, base), f"{e.start_s:g} s to {end}, but it lasts {duration:.3f} s")
            )
    return found


def _duplicates(data: Dataset, sums: dict[Path, str], base: Path) -> tuple[list[Finding], list[str]]:
    groups: dict[tuple[str, float, float | None], list[Example]] = {}
    for e in data.examples:
        if e.path in sums:
            groups.setdefault((sums[e.path], e.start_s, e.stop_s), []).append(e)
    found, same = [], 0
    for first, *others in groups.values():
        for other in others:
            same += 1
            if (other.label, other.fold) != (first.label, first.fold):
                what = f"the same content as {_name(first.path, base)} ({first.label}, fold {first.fold})"
                found.append(
                    Finding("duplicate", _name(other.path, base), f"{what}; here {other.label}, fold {other.fold}")
                )
    harmless = same - len(found)
    return found, [f"{harmless} clips have the same content as another one of their class and fold"] if harmless else []


def _notes(rates: dict[Path, tuple[int, float]]) -> list[str]:
    counts = Counter(rate for rate, _ in rates.values())
    if len(counts) < 2:
        return []
    return ["sample rates: " + ", ".join(f"{rate} Hz ({n} files)" for rate, n in counts.most_common())]


def _whole(entry: registry.Entry, sums: dict[Path, str], findings: list[Finding]) -> list[str]:
    """Whether the files as a whole are those of the release, where their digest is known."""
    wanted = entry.facts.get("digest")
    if not wanted or any(f.kind in ("missing", "count") for f in findings):
        return []
    lines = "".join(sorted(f"{s.partition(':')[2]}\n" for s in sums.values()))
    if hashlib.sha256(lines.encode("ascii")).hexdigest() == wanted:
        return ["every file is that of the release (SHA-256)"]
    findings.append(Finding("damaged", entry.name, "some of its files are not those of the release (SHA-256 of all)"))
    return []
