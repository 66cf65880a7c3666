"""Backgrounds: what is heard where a cell is absent.

By default that is silence. A background set is a folder of sounds (a folder a class, or all in one) or a table that lists
them; of each class some are chosen by the seed, brought to the classifier's rate and to the clip's length, and kept on disk.

With a background, a clip under a mask is no longer ``synthesise(mask)`` but

    x(mask) = synthesise(mask) of the clip + synthesise(1 - mask) of the background clip, in the same domain

(minus silence, once, where the domain masks features). `BackgroundBlend` is that: an `Inspected` whose cells fade to a background
clip in place of silence. It serves methods with and without gradients::

    against = Against(problem.inspected, background_waveforms(problem, "sounds", per_class=2))
    for which, clip in problem.chunks(against.n):  # every background with every clip, in batches
        logits = against(mask[clip], clip, which)
"""

from __future__ import annotations

import csv
import functools
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from otoscope.attribution.base import Problem
from otoscope.audio import load_audio, to_mono, to_rate
from otoscope.classifiers import Inspected
from otoscope.core.errors import OtoscopeError, ParameterError, UnsupportedError
from otoscope.core.files import atomic_write, cache_folder
from otoscope.core.registry import Parameter

FORM = "v1"  # changes with how entries are made
SOUNDS = {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".m4a", ".aac", ".aif", ".aiff", ".webm", ".mp4", ".wma"}
DOMAINS = ("stft", "mel", "time", "features")  # whose cells do not depend on the clip
SILENCE = "silence"

BACKGROUND = (
    Parameter(
        "background",
        str,
        SILENCE,
        "what is heard where a cell is absent: silence, a folder of sounds (a folder a class, or all in one), or a table "
        "with one sound a line (path[,class])",
    ),
    Parameter("per_class", int, 2, "sounds of the background that are chosen of each class", 1, 10000),
)


class Sound(NamedTuple):
    """A sound that a background names."""

    path: Path
    label: str


class BackgroundBlend(nn.Module):
    """Clips whose cells fade to a background clip, or to silence: masks -> logits, differentiable.

    Parameters
    ----------
    inspected : Inspected
        Its passes are counted there.
    waveforms : Tensor (n, time), optional
        Background clips at the classifier's rate, as long as the clips; None is silence.

    Raises
    ------
    UnsupportedError
        If the domain's cells depend on the clip, so that a background has no such cells.
    """

    def __init__(self, inspected: Inspected, waveforms: Tensor | None):
        super().__init__()
        self._inspected = [inspected]  # in a list: this module must not own the classifier
        self.n = 1 if waveforms is None else len(waveforms)
        self.background = None
        if waveforms is not None:
            if inspected.grid.domain not in DOMAINS:
                raise UnsupportedError(
                    f"the domain {inspected.grid.domain!r} has other cells for each clip, so that no other sound can stand in "
                    f"for one; use background=silence, or {', '.join(DOMAINS)}"
                )
            with torch.no_grad():
                self.background = inspected.domain.analyse(waveforms.to(inspected.waveform), inspected.classifier)

    @property
    def inspected(self) -> Inspected:
        """The clips, against silence."""
        return self._inspected[0]

    def synthesise(self, mask: Tensor, index: Tensor | None = None, which: Tensor | None = None) -> Tensor:
        """What `Inspected.classify` takes: the kept part of the clips and, where cells are absent, of the backgrounds.

        Parameters
        ----------
        mask : Tensor (any, freq, frame)
        index : Tensor (any,), int64, optional
            Which clip each mask is for.
        which : Tensor (any,), int64, optional
            Which background clip each mask fades to; without, the first.
        """
        kept = self.inspected.analysis.synthesise(mask, index)
        if self.background is None:
            return kept
        which = torch.zeros(len(mask), dtype=torch.int64, device=mask.device) if which is None else which
        rest = self.background.synthesise(1 - mask, which)
        return kept + rest - getattr(self.background, "silence", 0.0)

    def forward(self, mask: Tensor, index: Tensor | None = None, which: Tensor | None = None) -> Tensor:
        """Logits ``(any, class)``; see `synthesise`."""
        return self.inspected.classify(self.synthesise(mask, index, which))


def against(problem: Problem, background: str, per_class: int) -> BackgroundBlend:
    """The problem's clips against what the settings `BACKGROUND` name."""
    return BackgroundBlend(problem.inspected, background_waveforms(problem, background, per_class))


def background_waveforms(problem: Problem, background: str, per_class: int) -> Tensor | None:
    """The chosen sounds of a background, ``(n, time)``; None for silence.

    Raises
    ------
    ParameterError
        If there is no such folder or table, or no sound in it.
    AudioReadError
        If a chosen sound cannot be read; it is named.
    """
    if background == SILENCE:
        return None
    chosen = choose(background_sounds(background), per_class, problem.seed)
    length = problem.inspected.waveform.shape[-1]
    made = _made(tuple(chosen), problem.inspected.classifier.sample_rate, length, _stamps(chosen))
    return torch.from_numpy(made.copy()).to(problem.inspected.waveform.device)


def background_size(background: str, per_class: int) -> int:
    """How many sounds a background gives; one for silence."""
    return 1 if background == SILENCE else len(choose(background_sounds(background), per_class, 0))


def background_digest(background: str, per_class: int, seed: int) -> str | None:
    """SHA-256 of the chosen files' contents, in order; None for silence. Errors as in `background_waveforms`."""
    if background == SILENCE:
        return None
    mark = hashlib.sha256()
    for path, _ in choose(background_sounds(background), per_class, seed):
        try:
            mark.update(hashlib.sha256(path.read_bytes()).digest())
        except OSError as error:
            raise _unreadable(path, error) from error
    return mark.hexdigest()


def background_sounds(background: str | os.PathLike[str]) -> list[Sound]:
    """All sounds that a folder or a table names, in the order of classes and names.

    Raises
    ------
    ParameterError
        If it is not there, names no sound, or a sound that is not there.
    """
    if not os.fspath(background).strip():
        raise ParameterError("background= names nothing; name a folder of sounds, a table of their paths, or silence")
    root = Path(background).expanduser()
    if root.is_dir():
        found = [
            Sound(path, path.relative_to(root).parts[0] if path.parent != root else "")
            for path in sorted(root.rglob("*"))
            if path.suffix.lower() in SOUNDS and path.is_file() and not path.name.startswith(".")
        ]
    elif root.is_file():
        found = _listed(root)
    else:
        raise ParameterError(
            f"the background {str(background)!r} is not there; name a folder of sounds, a table of their paths, or silence"
        )
    if not found:
        raise ParameterError(
            f"the background {root} holds no sound; expected files such as {', '.join(sorted(SOUNDS)[-3:])}"
        )
    return found


def _listed(table: Path) -> list[Sound]:
    """The lines ``path[,class]`` of a table; empty lines, comments (#) and a head (path, file ...) are passed over."""
    try:
        lines = list(csv.reader(table.read_text(encoding="utf-8-sig").splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ParameterError(
            f"the background {table} cannot be read as text in UTF-8 ({error}); one sound a line is expected: path[,class]"
        ) from error
    found = []
    for number, line in enumerate(lines, 1):
        cells = [cell.strip() for cell in line]
        if not cells or not cells[0] or cells[0].startswith("#"):
            continue
        if number == 1 and cells[0].lower() in ("path", "file", "filename", "file_name"):
            continue
        path = table.parent / cells[0]
        if not path.is_file():
            raise ParameterError(
                f"{table}, line {number}: {path} is not there; paths are relative to the table's folder"
            )
        found.append(Sound(path, cells[1] if len(cells) > 1 else ""))
    return sorted(found, key=lambda s: (s.label, str(s.path)))


def choose(sounds: Sequence[Sound], per_class: int, seed: int) -> list[Sound]:
    """So many of each class, drawn by the seed; all where there are no more. Class by class, each as the table has it."""
    rng = torch.Generator().manual_seed(int(seed))
    out = []
    for label in sorted({s.label for s in sounds}):
        own = [s for s in sounds if s.label == label]
        drawn = torch.randperm(len(own), generator=rng)[:per_class].sort().values
        out += [own[int(i)] for i in drawn]
    return out


def _unreadable(path: Path, error: OSError) -> ParameterError:
    return ParameterError(f"{path}, a sound of the background, cannot be read ({error.strerror})")


def _stamps(sounds: Sequence[Sound]) -> str:
    """What would be another if one of the files were: names, sizes, times of change."""
    mark = hashlib.sha256(FORM.encode())
    for path, _ in sounds:
        try:
            stat = path.stat()
        except OSError as error:
            raise _unreadable(path, error) from error
        mark.update(f"\n{os.path.abspath(path)}:{stat.st_size}:{stat.st_mtime_ns}".encode(errors="surrogateescape"))
    return mark.hexdigest()


@functools.lru_cache(maxsize=2)
def _made(sounds: tuple[Sound, ...], sample_rate: int, length: int, stamps: str) -> np.ndarray:
    """``(n, time)`` float32, from the disk where it was made before."""
    entry = cache_folder() / "backgrounds" / FORM / f"{stamps}-{sample_rate}-{length}.npy"
    known = _read(entry, (len(sounds), length))
    if known is not None:
        return known
    made: np.ndarray = np.zeros((len(sounds), length), np.float32)
    for row, sound in zip(made, sounds, strict=True):
        samples = to_rate(to_mono(load_audio(sound.path)), sample_rate).samples[0][:length]
        row[: len(samples)] = samples
    try:
        with atomic_write(entry) as part, part.open("wb") as out:
            np.save(out, made, allow_pickle=False)
    except OtoscopeError:
        pass  # a cache that cannot be written costs time, nothing else
    return made


def _read(entry: Path, shape: tuple[int, int]) -> np.ndarray | None:
    try:
        found = np.load(entry, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return found if found.shape == shape and found.dtype == np.float32 else None
